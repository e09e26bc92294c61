"""Measure how fast `python -m data_prep` is: on all corpora, compared with librosa, and as the corpora grow.

    pip install 'speech-emotion-recognition[bench]'
    python benchmarks/prepare.py --corpora corpora
    python benchmarks/prepare.py --parts whole --own own --output benchmarks/results/prepare_whole.json

`whole` prepares all corpora and the tables under `--own` as docs/data.md does. On a machine that does other
work too, only the seconds of processor time mean something; `load` is the average number of processes that
wanted a core.

`librosa` prepares the same files in one process. `librosa.load(path, sr=16000, res_type="kaiser_fast")` is
what notebooks of this field do (`kaiser_best`, librosa's default until 0.10, is slower still); then with
today's default, soxr, which `data_prep` uses as well, alone and with the rest of what `data_prep --trim_db
30` does to a file, trimming and FLAC. Recordings that lie there at 16 kHz are first written at the rate that
they are published at: resampling is most of the work.

`growth` prepares copies of RAVDESS under other names, a few samples of each changed by less than a hundredth,
so that none is dropped as a double. Every run is a fresh process, its start included. Takes about 12 GB of
scratch space.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import soundfile
import soxr
from datasets import load_from_disk
from record import RESULTS, save_result

ROOT = Path(__file__).parent.parent
SUFFIXES = {".wav", ".mp3"}
PUBLISHED_TWICE = {"03-01-03-01-02-02-07.wav"}  # the same samples as another of RAVDESS
MOST_COPIES = 100  # of a recording: the first code of a name numbers them
INTERVAL = 0.2  # seconds between two looks at the memory
SAMPLE_RATE = 16_000  # Hz, of recordings that were converted
PUBLISHED_HZ = {"RAVDESS": 48_000, "SAVEE": 44_100, "TESS": 24_414}
PACKAGES = ["datasets", "librosa", "numpy", "pyarrow", "resampy", "soundfile", "soxr"]

TABLES = {
    "emospeech_in": "EmoSpeech-IN", "meld": "MELD", "emogator": "EmoGator", "emotiontts_ko": "EmotionTTS-KO",
    "indowavesentiment": "IndoWaveSentiment", "afran_selfrec": "afran-selfrec",
}  # fmt: skip

LOAD = """
import json, sys, librosa
for path in json.load(sys.stdin):
    librosa.load(path, sr=16000, res_type=sys.argv[1])
"""
LOAD_TRIM_SAVE = """
import json, sys, librosa, soundfile
for number, path in enumerate(json.load(sys.stdin)):
    audio, rate = librosa.load(path, sr=16000)
    trimmed, _ = librosa.effects.trim(audio, top_db=30)
    soundfile.write(f"{sys.argv[1]}/{number}.flac", trimmed, rate)
"""


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", type=Path, default=Path("corpora"), help="folder that holds the corpora")
    parser.add_argument("--own", type=Path, help="folder that holds the tables of docs/data.md")
    parser.add_argument(
        "--parts", nargs="+", choices=("whole", "librosa", "growth"), default=["librosa", "growth"]
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 5_000, 50_000], help="clips")
    parser.add_argument("--scratch", type=Path, help="folder for the copies (default: the system's)")
    parser.add_argument("--output", type=Path, default=RESULTS / "prepare.json")
    args = parser.parse_args()
    figures = {
        "memory": "largest sum over all processes, looked at every 0.2 s; PSS counts shared pages once"
    }
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        if "whole" in args.parts:
            figures["whole"] = measure_whole(args.corpora, args.own, Path(scratch))
        if "librosa" in args.parts:
            figures["against_librosa"] = compare(args.corpora, Path(scratch))
        if "growth" in args.parts:
            figures["growth"] = [
                measure_growth(args.corpora, Path(scratch, "copies"), size) for size in args.sizes
            ]
    save_result(args.output, figures, PACKAGES)


def measure_whole(corpora: Path, own: Path | None, scratch: Path) -> dict:
    """Prepare all corpora, and the tables that are there."""
    command = prepare_command(corpora, scratch / "whole")
    for name, table in TABLES.items() if own else ():
        command += ["--own", f"{name}={(own / table).resolve()}.csv"]
    figures = run(command)
    report = json.loads((scratch / "whole" / "preparation.json").read_text())
    arrow = list((scratch / "whole").rglob("*.arrow"))
    clips = sum(load_from_disk(scratch / "whole").num_rows.values())
    result = {"clips": clips, "left_out": len(report["skipped"])}
    result |= {"dataset_mb": round(sum(path.stat().st_size for path in arrow) / 1e6), **figures}
    print(result)
    return result


def compare(corpora: Path, scratch: Path) -> dict:
    """Prepare the corpora with `data_prep` and with librosa."""
    corpora = write_as_published(corpora, scratch / "published")
    files = sorted(str(path) for path in corpora.rglob("*") if path.suffix.lower() in SUFFIXES)
    rates = Counter(soundfile.info(file).samplerate for file in files)  # reads them into memory's reach, too
    flacs = scratch / "flacs"
    flacs.mkdir()
    command = [sys.executable, "-c"]
    listed = json.dumps(files)
    ours = run([*prepare_command(corpora, scratch / "emotion"), "--trim_db", "30"])["seconds"]
    as_notebooks = run([*command, LOAD, "kaiser_fast"], listed)["seconds"]
    load = run([*command, LOAD, "soxr_hq"], listed)["seconds"]
    job = run([*command, LOAD_TRIM_SAVE, str(flacs)], listed)["seconds"]
    result = {
        "files": len(files),
        "files_by_rate_hz": dict(rates.most_common()),
        "data_prep_seconds": ours,
        "librosa_load_kaiser_fast_seconds": as_notebooks,
        "librosa_load_seconds": load,
        "librosa_load_trim_save_seconds": job,
        "times_faster_than_load_kaiser_fast": round(as_notebooks / ours, 1),
        "times_faster_than_load": round(load / ours, 2),
        "times_faster_than_load_trim_save": round(job / ours, 2),
    }
    print(result)
    return result


def write_as_published(corpora: Path, folder: Path) -> Path:
    """Copy the corpora, recordings as 16-bit WAV at the rate of their corpus, and return the folder."""
    for source in (path for path in corpora.rglob("*") if path.is_file()):
        place = source.relative_to(corpora)
        copy = folder / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix.lower() == ".wav" and (rate := PUBLISHED_HZ.get(place.parts[0])):
            samples, given = soundfile.read(source)
            samples = soxr.resample(samples, given, rate) if given == SAMPLE_RATE else samples
            soundfile.write(copy, samples, rate if given == SAMPLE_RATE else given, "PCM_16")
        else:
            shutil.copyfile(source, copy)
    os.sync()
    return folder


def measure_growth(corpora: Path, folder: Path, size: int) -> dict:
    """Prepare so many clips; the folder grows from one size to the next."""
    make_copies(corpora, folder, size)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        figures = run(prepare_command(folder, Path(scratch, "emotion")))
        report = json.loads(Path(scratch, "emotion", "preparation.json").read_text())
        size_on_disk = sum(path.stat().st_size for path in Path(scratch).rglob("*.arrow"))
    if report["skipped"]:
        raise SystemExit(f"{len(report['skipped'])} of {size} clips were left out.")
    result = {"clips": size, "dataset_mb": round(size_on_disk / 1e6), **figures}
    print(result)
    return result


def make_copies(corpora: Path, folder: Path, size: int) -> None:
    """Fill a folder up to so many clips of RAVDESS; the first code of a name numbers the copies."""
    names = re.compile(r"03(-\d\d){6}\.wav")
    sources = sorted(path for path in corpora.rglob("03-*.wav") if names.fullmatch(path.name))
    sources = [path for path in sources if path.name not in PUBLISHED_TWICE]
    if size > MOST_COPIES * len(sources):
        raise SystemExit(f"{len(sources)} recordings of RAVDESS are too few for {size} clips.")
    folder.mkdir(exist_ok=True)
    for number in range(len(list(folder.iterdir())), size):
        source, copy = sources[number % len(sources)], number // len(sources)
        content = bytearray(source.read_bytes())
        middle = len(content) // 4 * 2  # 16-bit samples; the low bytes of three of them number the copy
        for place, digit in enumerate((copy % 5, copy // 5 % 5, copy // 25)):
            content[middle + 2 * place] ^= 32 * digit
        (folder / f"{copy:02}{source.name[2:]}").write_bytes(content)
    os.sync()  # what is still being written is not to be measured


def prepare_command(corpora: Path, output: Path) -> list[str]:
    """Return the command that a user would type."""
    return [sys.executable, "-m", "data_prep", "--corpora", str(corpora.resolve()), "--output", str(output)]


def run(command: list[str], standard_input: str = "") -> dict:
    """Run a command, and return the seconds, processor seconds and memory (MB) of it and its processes."""
    peak, load, used = Counter(), os.getloadavg()[0], cpu_seconds()
    with tempfile.TemporaryFile("w+") as listed, tempfile.TemporaryFile("w+") as errors:
        listed.write(standard_input)
        listed.seek(0)
        started = time.monotonic()
        process = psutil.Popen(command, cwd=ROOT, stdin=listed, stdout=subprocess.DEVNULL, stderr=errors)
        while True:
            peak |= memory(process)  # the larger of the two, for either kind
            try:
                code = process.wait(INTERVAL)
                break
            except psutil.TimeoutExpired:
                continue
        seconds = time.monotonic() - started
        errors.seek(0)
        if code:
            raise SystemExit(f"{command[1:4]} failed: {errors.read()[-2_000:]}")
    used = cpu_seconds() - used
    result = {"seconds": round(seconds, 1), "cpu_seconds": round(used, 1), "load": round(load, 1)}
    return result | {f"peak_{kind}_mb": round(peak[kind] / 1e6) for kind in peak}


def cpu_seconds() -> float:
    """Return the processor time of all processes that ended under this one, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def memory(process: psutil.Process) -> Counter:
    """Add up the memory of a process and all below it, in bytes."""
    total = Counter()
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return total
    for member in family:
        try:
            facts = member.memory_full_info()
        except psutil.Error:  # it ended meanwhile
            continue
        total.update({"pss": facts.pss, "rss": facts.rss})
    return total


if __name__ == "__main__":
    main()
