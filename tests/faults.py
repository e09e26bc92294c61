"""Inject faults into work that changes files: a killed process, a full disk or denied writing, at any moment.

The work runs in a forked process. A moment is a change to the watched folder that Python requests from the system:
a file opened for writing, renamed or removed, a folder made or removed. `kill_after` kills at a given time and so
also hits what libraries write by other means.
"""

import errno
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import train
from data_prep.__main__ import main as prepare
from speech_emotion.evaluation.__main__ import main as measure

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
ERRORS = {"full": errno.ENOSPC, "denied": errno.EACCES}
KINDS = ("kill", *ERRORS)


def run(work: Callable[[], None], log: Path, kind: str = "", moment: int = 0, watched: Path = Path()) -> int:
    """Run work in a process of its own with a fault at one moment.

    Args:
        work: a function that ends as a command does: by returning or by SystemExit.
        log: the file for its output.
        kind: `kill`, `full` or `denied`; anything else injects no fault.
        moment: the number of the change at which the fault happens, from 0; a full disk stays full.
        watched: the folder whose changes are counted.

    Returns:
        The exit status, -9 if it was killed. `moments(log)` returns the number of changes.
    """
    return _wait(_start(work, log, kind, moment, watched))


def kill_after(work: Callable[[], None], log: Path, seconds: float) -> int:
    """Run work as `run` does and kill it after so many seconds; return its exit status."""
    child = _start(work, log, "", 0, Path())
    timer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
    timer.start()
    status = _wait(child)
    timer.cancel()
    return status


def moments(log: Path) -> int:
    """Return the number of changes of the work that `run` last finished."""
    return json.loads(log.with_suffix(".moments").read_text())["changes"]


def seconds(log: Path) -> float:
    """Return the seconds of the work that `run` last finished."""
    return json.loads(log.with_suffix(".moments").read_text())["seconds"]


def _start(work: Callable[[], None], log: Path, kind: str, moment: int, watched: Path) -> int:
    if child := os.fork():
        return child
    status, count, begun = 1, 0, time.perf_counter()
    out = log.open("w", buffering=1)
    os.dup2(out.fileno(), 1)
    os.dup2(out.fileno(), 2)
    sys.stdout = sys.stderr = out  # pytest has replaced them

    def strike(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in CHANGES and not (event == "open" and (arguments[2] or 0) & WRITING):
            return
        if os.getpid() != own or not str(arguments[0]).startswith(str(watched)):
            return
        number, count = count, count + 1
        if kind == "kill" and number == moment:
            os.kill(own, signal.SIGKILL)
        # Removing still works. The fault lasts from this moment on.
        if kind in ERRORS and number >= moment and event not in ("os.remove", "os.rmdir"):
            raise OSError(ERRORS[kind], os.strerror(ERRORS[kind]), str(arguments[0]))

    own = os.getpid()
    sys.addaudithook(strike)
    try:
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        print(end.code or "", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        kind = ""
        out.flush()
        took = time.perf_counter() - begun
        log.with_suffix(".moments").write_text(json.dumps({"changes": count, "seconds": took}))
        os._exit(status)


def _wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def contents(folder: Path) -> dict[str, bytes]:
    """Read every file under a folder, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Work:
    """A command that writes the folder `made` in a scratch folder.

    Attributes:
        start: runs it in the scratch folder.
        go_on: runs the command that a user gives after a fault.
        prior: the content of `made` before; None for nothing.
        same: matches the files that have the same bytes after every run; the others contain dates.
    """

    start: Callable[[Path], None]
    go_on: Callable[[Path], None]
    prior: Path | None
    same: str

    def prepare(self, scratch: Path) -> None:
        """Make a scratch folder with the content before."""
        scratch.mkdir()
        if self.prior:
            shutil.copytree(self.prior, scratch / "made")

    def finish(self, scratch: Path, log: Path) -> dict[str, bytes]:
        """Run it without a fault and return what it wrote; `moments(log)` is then its number of changes."""
        self.prepare(scratch)
        assert run(lambda: self.start(scratch), log, watched=scratch) == 0, log.read_text()
        return contents(scratch / "made")

    def suffer(self, scratch: Path, log: Path, whole: dict[str, bytes], strike: Callable[..., int]) -> str:
        """Run it with a fault and then once more without; return what was lost.

        Args:
            scratch: a folder to be made.
            log: the file for the output.
            whole: the result of `finish`.
            strike: runs the work in its first argument with a fault and prints into its second.

        Returns:
            A description of the loss, "" for none.
        """
        self.prepare(scratch)
        status, said = strike(lambda: self.start(scratch), log), log.read_text()
        if status not in (0, 1, -signal.SIGKILL) or "Traceback" in said:
            return f"ended with {status} and not in a sentence: {said[-300:]}"
        if status == 1 and not re.search(r"^[A-Z].+\.$", said, re.MULTILINE):
            return f"did not say what to do: {said[-300:]}"
        if lost := self.half(scratch, whole):
            return f"left half of it: {lost}"
        status = run(lambda: self.go_on(scratch), log)
        if status or not self.alike(contents(scratch / "made"), whole):
            return f"did not go on to the same end ({status}): {log.read_text()[-300:]}"
        leftovers = [path.name for path in scratch.iterdir() if path.name.startswith(".")]
        return f"left behind {leftovers}" if leftovers else ""

    def half(self, scratch: Path, whole: dict[str, bytes]) -> str:
        """Describe how `made` is neither as before nor complete; "" if it is one of these."""
        before = contents(self.prior) if self.prior else {}
        made = contents(scratch / "made")
        if made == before or self.alike(made, whole):
            return ""
        if not made and contents(scratch / ".made.partial" / "replaced") == before:
            return ""  # killed between two renames; the next run restores it
        return f"{sorted(made)} in place of {sorted(whole)}"

    def alike(self, made: dict[str, bytes], whole: dict[str, bytes]) -> bool:
        """Return whether two folders hold the same, dates apart, with valid JSON files."""
        for name, content in made.items():
            if name.endswith(".json"):
                json.loads(content)
        return made.keys() == whole.keys() and all(
            made[name] == whole[name] for name in whole if re.search(self.same, name)
        )


def training(data: Path, prior: Path | None, *arguments: str) -> Work:
    """Return the work of training a tiny CNN for two epochs, where another model may lie before."""
    settings = {
        "model": "cnn", "data": data, "model_config": '{"widths": [8]}', "dataloader_num_workers": 0,
        "per_device_train_batch_size": 4, "num_train_epochs": 2, "disable_tqdm": "true",
    }  # fmt: skip
    options = [f"--{name}={value}" for name, value in settings.items()]

    def start(scratch: Path, *more: str) -> None:
        places = {"model_dir": "made", "output_dir": "run", "summary": "summary.json", "cache_dir": "states"}
        inside = [f"--{name}={scratch / place}" for name, place in places.items()]
        sys.argv = ["train.py", "--use_cpu", *options, *inside, *arguments, *more]
        train.main()

    def go_on(scratch: Path) -> None:
        start(scratch, "--resume_from_checkpoint=true")

    return Work(start, go_on, prior, r"\.safetensors$|config\.json$")


def preparation(corpora: Path, prior: Path | None) -> Work:
    """Return the work of preparing a dataset, where one of other recordings lies before."""

    def start(scratch: Path) -> None:
        output = scratch / "made"
        sys.argv = ["data_prep", "--corpora", str(corpora), "--output", str(output), "--workers", "1"]
        prepare()

    return Work(start, start, prior, "")


def measurement(data: Path, model: Path) -> Work:
    """Return the work of measuring a finished model folder again."""

    def start(scratch: Path) -> None:
        sys.argv = ["evaluation", str(scratch / "made"), "--data", str(data), "--quick"]
        measure()

    return Work(start, start, model, r"\.safetensors$|config\.json$")


def damage(path: Path, how: str) -> None:
    """Damage a file: `lost`, `cut` in half, or with a bit in its middle `flipped`, or inside its first FLAC."""
    content = bytearray(path.read_bytes())
    sound = content.find(b"fLaC")
    path.unlink()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        content[len(content) // 2 if sound < 0 else sound + 2000] ^= 64
        path.write_bytes(content)
