"""Watch the app's memory over thousands of mixed requests: endpoints, formats, lengths and both models.

    python benchmarks/soak.py                    # 5,000 requests
    python benchmarks/soak.py --requests 500

It starts the app and asks `/classify`, `/timeline` and `/batch` of both models about recordings made by code,
in several formats and lengths, as VISITORS at once. After each tenth of the requests it lets the app rest and
reads its memory. Needs the extra `bench`. Writes results/soak.json.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import soundfile
from gradio_client import handle_file
from record import RESULTS, save_result
from visitors import SETTLE_SECONDS, enter, served

from speech_emotion.audio.decoding import SAMPLE_RATE

VISITORS = 4
PARTS = 10
FORMATS = ("wav", "flac", "ogg", "mp3")
SECONDS = (1.3, 3.0, 7.7, 31.0)
MODELS = ("wav2vec2", "cnn")


def main() -> None:
    """Soak the app and save its memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=5000)
    options = parser.parse_args()
    with served() as (address, app, _), tempfile.TemporaryDirectory() as folder:
        figures = soak(address, app, write_recordings(Path(folder)), options.requests)
    print(figures)
    save_result(RESULTS / "soak.json", figures, ["gradio", "torch", "onnxruntime"])


def write_recordings(folder: Path) -> list[Path]:
    """Write harmonics that swell and fall like syllables, in every format and length."""
    recordings = []
    for number, (suffix, seconds) in enumerate(itertools.product(FORMATS, SECONDS)):
        moments = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        pitch = 110 + 15 * number
        voice = sum(np.sin(2 * np.pi * pitch * harmonic * moments) / harmonic for harmonic in range(1, 20))
        recordings.append(folder / f"{number}.{suffix}")
        soundfile.write(recordings[-1], 0.1 * voice * np.sin(np.pi * 3 * moments) ** 2, SAMPLE_RATE)
    return recordings


def requests(recordings: list[Path]) -> Iterator[tuple]:
    """Yield calls without end: an endpoint, its recording or recordings, and a model."""
    kinds = itertools.product(recordings, MODELS, ("/classify", "/timeline", "/batch"))
    for recording, model, name in itertools.cycle(list(kinds)):
        sent = handle_file(recording)
        yield name, [sent] if name == "/batch" else sent, model


def soak(address: str, app: psutil.Process, recordings: list[Path], count: int) -> dict:
    """Make so many requests; return the app's memory in MB before them and after each part."""
    client, calls = enter(address), requests(recordings)

    def ask(call: tuple) -> bool:
        name, sent, model = call
        try:
            return bool(client.predict(sent, model, api_name=name))
        except Exception as error:  # a refusal is an answer; anything else is a loss
            return "Nobody speaks" in str(error)

    memory, lost = [round(app.memory_info().rss / 1e6)], 0
    with ThreadPoolExecutor(VISITORS) as pool:
        for _ in range(PARTS):
            lost += list(pool.map(ask, itertools.islice(calls, count // PARTS))).count(False)
            time.sleep(SETTLE_SECONDS)
            memory.append(round(app.memory_info().rss / 1e6))
    return {"requests": count // PARTS * PARTS, "visitors": VISITORS, "lost": lost, "mb": memory}


if __name__ == "__main__":
    main()
