"""Every way in which a recording comes to this program, to be called with files of any content.

An entrance answers a file with "" where it gives a result, or with the sentence that says why there is none; what
it raises, a person would see as a fault. The tests and `benchmarks/inputs.py` go through all of them.
"""

import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from html import unescape
from pathlib import Path

import psutil
from conftest import ROOT, speak, write_wav
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from data_prep.build import build_dataset
from speech_emotion import AudioError, EmotionClassifier, load_audio
from speech_emotion.audio.decoding import limit_ffmpeg_memory, stream_audio
from speech_emotion.cli import main
from speech_emotion.inference.batch import classify_files
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.ui import compare, explain, live, many_files
from speech_emotion.ui.listen import listen

SENTENCE = re.compile(r"[A-Z0-9'][^\n]{8,250}[.?]")
REFUSAL = re.compile(r"class='refusal' role='alert'>(.*?)</p>")
MOST_SECONDS = 5.0  # of processor time for an answer, as other work on the machine does not change it
MOST_WAIT = 60.0  # seconds until it is there
MOST_MEMORY = 300.0  # MB, beyond what the process had before

Ask = Callable[[Path], str]


def find_loss(ask: Ask, path: Path, process: int) -> str | None:
    """Ask an entrance, and say what is wrong with its answer; None where it is as it should be.

    Args:
        ask: the entrance.
        path: the file.
        process: number of the process that works; its memory is watched where the system says (Linux).
    """
    before = _reset_peak(process)
    start, worked = time.perf_counter(), _read_work(process)
    try:
        said = ask(path)
    except Exception as error:  # whatever a person would see as a traceback
        return f"raises {type(error).__name__}: {error}"
    wait, seconds = time.perf_counter() - start, _read_work(process) - worked
    memory = _read_peak(process) - before
    if said and not SENTENCE.fullmatch(said):
        return f"says what is no sentence: {said}"
    if seconds > MOST_SECONDS or wait > MOST_WAIT:
        return f"takes {seconds:.1f} s of {wait:.1f} s"
    if memory > MOST_MEMORY:
        return f"takes {memory:.0f} MB"
    return None


def functions(model: Path) -> dict[str, Ask]:
    """Return the entrances that are functions: the library, the screens of the app and the command line.

    Args:
        model: a classifier's folder; the screens ask the shipped CNN.
    """
    limit_ffmpeg_memory()  # as the programs do
    heard = EmotionClassifier.from_pretrained(model)
    return {
        "load_audio": lambda path: _refused(load_audio, path),
        "stream_audio": lambda path: _refused(lambda: list(stream_audio(path, 30.0))),
        "predict": lambda path: _refused(heard.predict, path),
        "iter_timeline": lambda path: _refused(lambda: list(iter_timeline(heard, path))),
        "classify_files": lambda path: next(classify_files(heard, [(path.name, path)]))["error"] or "",
        "screen Listen": lambda path: _shown(step[0] for step in listen(str(path), "cnn")),
        "screen Compare": lambda path: _shown(compare.compare(str(path))),
        "screen How it hears": lambda path: _shown([explain.show(str(path), "cnn")]),
        "screen Live": lambda path: _shown([live.follow(str(path), "cnn", None)[0]]),
        "screen Many files": lambda path: _shown(step[0] for step in many_files.classify([str(path)], "cnn")),
        "command line": lambda path: _printed(path, "--model", model),
        "command line, timeline": lambda path: _printed(path, "--model", model, "--timeline", "--json"),
    }


def endpoints(address: str) -> dict[str, Ask]:
    """Return the entrances of a running app that are for programs, asked as programs do."""
    client = Client(address, verbose=False)

    def ask(name: str, path: Path) -> str:
        sent = [handle_file(path)] if name == "/batch" else handle_file(path)
        try:
            answer = client.predict(sent, "cnn", api_name=name)
        except (AppError, ValueError) as error:  # ValueError: the client itself refuses what is too large
            return str(error)
        return (answer[0]["error"] or "") if name == "/batch" else ""

    return {
        name: lambda path, name=name: ask(name, path)
        for name in ("/classify", "/timeline", "/batch", "/live")
    }


def preparations(paths: Iterable[Path], folder: Path) -> dict[str, Ask]:
    """Return the entrances of data_prep: a table of recordings of one's own, and a corpus that names them its way.

    Args:
        paths: all that will be asked for: they become one dataset, together with an intact recording.
        folder: where to work.
    """
    paths = [write_wav(folder / "whole.wav", speak(seconds=1.5)), *paths]
    table = folder / "mine.csv"
    table.write_text("\n".join(["path,emotion", *(f"{path},happy" for path in paths)]))
    corpus = {}
    for number, path in enumerate(paths):
        name = f"03-01-{2 + number // 24:02}-01-01-01-{1 + number % 24:02}.wav"
        corpus[folder / "corpora" / name] = path
    (folder / "corpora").mkdir()
    for copy, path in corpus.items():
        copy.symlink_to(path)
    _, own = build_dataset(None, folder / "own", custom_sources=[table], workers=1)
    _, ours = build_dataset(folder / "corpora", folder / "ours", workers=1)
    own = {folder / skip.path: skip.reason for skip in own}
    ours = {corpus[folder / "corpora" / skip.path]: skip.reason for skip in ours}
    return {
        name: lambda path, reasons=reasons: _capitalised(reasons.get(path, ""))
        for name, reasons in (("data_prep, own table", own), ("data_prep, corpus", ours))
    }


@contextmanager
def served(*command: str, **settings: str) -> Iterator[tuple[str, int]]:
    """Run the app as `make app` does, or by another command; yield its address and its process's number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings |= {"GRADIO_SERVER_PORT": str(port)}
    app = subprocess.Popen([sys.executable, *(command or ["app.py"])], cwd=ROOT, env=os.environ | settings)
    address = f"http://127.0.0.1:{port}/"
    try:
        _wait_for(address, app)
        yield address, app.pid
    finally:
        app.terminate()
        app.wait(30)


def _wait_for(address: str, app: subprocess.Popen) -> None:
    for _ in range(6000):  # a busy machine takes its time to import torch
        assert app.poll() is None, "the app ended at its start"
        try:
            return urllib.request.urlopen(address).close()
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(address)


def _refused(answer: Callable, *arguments) -> str:
    try:
        answer(*arguments)
    except AudioError as error:
        return str(error)
    return ""


def _shown(steps: Iterable[str]) -> str:
    *_, last = steps
    refusal = REFUSAL.search(last)
    return unescape(refusal[1]) if refusal else ""


def _printed(*arguments: object) -> str:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            main([*map(str, arguments)])
        except SystemExit as end:
            return str(end.code)
    return ""


def _capitalised(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:].rstrip('.')}." if reason else ""


def _read_work(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return times.user + times.system


def _reset_peak(process: int) -> float:
    """Reset the peak of a process's memory, on Linux; return its memory in MB now."""
    with suppress(OSError):  # another system
        Path(f"/proc/{process}/clear_refs").write_text("5")
    return _read_peak(process)


def _read_peak(process: int) -> float:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024
