"""Fuzz the decoder, guided by coverage.

    python benchmarks/fuzz.py --seconds 900

Atheris (libFuzzer) mutates small recordings of every format and the bad inputs of the tests, and keeps the
inputs that reach new code in `outputs/fuzz`, where the next run starts. The decoder must return samples
within its contract or raise an `AudioError`. Anything else is a finding: another exception, a crash, 5 s for
one input, or more memory than `LIMITS` allows. Findings lie in `outputs/fuzz/findings` and make the exit
status 1; add them to `tests/bad_audio.py`. Needs `make dev` and atheris, which `make fuzz` installs. Writes
results/fuzz.json.
"""

import argparse
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import atheris
import numpy as np
from record import RESULTS, save_result

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

with atheris.instrument_imports(include=["speech_emotion.audio.decoding", "soundfile"]):
    from speech_emotion.audio.decoding import (
        MAX_SECONDS,
        SAMPLE_RATE,
        AudioError,
        header_duration,
        limit_ffmpeg_memory,
        load_audio,
        stream_audio,
    )

KEPT = ROOT / "outputs" / "fuzz"
LONGEST = 16_384  # bytes of an input
LIMITS = ("-timeout=5", "-rss_limit_mb=700", f"-max_len={LONGEST}")
RUNS = 20_000  # inputs of one process: Atheris never frees an array that was compared, 8 kB an input
PACKAGES = ["atheris", "av", "numpy", "soundfile", "soxr"]


def main() -> None:
    """Fuzz, restart after each finding, and save the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    findings = KEPT / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    with ProcessPoolExecutor(1) as aside:  # a process that libFuzzer runs in inherits the peak of its parent
        aside.submit(write_seeds, KEPT / "inputs").result()
    start, tried = time.monotonic(), 0
    while (left := int(start + options.seconds - time.monotonic())) > 0:
        tried += fuzz(left, findings)
    found = sorted(path.name for path in set(findings.iterdir()) - before)
    figures = {
        "inputs": tried,
        "seconds": round(time.monotonic() - start),
        "kept": len(list((KEPT / "inputs").iterdir())),
        "findings": len(found),
    }
    save_result(RESULTS / "fuzz.json", figures, PACKAGES)
    print(figures, *found, sep="\n")
    raise SystemExit(bool(found))


def fuzz(seconds: int, findings: Path) -> int:
    """Run libFuzzer in a process of its own until it finds something or ends; return the number of inputs."""
    command = [sys.executable, __file__, KEPT / "inputs", f"-max_total_time={seconds}", *LIMITS]
    command += [f"-runs={RUNS}", f"-artifact_prefix={findings}/", "-print_final_stats=1", "-verbosity=1"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    counts = re.findall(r"number_of_executed_units: (\d+)|^#(\d+)\t", done.stderr, re.MULTILINE)
    if not counts:
        raise SystemExit(done.stderr)
    if done.returncode:
        print(done.stderr[-3000:])
    return int(max(counts[-1]))


def write_seeds(folder: Path) -> None:
    """Write the seed inputs."""
    from bad_audio import encode, encode_av, make_inputs, voice

    folder.mkdir(parents=True, exist_ok=True)
    short = voice()[:800]
    seeds = {each.name: each.content for each in make_inputs()}
    for form in ("WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64", "RF64", "NIST"):
        seeds[f"short.{form}"] = encode(short, format=form)
    for form, codec in (("ipod", "aac"), ("webm", "libopus"), ("adts", "aac"), ("mpegts", "aac")):
        seeds[f"short.{form}"] = encode_av(form, codec, seconds=0.1)
    for name, content in seeds.items():
        if len(content) <= LONGEST:
            (folder / name).write_bytes(content)


def try_input(content: bytes) -> None:
    """Decode an input in every way.

    Raises:
        AssertionError: the result breaks the contract.
    """
    for decode in (load_audio, lambda content: np.concatenate(list(stream_audio(content, 1.0, MAX_SECONDS)))):
        try:
            audio = decode(content)
        except AudioError as error:
            assert re.fullmatch(r"[A-Z][^\n]{10,200}[.?]", str(error)), error
        else:
            assert (audio.dtype, audio.ndim) == (np.float32, 1)
            assert 0 < audio.size <= MAX_SECONDS * SAMPLE_RATE + 1
            assert np.isfinite(audio).all()
    try:
        seconds = header_duration(content)
    except AudioError:
        return
    assert seconds is None or 0 <= seconds < float("inf")


if __name__ == "__main__":
    if any(argument.startswith("-artifact_prefix=") for argument in sys.argv):
        limit_ffmpeg_memory()
        atheris.Setup(sys.argv, try_input)
        atheris.Fuzz()
    else:
        main()
