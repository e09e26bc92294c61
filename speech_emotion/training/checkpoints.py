"""The Trainer's checkpoints: which of them are ours, which are complete, and where training resumes.

transformers writes a checkpoint file by file and resumes from the one with the highest number. A process that
is killed meanwhile, or a full disk, leaves an incomplete one. So a checkpoint gets a mark before its first
file and a list of its files after the last; training resumes from it only where the files are as listed.

Only checkpoints with a mark or a list are ever removed. Others were written by another program.
"""

import json
import re
import shutil
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME

from speech_emotion.atomic import atomic_write, digest
from speech_emotion.training.arguments import RESUME_LATEST
from speech_emotion.training.errors import ArgumentsError, CheckpointError

OURS = "speech_emotion_checkpoint"  # an empty file in a checkpoint: train.py began to write it
REMOVED = ".{}.removed"  # what a checkpoint is called while its files are removed
LIST = "complete.json"  # in a checkpoint: the SHA-256 of each of its files


def claim(checkpoint: Path) -> None:
    """Mark a checkpoint as ours before its files are written."""
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / OURS).touch()


def mark_complete(checkpoint: Path) -> None:
    """Write the list of the files of a complete checkpoint."""
    atomic_write(checkpoint / LIST, json.dumps(_hash_files(checkpoint), indent=1) + "\n")


def is_complete(checkpoint: Path) -> bool:
    """Return whether a checkpoint is as it was written, and so is the best one, which training ends with."""
    try:
        listed = json.loads((checkpoint / LIST).read_text())
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text())
        best = checkpoint.with_name(Path(state["best_model_checkpoint"] or checkpoint).name)
        return listed == _hash_files(checkpoint) and (best == checkpoint or is_complete(best))
    except (OSError, ValueError):
        return False


def latest_complete(folder: Path) -> Path | None:
    """Return the latest complete checkpoint in a folder, and remove the incomplete ones after it."""
    for checkpoint in reversed(_checkpoints(folder)):
        if is_complete(checkpoint):
            return checkpoint
        print(f"{checkpoint} is cut off or damaged, and removed.")
        _remove(checkpoint)
    return None


def find_resumable(output: Path, resume: str | None) -> str | None:
    """Return the checkpoint that training resumes from; None where it starts anew.

    Args:
        output: folder with the training's checkpoints.
        resume: `--resume_from_checkpoint`.

    Raises:
        CheckpointError: a checkpoint given by its path is incomplete.
    """
    if not resume:
        return None
    if resume == RESUME_LATEST:
        checkpoint = latest_complete(output)
        return checkpoint and str(checkpoint)
    if not is_complete(Path(resume)):
        raise CheckpointError(f"{resume} is cut off or damaged.")
    return resume


def clear_stale(output: Path, resume: str | None) -> None:
    """Remove the checkpoints of earlier trainings that this command does not resume.

    It runs once, before the first training. A command that is interrupted and resumed would otherwise find
    checkpoints of another recipe where its own later trainings had not begun.

    Args:
        output: folder with the checkpoints of the first training; those of later ones (`held-out-N`, `refit`)
            are in folders inside.
        resume: `--resume_from_checkpoint`. A path is a checkpoint of the first training; all later trainings
            then start anew.

    Raises:
        ArgumentsError: one of the folders has checkpoints of another program, which training would mix with
            its own; nothing is removed.
    """
    later = [*output.glob("held-out-*"), output / "refit"]
    for folder in (output, *later):
        for rest in folder.glob(REMOVED.format("*")):
            shutil.rmtree(rest)
    for folder in (output, *later):
        if foreign := [each.name for each in _checkpoints(folder) if not _is_ours(each)]:
            raise ArgumentsError(
                f"{folder} has checkpoints that train.py did not write ({', '.join(foreign)}): choose "
                "another --output_dir."
            )
    if resume == RESUME_LATEST:
        return
    for folder in later if resume else [output, *later]:
        for checkpoint in _checkpoints(folder):
            _remove(checkpoint)


def rotate(folder: Path, limit: int | None, best: Path | None) -> None:
    """Remove the oldest checkpoints of a folder.

    Args:
        folder: with at least one checkpoint.
        limit: number of checkpoints to keep, the latest and the best among them; None keeps all.
        best: the best checkpoint so far.
    """
    if not limit:
        return
    *older, latest = _checkpoints(folder)
    kept = [each for each in (best, latest) if each in (*older, latest)]
    older = [each for each in older if each != best]
    spare = max(limit - len(set(kept)), 0)
    for checkpoint in older[: len(older) - spare]:
        _remove(checkpoint)


def _is_ours(checkpoint: Path) -> bool:
    # A process that is killed between the two steps of `claim` leaves an empty folder.
    return any((checkpoint / mark).exists() for mark in (OURS, LIST)) or not any(checkpoint.iterdir())


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint, renamed first so that no half of it looks like another program's."""
    aside = checkpoint.with_name(REMOVED.format(checkpoint.name))
    checkpoint.rename(aside)
    shutil.rmtree(aside)


def _checkpoints(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name))
    return sorted(found, key=lambda path: int(path.name.partition("-")[2]))


def _hash_files(checkpoint: Path) -> dict[str, str]:
    hashes = {}
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file() and LIST not in path.name:
            hashes[str(path.relative_to(checkpoint))] = digest(path)
    return hashes
