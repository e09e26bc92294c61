"""Measure a recipe on corpora and speakers that its trainings left out, and choose how sure it may be.

    python -m speech_emotion.evaluation.elsewhere outputs/left_out --folds outputs/folds \
        --output benchmarks/results/elsewhere.json --calibration outputs/calibration.npz

What a visitor sends is a recording of a kind that no training had. So the thresholds of "sure" come from
trainings that left whole corpora out (`train.py --protocol leave_out:... --validate false`). The temperature
is a compromise: it comes from these and, in equal parts, from trainings that left speakers out
(`--protocol fold:...`). Every corpus counts alike. The calibration error of a corpus that was left out is
that of the temperature of all others.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.metrics import recall_score

from speech_emotion.atomic import atomic_write
from speech_emotion.dataset import open_dataset
from speech_emotion.evaluation.calibration import expected_calibration_error, fit_temperature, reliability
from speech_emotion.evaluation.predict import PREDICTIONS
from speech_emotion.labels import PLAIN
from speech_emotion.machine import describe_machine

CLIPS = 480  # of a corpus that count when the temperature is fitted: as many as the smallest has
MOST_FALSE_ALARMS = 0.045  # share of plain clips that may be sure of another label; the bar is 0.05
LEAST_ACCURACY = 0.67  # of the sure answers on corpora left out; the bar is 0.65
TALK = "meld"  # which no training heard, and whose plain clips count false alarms
GRID = np.arange(0.2, 1.0, 0.02)  # of thresholds that are tried
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
        rows["sha256"] = kept["sha256"]
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


def draw(corpora: Collection[Clips]) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels in which every corpus has as many clips."""
    rng = np.random.default_rng(SEED)
    drawn = [rng.permutation(len(own.labels))[:CLIPS] for own in corpora]
    logits = np.concatenate([own.logits[picked] for own, picked in zip(corpora, drawn, strict=True)])
    return logits, np.concatenate([own.labels[picked] for own, picked in zip(corpora, drawn, strict=True)])


class Answers(NamedTuple):
    """What a temperature makes of clips.

    Attributes:
        labels: indices of the answers, shape [clips].
        confidence: of each answer, shape [clips].
        right: whether it is, shape [clips].
        strong: whether it is another emotion than a plain one, shape [clips].
    """

    labels: np.ndarray
    confidence: np.ndarray
    right: np.ndarray
    strong: np.ndarray

    def sure(self, thresholds: np.ndarray) -> np.ndarray:
        """Return whether each answer reaches the threshold of its label; `thresholds` of shape [classes]."""
        return self.confidence >= thresholds[self.labels]


def answer(logits: np.ndarray, truth: np.ndarray, temperature: float, labels: list[str]) -> Answers:
    """Return the answers to clips, from logits of shape [clips, classes]."""
    shares = softmax(logits.astype(float) / temperature, axis=1)
    found = shares.argmax(1)
    return Answers(found, shares.max(1), found == truth, ~np.isin(np.array(labels)[found], PLAIN))


def false_alarms(plain: Answers, thresholds: np.ndarray) -> float:
    """Return the share of plain clips that are sure of anything but a plain label; 0 without any clip."""
    return float((plain.strong & plain.sure(thresholds)).mean()) if plain.labels.size else 0.0


def sure_answers(own: Answers, thresholds: np.ndarray) -> dict[str, float | None]:
    """Return the shares of sure answers, of right ones among them, and of right answers that are sure."""
    sure, right = own.sure(thresholds), own.right
    return {
        "sure": float(sure.mean()),
        "right_of_sure": float(right[sure].mean()) if sure.any() else None,
        "sure_of_right": float(sure[right].mean()) if right.any() else None,
    }


def choose_thresholds(
    elsewhere: Answers, plain: list[Answers], known: Answers, labels: list[str]
) -> np.ndarray:
    """Choose the confidence of "sure" for plain labels, and for all others.

    Of the pairs at which both bars hold, it is the one that leaves most right answers sure. Where there is
    none, nothing is sure.

    Args:
        elsewhere: answers to clips of corpora left out, of which `LEAST_ACCURACY` must be right.
        plain: answers to several sets of plain clips, of each of which `MOST_FALSE_ALARMS` may be sure.
        known: answers to clips of known corpora by speakers left out, whose right answers count.
        labels: class names.

    Returns:
        Thresholds, shape [classes].
    """
    is_plain = np.isin(labels, PLAIN)
    best, found = -1.0, np.full(len(labels), 1.01)
    for strong in GRID:
        alarms = np.where(is_plain, 1.01, strong)
        if max(false_alarms(own, alarms) for own in plain) > MOST_FALSE_ALARMS:
            continue
        for calm in GRID:
            thresholds = np.where(is_plain, calm, strong)
            accuracy = sure_answers(elsewhere, thresholds)["right_of_sure"]
            kept = sure_answers(known, thresholds)["sure_of_right"] or 0.0
            if accuracy is not None and accuracy >= LEAST_ACCURACY and kept > best:
                best, found = kept, thresholds
    return found.round(2)


def read_corpora(folders: list[Path], facts: dict[str, dict]) -> dict[str, Clips]:
    """Return the predicted clips of several trainings by their corpus."""
    parts: dict[str, list[Clips]] = {}
    for folder in folders:
        clips = read_predictions(folder / PREDICTIONS, facts)
        for name in np.unique(clips.rows["corpus"]).tolist():
            parts.setdefault(name, []).append(clips.keep(clips.rows["corpus"] == name))
    return {name: join(own) for name, own in parts.items()}


def join(parts: list[Clips]) -> Clips:
    """Join clips of several trainings; one that several tested counts once."""
    rows = {name: np.concatenate([own.rows[name] for own in parts]) for name in parts[0].rows}
    _, first = np.unique(rows["sha256"], return_index=True)
    logits, labels = (np.concatenate([getattr(own, name) for own in parts]) for name in ("logits", "labels"))
    return Clips(logits, labels, rows).keep(np.sort(first))


def error(own: Clips, temperature: float) -> float:
    """Return the expected calibration error at a temperature."""
    return expected_calibration_error(reliability(own.logits / temperature, own.labels))


def uar(own: Clips) -> float:
    """Return the mean recall of the emotions that the clips have, all labels offered."""
    recalls = recall_score(own.labels, own.logits.argmax(1), average=None, labels=np.unique(own.labels))
    return float(recalls.mean())


def measure(left_out: list[Path], folds: list[Path], data: str) -> tuple[dict, np.ndarray, np.ndarray]:
    """Measure every corpus that was left out, and choose temperature and threshold.

    Args:
        left_out: model folders of trainings that left corpora out.
        folds: model folders of trainings that left speakers out, none of which heard MELD.
        data: the dataset.

    Returns:
        What is written down, and logits and labels of the clips that chose the temperature.
    """
    facts, labels = read_facts(data)
    corpora, heard = read_corpora(left_out, facts), read_corpora(folds, facts)
    talk = heard.pop(TALK)
    talk = talk.keep(talk.rows["emotion"] == "neutral")
    halves = {half: talk.keep(talk.rows["fold"] == half) for half in (1, 2)}

    logits, truth = draw([*corpora.values(), *heard.values()])
    temperature = fit_temperature(logits, truth)

    def of(clips: Clips) -> Answers:
        return answer(clips.logits, clips.labels, temperature, labels)

    plain = {"MELD, half 1 of its roles": of(halves[1])}
    if "emospeech_in" in corpora:
        own = corpora["emospeech_in"]
        plain["EmoSpeech-IN left out"] = of(own.keep(own.rows["emotion"] == "neutral"))
    left_out, known = (answer(*draw(group.values()), temperature, labels) for group in (corpora, heard))
    thresholds = choose_thresholds(left_out, list(plain.values()), known, labels)
    report = {
        "temperature": temperature,
        "thresholds": dict(zip(labels, thresholds.tolist(), strict=True)),
        "left_out": sure_answers(left_out, thresholds),
        "speakers_left_out": sure_answers(known, thresholds),
        "false_alarms": {
            f"{name} (chose the thresholds)": false_alarms(own, thresholds) for name, own in plain.items()
        }
        | {"MELD, half 2 of its roles": false_alarms(of(halves[2]), thresholds)},
        "corpora": {},
        "speakers": {},
    }
    for name, own in corpora.items():
        others = [each for group in (corpora, heard) for other, each in group.items() if other != name]
        fitted = fit_temperature(*draw(others))
        spoken = own.keep(own.rows["emotion"] != "calm") if name == "ravdess" else own
        report["corpora"][name] = {
            "clips": len(spoken.labels),
            "uar": uar(spoken),
            "temperature_of_others": fitted,
            "ece": error(spoken, fitted),
            **sure_answers(of(spoken), thresholds),
        }
    for name, own in heard.items():
        scores = {"clips": len(own.labels), "uar": uar(own), "ece": error(own, temperature)}
        report["speakers"][name] = scores | sure_answers(of(own), thresholds)
    figures = report["corpora"].values()
    report["mean_uar"] = float(np.mean([own["uar"] for own in figures]))
    report["mean_ece"] = float(np.mean([own["ece"] for own in figures]))
    report["ece_of_speakers"] = error(join(list(heard.values())), temperature)
    return report, logits, truth


def add_calibration(summary: Path, ece: float, parts: dict[str, dict]) -> None:
    """Write calibration errors into a summary of `train.py`."""
    found = json.loads(summary.read_text())
    found["calibration"] = {"ece": ece, "folds": {name: own["ece"] for name, own in parts.items()}}
    atomic_write(summary, json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of model folders that left corpora out")
    parser.add_argument("--folds", type=Path, required=True, help="folder of those that left speakers out")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument("--calibration", type=Path, help="file for train.py --calibrate_on")
    parser.add_argument(
        "--summaries", type=Path, nargs=2, metavar=("LEFT_OUT", "FOLDS"),
        help="summaries of both by train.py, into which the calibration errors are written",
    )  # fmt: skip
    args = parser.parse_args()
    folders = {}
    for each in (args.folder, args.folds):
        folders[each] = sorted(file.parent for file in each.glob(f"*/{PREDICTIONS}"))
        if not folders[each]:
            raise SystemExit(f"{each} has no model folder with {PREDICTIONS}.")
    report, logits, labels = measure(folders[args.folder], folders[args.folds], args.data)
    about = {"command": shlex.join(["python", *sys.orig_argv[1:]]), "measured_on": describe_machine()}
    atomic_write(args.output, json.dumps(report | about, indent=1) + "\n")
    if args.calibration:
        np.savez(args.calibration, voice=logits, labels=labels, **report["thresholds"])
    if args.summaries:
        left_out, folds = args.summaries
        add_calibration(left_out, report["mean_ece"], report["corpora"])
        add_calibration(folds, report["ece_of_speakers"], report["speakers"])
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
