"""Measure how often "sure" answers are right on speakers that a model never heard, and on plain talk.

    python benchmarks/confidence.py models/wav2vec2 --output benchmarks/results/confidence.json

Clips go through `EmotionClassifier.predict`, as a visitor's would, with the thresholds that the model has.
Television (MELD) and telephone talk (SpokenWOZ, plain and without labels) are kinds of recordings that no
training had.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

import numpy as np
from datasets import Dataset, concatenate_datasets

from speech_emotion.atomic import atomic_write
from speech_emotion.audio.decoding import AudioError
from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.labels import PLAIN
from speech_emotion.machine import describe_machine

ACTED = ("emovo", "ased", "banglaser", "turev_db", "crema_d", "savee", "ravdess")
TALK = ("emospeech_in", "meld", "spokenwoz")


def draw(rows: Dataset, corpora: tuple[str, ...], unheard: set[str], most: int, seed: int = 0) -> Dataset:
    """Return at most `most` clips of each corpus by speakers that the model was not trained on."""
    names, speakers = np.array(rows["corpus"][:]), np.array(rows["speaker"][:])
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[[speakers[index] not in unheard for index in order]]
    return rows.select(np.sort(np.concatenate([order[names[order] == name][:most] for name in corpora])))


def predict(classifier: EmotionClassifier, rows: Dataset, labels: list[str]) -> list[dict]:
    """Return corpus, label, answer and confidence of each clip that is answered."""
    answers = []
    for row in rows:
        try:
            prediction = classifier.predict(read_clip(row))
        except AudioError:
            continue
        answers.append(
            {
                "corpus": row["corpus"],
                "label": labels[row["emotion"]] if row["emotion"] >= 0 else "neutral",
                "answer": prediction.label,
                "confidence": prediction.confidence,
            }
        )
    return answers


def figures(answers: list[dict], thresholds: dict[str, float]) -> dict[str, float | int | None]:
    """Return what thresholds make of answers."""
    sure = np.array([each["confidence"] >= thresholds[each["answer"]] for each in answers])
    right = np.array([each["answer"] == each["label"] for each in answers])
    strong = np.array([each["answer"] not in PLAIN for each in answers])
    plain = np.array([each["label"] in PLAIN for each in answers])
    return {
        "clips": len(answers),
        "accuracy": float(right.mean()),
        "sure": float(sure.mean()),
        "right_of_sure": float(right[sure].mean()) if sure.any() else None,
        "sure_of_right": float(sure[right].mean()) if right.any() else None,
        "plain_clips": int(plain.sum()),
        "false_alarms": float((sure & strong)[plain].mean()) if plain.any() else None,
    }


def main() -> None:
    """Predict, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="model folder with its report.json")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--clips", type=int, default=120, help="of each corpus at most")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    args = parser.parse_args()
    classifier = EmotionClassifier.from_pretrained(args.folder)
    heard = set(classifier.report["training"]["speakers"])
    splits = open_dataset(args.data, splits=())
    rows = concatenate_datasets([splits[name] for name in splits])
    labels = rows.features["emotion"].names
    answers = predict(classifier, draw(rows, (*TALK, *ACTED), heard, args.clips), labels)
    thresholds = classifier.threshold
    thresholds = thresholds if isinstance(thresholds, dict) else dict.fromkeys(labels, thresholds)
    groups = {name: [each for each in answers if each["corpus"] == name] for name in (*TALK, *ACTED)}
    report = {
        "model": str(args.folder),
        "engine": classifier.engine.name,
        "thresholds": thresholds,
        "measured": {name: figures(own, thresholds) for name, own in groups.items() if own},
        "all": figures(answers, thresholds),
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "measured_on": describe_machine(),
    }
    atomic_write(args.output, json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
