"""Measure the app with many visitors at once: real clients and the real app on one machine.

    python benchmarks/visitors.py --data data/emotion

It starts the app and times its first answer. Then 20 visitors each send clips, one after another without a
pause. Then 200 visitors send one clip each at the same time. Then one visitor sends half seconds of speech,
as the live screen does. Finally visitors come in waves of a hundred, 20 at once, and the app's memory is read
after each wave. A request counts as lost if it gets no answer or the answer to another clip. Needs the extra
`bench`. Writes results/visitors.json.
"""

import argparse
import io
import itertools
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from record import RESULTS, ROOT, save_result
from speed import CHUNK_SECONDS, CLIP_SECONDS, cut_clips, percentiles

sys.path.insert(0, str(ROOT / "tests"))
import entrances

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.inference.classifier import EmotionClassifier

STARTS = 3
FEW, CLIPS_EACH = 20, 5
MANY = 200
CHUNKS = 60
WAVES, WAVE, SETTLE_SECONDS = 10, 100, 2
SAME = 0.001  # how far the probabilities of one clip may differ


def main() -> None:
    """Start the app, visit it and save the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    options = parser.parse_args()
    starts = []
    for _ in range(STARTS - 1):
        with served() as (_, _, seconds):
            starts.append(seconds)
    with served() as (address, app, seconds), tempfile.TemporaryDirectory() as folder:
        starts.append(seconds)
        clips = write_clips(options.data, Path(folder))
        expected = expect(clips)
        visit(enter(address), clips[:3], expected)  # warm
        figures = {
            "ready_after_seconds": round(statistics.median(starts), 1),
            "few": send(address, FEW, CLIPS_EACH, clips, expected),
            "many": send(address, MANY, 1, clips, expected),
            "live": follow(address, clips),
            "memory": watch_memory(address, app, clips, expected),
        }
    print(figures)
    save_result(RESULTS / "visitors.json", figures, ["gradio", "torch", "onnxruntime"])


@contextmanager
def served() -> Iterator[tuple[str, psutil.Process, float]]:
    """Run the app; yield its address, its process, and the seconds until its first answer."""
    started = time.perf_counter()
    with entrances.served() as (address, process):
        yield address, psutil.Process(process), time.perf_counter() - started


def write_clips(data: str, folder: Path) -> list[Path]:
    """Write clips of three seconds as files."""
    files = []
    for number, samples in enumerate(cut_clips(data)):
        files.append(folder / f"{number}.wav")
        soundfile.write(files[-1], samples, SAMPLE_RATE)
    return files


def expect(clips: list[Path]) -> dict[Path, dict[str, float] | None]:
    """Return the probabilities that each clip should get."""
    classifier = EmotionClassifier.from_pretrained(ROOT / "models" / "wav2vec2")
    return {clip: classifier.predict(clip).probabilities for clip in clips}


def send(address: str, visitors: int, each: int, clips: list[Path], expected: dict) -> dict:
    """Send clips as several visitors at once; return their waits in seconds, and what was lost."""
    clients = [enter(address) for _ in range(visitors)]
    with ThreadPoolExecutor(visitors) as pool:
        own = [
            [clips[(number * each + turn) % len(clips)] for turn in range(each)] for number in range(visitors)
        ]
        started = time.perf_counter()
        outcomes = [
            outcome for visit_ in pool.map(visit, clients, own, [expected] * visitors) for outcome in visit_
        ]
        seconds = time.perf_counter() - started
    waits = [wait for wait, kind in outcomes if kind == "right"]
    return {
        "visitors": visitors,
        "requests": len(outcomes),
        **{kind: sum(own == kind for _, own in outcomes) for kind in ("right", "refused", "lost")},
        "median_seconds": round(statistics.median(waits), 2),
        "p95_seconds": round(statistics.quantiles(waits, n=20)[-1], 2),
        "requests_per_second": round(len(outcomes) / seconds, 1),
    }


def enter(address: str) -> Client:
    """Open the app as a program does, with a timeout for a machine that also runs all the visitors."""
    return Client(address, verbose=False, httpx_kwargs={"timeout": 120})


def visit(client: Client, clips: list[Path], expected: dict) -> list[tuple[float, str]]:
    """Send clips one after another; return each wait in seconds, and if it was right, refused or lost."""
    outcomes = []
    for clip in clips:
        started = time.perf_counter()
        try:
            answer = client.predict(handle_file(clip), "wav2vec2", api_name="/classify")
            off = max(abs(answer["probabilities"][label] - share) for label, share in expected[clip].items())
            kind = "right" if off < SAME else "lost"
        except AppError as error:
            kind = "refused" if "many" in str(error) else "lost"
        outcomes.append((time.perf_counter() - started, kind))
    return outcomes


def follow(address: str, clips: list[Path]) -> dict:
    """Send speech piece by piece as a browser does; return how long the answers took, transport included."""
    voice = np.concatenate([soundfile.read(clip, dtype="float32")[0] for clip in clips])
    size, times = int(CHUNK_SECONDS * SAMPLE_RATE), []
    with httpx.Client(base_url=f"{address}gradio_api/", timeout=120) as line:
        [live] = [
            each["id"]
            for each in line.get(f"{address}config").json()["dependencies"]
            if each["api_name"] == "live"
        ]
        call = {"fn_index": live, "session_hash": uuid.uuid4().hex}
        for number in range(CHUNKS):
            piece = io.BytesIO()
            soundfile.write(piece, voice[number * size : (number + 1) * size], SAMPLE_RATE, format="WAV")
            started = time.perf_counter()
            ask(line, piece.getvalue(), call)
            times.append(time.perf_counter() - started)
    return percentiles(times[5:]) | {"chunk_seconds": CHUNK_SECONDS, "clip_seconds": CLIP_SECONDS}


def ask(line: httpx.Client, piece: bytes, call: dict) -> None:
    """Upload a piece and wait for its answer; the third input is the state, which the app keeps."""
    [path] = line.post("upload", files={"files": ("piece.wav", piece)}).json()
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    line.post("queue/join", json=call | {"data": [file, "wav2vec2", None]}).raise_for_status()
    with line.stream("GET", "queue/data", params={"session_hash": call["session_hash"]}) as stream:
        for text in stream.iter_lines():
            message = json.loads(text.removeprefix("data:")) if text.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                if not message["success"]:
                    raise SystemExit(f"The app did not answer a piece: {message}")
                return


def watch_memory(address: str, app: psutil.Process, clips: list[Path], expected: dict) -> dict:
    """Return the app's memory in MB after each wave of visitors, FEW of them at once."""
    own, lost = [], 0
    for _ in range(WAVES):
        with ThreadPoolExecutor(FEW) as pool:
            visits = pool.map(
                lambda clip: visit(enter(address), [clip], expected),
                itertools.islice(itertools.cycle(clips), WAVE),
            )
            lost += sum(kind != "right" for outcomes in visits for _, kind in outcomes)
        time.sleep(SETTLE_SECONDS)
        own.append(round(app.memory_info().rss / 1e6))
    return {"visitors_a_wave": WAVE, "lost": lost, "mb_after_each_wave": own}


if __name__ == "__main__":
    main()
