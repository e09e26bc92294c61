"""Descriptions of a training for the model's report and for the summary of several protocols."""

import json
import shlex
import sys
from collections import Counter
from pathlib import Path

from datasets import Dataset, DatasetDict

from speech_emotion.atomic import atomic_write
from speech_emotion.evaluation.cross_validation import summarise
from speech_emotion.training.arguments import Arguments, Recipe
from speech_emotion.training.splitting import shared_speakers


def describe_training(recipe: Recipe, args: Arguments, protocol: str | None, splits: DatasetDict) -> dict:
    """Return what a report says about the recipe and the clips that a model was trained on.

    Args:
        recipe: what was trained.
        args: the Trainer's arguments.
        protocol: how the dataset was split; None: as prepared.
        splits: `train`, with all clips that the model was trained on, and `test`.
    """
    rows = splits["train"]
    return {
        "command": f"accelerate launch {shlex.join(sys.argv)}",
        "base": recipe.model,
        "distilled_from": recipe.distill_from,
        "distillation": read_distillation(recipe.distill_from or recipe.model),
        "data": describe_rows(rows),
        "protocol": protocol or "as prepared",
        "leaks_speakers": bool(shared_speakers(splits)),
        "speakers": sorted(set(rows["speaker"])),
        "seed": args.seed,
        "bf16": args.bf16,
        "epochs": args.num_train_epochs,
        "refit": recipe.refit,
        "calibration_folds": recipe.calibration_folds,
    }


def read_distillation(name: str) -> dict | None:
    """Read the report that `distill.py` wrote into an encoder's folder; None if another program made it."""
    report = Path(name) / "distillation.json"
    return json.loads(report.read_text()) if report.is_file() else None


def describe_rows(rows: Dataset) -> str:
    """Describe clips in words: `247 clips of 9 speakers (247 ravdess)`."""
    corpora = ", ".join(f"{clips:,} {corpus}" for corpus, clips in Counter(rows["corpus"]).most_common())
    return f"{len(rows):,} clips of {len(set(rows['speaker']))} speakers ({corpora})"


def save_summary(reports: dict[str | None, dict], file: Path) -> None:
    """Write the figures of all protocols together, and how they were made, into one file."""
    of_one = next(iter(reports.values()))
    about = {name: of_one[name] for name in ("architecture", "parameters", "labels", "measured_on")}
    of_each = ("protocol", "speakers")
    training = {name: value for name, value in of_one["training"].items() if name not in of_each}
    atomic_write(file, json.dumps(summarise(reports) | about | {"training": training}, indent=1) + "\n")
