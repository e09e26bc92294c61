"""Measure a recipe on corpora that its trainings left out, and choose how sure it may be.

    python -m speech_emotion.evaluation.elsewhere outputs/left_out --plain outputs/folds/fold-1 \
        --output benchmarks/results/left_out.json --calibration outputs/calibration.npz

What a visitor sends is a recording of a kind that no training had. So the temperature and the threshold of
"sure" come from trainings that left whole corpora out (`train.py --protocol leave_out:... --validate false`),
every corpus counting alike. A corpus's own calibration error is that of the temperature of all others.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.metrics import recall_score

from speech_emotion.atomic import atomic_write
from speech_emotion.dataset import open_dataset
from speech_emotion.evaluation.calibration import expected_calibration_error, fit_temperature, reliability
from speech_emotion.machine import describe_machine

PLAIN = ("neutral", "calm")  # labels that are no false alarm on plain talk
CLIPS = 480  # of a corpus that count when the temperature is fitted: as many as the smallest has
MOST_FALSE_ALARMS = 0.04  # share of plain clips that may be sure of another label; the bar is 0.05
LEAST_ACCURACY = 0.70  # of the sure answers on corpora left out; the bar is 0.65
TALK = "meld"  # whose plain clips count false alarms
SEED = 0


class Clips(NamedTuple):
    """Predicted clips of one corpus.

    Attributes:
        logits: before any temperature, shape [clips, classes].
        labels: class indices, shape [clips].
        rows: facts of each clip, by the names of the dataset's columns.
    """

    logits: np.ndarray
    labels: np.ndarray
    rows: dict[str, np.ndarray]

    def keep(self, mask: np.ndarray) -> "Clips":
        """Keep some of the clips."""
        rows = {name: values[mask] for name, values in self.rows.items()}
        return Clips(self.logits[mask], self.labels[mask], rows)


def read_predictions(file: Path, facts: dict[str, dict]) -> Clips:
    """Read a `predictions.npz`.

    Args:
        file: the file.
        facts: of every clip of the dataset, by its sha256.
    """
    with np.load(file) as kept:
        own = [facts[sha256] for sha256 in kept["sha256"].tolist()]
        rows = {name: np.array([fact[name] for fact in own]) for name in ("corpus", "emotion", "fold")}
        return Clips(kept["voice"], kept["labels"], rows)


def read_facts(data: str) -> tuple[dict[str, dict], list[str]]:
    """Return corpus, emotion and fold of every clip by its sha256, and the labels."""
    dataset = open_dataset(data)
    labels = next(iter(dataset.values())).features["emotion"].names
    facts = {}
    for rows in dataset.values():
        columns = [rows[name][:] for name in ("sha256", "corpus", "emotion", "fold")]
        for sha256, corpus, emotion, fold in zip(*columns, strict=True):
            name = labels[emotion] if emotion >= 0 else "neutral"
            facts[sha256] = {"corpus": corpus, "emotion": name, "fold": fold or 0}
    return facts, labels


def draw(corpora: list[Clips]) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels in which every corpus has as many clips."""
    rng = np.random.default_rng(SEED)
    drawn = [rng.permutation(len(own.labels))[:CLIPS] for own in corpora]
    logits = np.concatenate([own.logits[picked] for own, picked in zip(corpora, drawn, strict=True)])
    return logits, np.concatenate([own.labels[picked] for own, picked in zip(corpora, drawn, strict=True)])


def false_alarms(plain: Clips, temperature: float, threshold: float, labels: list[str]) -> float:
    """Return the share of plain clips that are sure of anything but a plain label; 0 without any clip."""
    if not len(plain.labels):
        return 0.0
    shares = softmax(plain.logits.astype(float) / temperature, axis=1)
    strong = ~np.isin(np.array(labels)[shares.argmax(1)], PLAIN)
    return float((strong & (shares.max(1) >= threshold)).mean())


def sure_answers(own: Clips, temperature: float, threshold: float) -> dict[str, float | None]:
    """Return the shares of sure answers, of right ones among them, and of right answers that are sure."""
    shares = softmax(own.logits.astype(float) / temperature, axis=1)
    sure, right = shares.max(1) >= threshold, shares.argmax(1) == own.labels
    return {
        "sure": float(sure.mean()),
        "right_of_sure": float(right[sure].mean()) if sure.any() else None,
        "sure_of_right": float(sure[right].mean()) if right.any() else None,
    }


def choose_threshold(
    corpora: list[Clips], plain: list[Clips], temperature: float, labels: list[str]
) -> float:
    """Choose the lowest confidence at which both bars hold on all clips that may choose it."""
    logits, truth = draw(corpora)
    shares = softmax(logits.astype(float) / temperature, axis=1)
    right = shares.argmax(1) == truth
    for threshold in np.arange(0.2, 1.0, 0.005):
        sure = shares.max(1) >= threshold
        alarms = max(false_alarms(own, temperature, threshold, labels) for own in plain)
        if alarms <= MOST_FALSE_ALARMS and sure.any() and right[sure].mean() >= LEAST_ACCURACY:
            return float(threshold.round(3))
    return 1.0


def measure(left_out: list[Path], plain: Path, data: str) -> tuple[dict, np.ndarray, np.ndarray]:
    """Measure every corpus that was left out, and choose temperature and threshold.

    Args:
        left_out: model folders of trainings that left corpora out.
        plain: model folder of a training that never heard MELD, with predictions of it.
        data: the dataset.

    Returns:
        What is written down, and logits and labels of the clips that chose the temperature.
    """
    facts, labels = read_facts(data)
    corpora = {}
    for folder in left_out:
        clips = read_predictions(folder / "predictions.npz", facts)
        for name in np.unique(clips.rows["corpus"]):
            corpora[str(name)] = clips.keep(clips.rows["corpus"] == name)
    talk = read_predictions(plain / "predictions.npz", facts)
    talk = talk.keep((talk.rows["corpus"] == TALK) & (talk.rows["emotion"] == "neutral"))
    halves = {half: talk.keep(talk.rows["fold"] == half) for half in (1, 2)}

    logits, truth = draw(list(corpora.values()))
    temperature = fit_temperature(logits, truth)
    plain_clips = {"MELD, half 1 of its roles": halves[1]}
    if "emospeech_in" in corpora:
        own = corpora["emospeech_in"]
        plain_clips["EmoSpeech-IN left out"] = own.keep(own.rows["emotion"] == "neutral")
    threshold = choose_threshold(list(corpora.values()), list(plain_clips.values()), temperature, labels)
    report = {
        "temperature": temperature,
        "threshold": threshold,
        "mean_uar": None,
        "corpora": {},
        "false_alarms": {
            f"{name} (chose the threshold)": false_alarms(own, temperature, threshold, labels)
            for name, own in plain_clips.items()
        }
        | {"MELD, half 2 of its roles": false_alarms(halves[2], temperature, threshold, labels)},
    }
    for name, own in corpora.items():
        others = [each for other, each in corpora.items() if other != name]
        fitted = fit_temperature(*draw(others))
        spoken = own.keep(own.rows["emotion"] != "calm") if name == "ravdess" else own
        report["corpora"][name] = {
            "clips": len(spoken.labels),
            "uar": float(
                recall_score(
                    spoken.labels, spoken.logits.argmax(1), average=None, labels=np.unique(spoken.labels)
                ).mean()
            ),
            "temperature_of_others": fitted,
            "ece": expected_calibration_error(reliability(spoken.logits / fitted, spoken.labels)),
            **sure_answers(spoken, temperature, threshold),
        }
    figures = report["corpora"].values()
    report["mean_uar"] = float(np.mean([own["uar"] for own in figures]))
    report["mean_ece"] = float(np.mean([own["ece"] for own in figures]))
    return report, logits, truth


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of model folders that left corpora out")
    parser.add_argument("--plain", type=Path, required=True, help="model folder with predictions of MELD")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument("--calibration", type=Path, help="file for train.py --calibrate_on")
    args = parser.parse_args()
    folders = sorted(file.parent for file in args.folder.glob("*/predictions.npz"))
    if not folders:
        raise SystemExit(f"{args.folder} has no model folder with predictions.npz.")
    report, logits, labels = measure(folders, args.plain, args.data)
    about = {"command": shlex.join(["python", *sys.orig_argv[1:]]), "measured_on": describe_machine()}
    atomic_write(args.output, json.dumps(report | about, indent=1) + "\n")
    if args.calibration:
        np.savez(args.calibration, voice=logits, labels=labels, threshold=report["threshold"])
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
