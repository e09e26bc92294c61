"""Recordings to try: one per emotion from a prepared dataset, or a few sounds that this computer makes.

`EXAMPLES_DATA` names a dataset, a folder or an id on the hub; without it `data/emotion` is used if it exists.
No recording ships with the code. Each start picks the examples anew, by this rule:

1. Only speech of the test split counts, since the models have never heard its speakers.
2. RAVDESS and CREMA-D come first, because their licences allow passing clips on with attribution; other
   corpora are used only where a dataset has neither.
3. Of each emotion's first `CANDIDATES` clips the most typical one is taken: the one whose mean spectrum,
   loudness and length are nearest to the mean over those clips. What a model answers plays no part.

    python -m speech_emotion.ui.examples --data data/emotion --output examples/   # write them as files
"""

import argparse
import functools
import io
import os
import shutil
import subprocess
from html import escape
from pathlib import Path

import numpy as np
import soundfile

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.inference.batch import SUFFIXES as NAMED
from speech_emotion.ui import uploads
from speech_emotion.ui.page import icon
from speech_emotion.ui.wording import TEXTS, span

PREPARED = Path("data", "emotion")
DATA = os.environ.get("EXAMPLES_DATA") or (str(PREPARED) if PREPARED.is_dir() else None)
SHAREABLE = {"ravdess": "RAVDESS, CC BY-NC-SA 4.0", "crema_d": "CREMA-D, ODbL"}
CANDIDATES = 24  # clips of an emotion that are compared
BANDS = 32  # of the mean spectrum
SUFFIXES = sorted(suffix.removeprefix(".") for suffix in NAMED)
SPOKEN = "I wanted to ask whether you have a moment to talk about tomorrow."


def chips() -> str:
    """Render a button for each example."""
    clips, kind = prepare()
    buttons = "".join(
        "<button type='button' class='chip' data-action='example' aria-pressed='false' "
        f"data-example='{escape(label if kind == 'actors' else '')}' "
        f"data-url='gradio_api/file={escape(str(path), quote=True)}' data-file='{escape(path.name)}' "
        f"data-name='{escape(path.name)}'>"
        f"{icon(label if kind == 'actors' else 'neutral')}"
        f"{span(f'emotion_{label}') if kind == 'actors' else span(f'sound_{label}')}</button>"
        for label, path in clips.items()
    )
    title = span(f"examples_{kind}", "p", "class=hint")
    return f"<div class='examples'>{title}<div class='cluster'>{buttons}</div></div>"


@functools.cache
def prepare() -> tuple[dict[str, Path], str]:
    """Write the examples where the page serves them; return them by name, and of which kind they are."""
    folder = uploads.UPLOADS / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    clips = find_clips(DATA) if DATA else {}
    if clips:
        paths = {label: folder / f"{label}.flac" for label in clips}
        for label, content in clips.items():
            paths[label].write_bytes(content)
        return paths, "actors"
    return make_sounds(folder), "made"


def find_clips(data: str) -> dict[str, bytes]:
    """Return each emotion's most typical clip of unseen speakers, as FLAC; {} where there is no dataset."""
    from speech_emotion.dataset import open_dataset

    try:
        rows = open_dataset(data)["test"]
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    names = rows.features["emotion"].names
    table = rows.select_columns([each for each in ("emotion", "corpus", "channel") if each in rows.features])
    facts = [(index, each) for index, each in enumerate(table) if each.get("channel", "speech") == "speech"]
    for corpora in ([name] for name in SHAREABLE):
        if any(each["corpus"] in corpora for _, each in facts):
            facts = [(index, each) for index, each in facts if each["corpus"] in corpora]
            break
    found = {}
    for number, name in enumerate(names):
        candidates = [index for index, each in facts if each["emotion"] == number][:CANDIDATES]
        if candidates:
            found[name] = most_typical([rows[index]["audio"]["bytes"] for index in candidates])
    return found


def most_typical(clips: list[bytes]) -> bytes:
    """Return the clip that is nearest to the mean of all of them, in spectrum, loudness and length."""
    features = np.array([_measure(content) for content in clips])
    spread = features.std(axis=0) + 1e-9
    distances = (((features - features.mean(axis=0)) / spread) ** 2).sum(axis=1)
    return clips[int(distances.argmin())]


def _measure(content: bytes) -> np.ndarray:
    """Return a clip's mean log spectrum in bands, its loudness in dB and its length in seconds."""
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    frames = mono[: mono.size // 512 * 512].reshape(-1, 512) * np.hanning(512)
    spectrum = np.abs(np.fft.rfft(frames, axis=1)).mean(axis=0)[1:]
    bands = np.log(spectrum.reshape(BANDS, -1).mean(axis=1) + 1e-6)
    loudness = 20 * np.log10(np.sqrt((mono**2).mean()) + 1e-6)
    return np.r_[bands, loudness, mono.size / rate]


def make_sounds(folder: Path) -> dict[str, Path]:
    """Write sounds to try without a dataset: a spoken line if espeak-ng is there, and a hum."""
    sounds = {}
    if shutil.which("espeak-ng"):
        path = folder / "computer-voice.wav"
        command = ["espeak-ng", "-w", str(path), "-s", "150", SPOKEN]
        if subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0:
            sounds["voice"] = path
    path = folder / "hum.wav"
    soundfile.write(path, hum(), SAMPLE_RATE)
    return sounds | {"hum": path}


def hum() -> np.ndarray:
    """Synthesise a hum of three seconds, float32 of shape [48000], 16 kHz."""
    time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    pitch = 140 + 12 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    tone = sum(np.sin(number * phase) / number**2 for number in range(1, 8))
    return (0.2 * tone * np.minimum(1, np.minimum(time, 3 - time) * 8)).astype(np.float32)


def main() -> None:
    """Write the examples of a dataset as files, with a note about their origin."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=str(PREPARED), help="the dataset's folder or hub id")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    clips = find_clips(options.data)
    for label, content in clips.items():
        (options.output / f"{label}.flac").write_bytes(content)
    print(f"{len(clips)} examples in {options.output}. {TEXTS['en']['examples_actors']}")


if __name__ == "__main__":
    main()
