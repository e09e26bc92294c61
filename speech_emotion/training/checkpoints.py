"""The Trainer's checkpoints: which of them are whole, and so which one training goes on from.

transformers writes a checkpoint file by file, and takes the one of the highest number for the last. A
process that is killed meanwhile, or a full disk, leaves half of one there. So each gets a list of its files
once all of them are written, and counts only where it has them as they were.
"""

import json
import re
import shutil
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME

from speech_emotion.atomic import atomic_write, digest

LIST = "whole.json"  # in a checkpoint: the SHA-256 of each of its files


def mark_complete(checkpoint: Path) -> None:
    """List the files of a checkpoint that is whole."""
    atomic_write(checkpoint / LIST, json.dumps(_hash_files(checkpoint), indent=1) + "\n")


def is_whole(checkpoint: Path) -> bool:
    """Say whether a checkpoint is as it was written, and the best one before it, which its end needs, too."""
    try:
        listed = json.loads((checkpoint / LIST).read_text())
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text())
        best = checkpoint.with_name(Path(state["best_model_checkpoint"] or checkpoint).name)
        return listed == _hash_files(checkpoint) and (best == checkpoint or is_whole(best))
    except (OSError, ValueError):
        return False


def latest_complete(folder: Path) -> Path | None:
    """Give the last whole checkpoint in a folder; those after it, of no use to anyone, are removed."""
    for checkpoint in reversed(_checkpoints(folder)):
        if is_whole(checkpoint):
            return checkpoint
        print(f"{checkpoint} is cut off or damaged, and removed.")
        shutil.rmtree(checkpoint)
    return None


def clear(folder: Path) -> None:
    """Remove the checkpoints of an earlier training: transformers would count them among the new one's."""
    for checkpoint in _checkpoints(folder):
        shutil.rmtree(checkpoint)


def _checkpoints(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name))
    return sorted(found, key=lambda path: int(path.name.partition("-")[2]))


def _hash_files(checkpoint: Path) -> dict[str, str]:
    hashes = {}
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file() and LIST not in path.name:
            hashes[str(path.relative_to(checkpoint))] = digest(path)
    return hashes
