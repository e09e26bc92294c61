"""How far "sure" can be trusted on kinds of recordings that a model never heard, and thresholds for them.

    python benchmarks/confidence.py models/wav2vec2 --output benchmarks/results/confidence.json
    python benchmarks/confidence.py models/wav2vec2 --output benchmarks/results/confidence.json --apply

Clips of speakers that the model was not trained on go through `EmotionClassifier.predict`, as a visitor's
would. One half of the speakers of each corpus chooses the thresholds, the other half measures them;
SpokenWOZ, plain talk without labels, only measures. The thresholds are two: one for plain answers (neutral,
calm), one for all other labels. They keep the most right answers sure while, on the choosing half, at most 4
of 100 plain clips are sure of anything else and at least 70 of 100 sure answers are right. `--apply` puts
what was chosen into the model's report.
"""

import argparse
import hashlib
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
from speech_emotion.machine import describe_machine

PLAIN = ("neutral", "calm")
ACTED = ("emovo", "ased", "banglaser", "turev_db", "crema_d", "savee", "ravdess")
TALK = ("emospeech_in", "meld", "spokenwoz")
MOST_FALSE_ALARMS, LEAST_ACCURACY = 0.04, 0.70  # the bars are 0.05 and 0.65
GRID = np.arange(0.20, 1.0001, 0.02)


def draw(rows: Dataset, corpora: tuple[str, ...], unheard: set[str], most: int, seed: int = 0) -> Dataset:
    """Return at most `most` clips of each corpus by speakers that the model was not trained on."""
    names, speakers = np.array(rows["corpus"][:]), np.array(rows["speaker"][:])
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[[speakers[index] not in unheard for index in order]]
    return rows.select(np.sort(np.concatenate([order[names[order] == name][:most] for name in corpora])))


def predict(classifier: EmotionClassifier, rows: Dataset, labels: list[str]) -> list[dict]:
    """Return corpus, half of the speakers, label, answer and confidence of each clip that is answered."""
    answers = []
    for row in rows:
        try:
            prediction = classifier.predict(read_clip(row))
        except AudioError:
            continue
        digest = hashlib.sha256(row["speaker"].encode()).digest()
        answers.append(
            {
                "corpus": row["corpus"],
                "chooses": row["corpus"] != "spokenwoz" and digest[0] % 2 == 0,
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


def choose(answers: list[dict], labels: list[str]) -> dict[str, float]:
    """Choose the two thresholds; the pair that leaves most right answers sure."""
    best, found = -1.0, dict.fromkeys(labels, 1.01)
    for strong in GRID:
        for plain in GRID:
            thresholds = {label: float(plain if label in PLAIN else strong) for label in labels}
            own = figures(answers, thresholds)
            holds = own["false_alarms"] <= MOST_FALSE_ALARMS and (own["right_of_sure"] or 0) >= LEAST_ACCURACY
            if holds and own["sure_of_right"] > best:
                best, found = own["sure_of_right"], thresholds
    return {label: round(value, 2) for label, value in found.items()}


def apply(file: Path, found: dict) -> None:
    """Put thresholds into a model's report; what was measured at the old one says so."""
    report = json.loads(file.read_text())
    if not isinstance(report["threshold"], dict):
        report["selective"]["threshold"] = report["threshold"]
    report["threshold"] = found["thresholds"]
    report["sure_elsewhere"] = found["measured"]["all"] | {"command": found["command"]}
    atomic_write(file, json.dumps(report, indent=1) + "\n")


def main() -> None:
    """Predict, choose, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="model folder with its report.json")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--clips", type=int, default=120, help="of each corpus at most")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument(
        "--apply", action="store_true", help="put the thresholds of --output into the model's report"
    )
    args = parser.parse_args()
    if args.apply:
        apply(args.folder / "report.json", json.loads(args.output.read_text()))
        return
    classifier = EmotionClassifier.from_pretrained(args.folder)
    heard = set(classifier.report["training"]["speakers"])
    splits = open_dataset(args.data, splits=())
    rows = concatenate_datasets([splits[name] for name in splits])
    labels = rows.features["emotion"].names
    answers = predict(classifier, draw(rows, (*TALK, *ACTED), heard, args.clips), labels)
    before = classifier.threshold
    before = before if isinstance(before, dict) else dict.fromkeys(labels, before)
    after = choose([each for each in answers if each["chooses"]], labels)
    groups = {name: [each for each in answers if each["corpus"] == name] for name in (*TALK, *ACTED)}
    measured = {name: [each for each in own if not each["chooses"]] for name, own in groups.items()}
    measured = {name: own for name, own in measured.items() if own}
    measured["all"] = [each for own in measured.values() for each in own]
    report = {
        "model": str(args.folder),
        "engine": classifier.engine.name,
        "thresholds": after,
        "thresholds_before": before,
        "chosen_on": figures([each for each in answers if each["chooses"]], after),
        "measured": {
            name: {"before": figures(own, before), "after": figures(own, after)}
            for name, own in measured.items()
        },
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "measured_on": describe_machine(),
    }
    atomic_write(args.output, json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
