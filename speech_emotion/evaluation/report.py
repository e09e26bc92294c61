"""The report of a finished model: everything measured on speakers that it was not trained on.

The folder's checkpoint is loaded as it is published, so the figures describe it and not what was in memory at
the end of training. `speech_emotion.export` measures how far an export differs from it.
"""

import json
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, DatasetDict

from speech_emotion.evaluation import pipeline, robustness
from speech_emotion.evaluation.calibration import measure_calibration
from speech_emotion.evaluation.card import fill_card, interval, leaks, percent, says_little
from speech_emotion.evaluation.plots import draw_pictures
from speech_emotion.evaluation.predict import (
    SEED,
    Predictions,
    draw_rows,
    predict_rows,
    predict_validation,
)
from speech_emotion.evaluation.scores import measure, measure_left_out, score
from speech_emotion.evaluation.selective import measure_false_alarm, measure_threshold
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.machine import describe_machine
from speech_emotion.models.folder import REPORT_VERSION, ServedReport, Threshold
from speech_emotion.models.loading import load_classifier

# Figures of `elsewhere` that a report repeats.
ELSEWHERE = ("left_out", "speakers_left_out", "false_alarms", "mean_uar", "mean_ece", "command")


class Report(ServedReport):
    """The content of `report.json`.

    Every accuracy, recall, precision, F1, coverage, confidence, calibration error and interval is a share,
    0..1; None stands where nothing was measured.

    Attributes:
        model: name of the folder.
        split: `test`.
        clips: number of test clips of corpora that training had clips of; all where it had of none.
        speakers: their names.
        refused: number of them in which serving finds no speech.
        seed: of noise, of the clips drawn, and of the bootstrap.
        command: what was run.
        overall: see `scores.measure`, as for the next six.
        groups: by corpus, speech and song apart.
        by_channel: speech and song.
        by_language: by the corpus's language.
        by_gender: and by corpus.
        by_speaker: the four scores of each.
        per_class: precision, recall and F1 of each.
        left_out: test corpora of which training had no clip, see `scores.measure_left_out`.
        majority_class: scores of always answering the most common `label` of the training split.
        selective: see `selective.measure_threshold`.
        false_alarm: see `selective.measure_false_alarm`.
        sure_elsewhere: what chose the thresholds, see `elsewhere.measure`; None where validation clips did.
        robustness: see `robustness.measure_robustness`; None in a quick report, as the next three.
        surroundings: see `robustness.measure_surroundings`.
        short_clips: see `robustness.measure_short_clips`.
        pipeline: see `pipeline.measure_pipeline`.
        training: how the model was made, see `training.record.describe_training`.
        measured_on: see `machine.describe_machine`.
    """

    model: str
    split: str
    clips: int
    speakers: list[str]
    refused: int
    seed: int
    command: str
    overall: dict
    groups: dict[str, dict]
    by_channel: dict[str, dict]
    by_language: dict[str, dict]
    by_gender: dict[str, dict]
    by_speaker: dict[str, dict]
    per_class: dict[str, dict]
    left_out: dict[str, dict] | None
    majority_class: dict
    selective: dict
    false_alarm: dict | None
    sure_elsewhere: dict | None
    robustness: dict[str, dict] | None
    surroundings: dict[str, dict] | None
    short_clips: dict[str, dict] | None
    pipeline: dict | None
    training: dict
    measured_on: dict


def evaluate_folder(
    folder: Path,
    dataset: DatasetDict,
    training: dict,
    quick: bool = False,
    comparisons: Sequence[Path] = (),
    threshold: Threshold | None = None,
    elsewhere: Path | None = None,
) -> Report:
    """Measure the model in a folder and write `report.json`, its pictures and `README.md` into it.

    Args:
        folder: a model folder.
        dataset: of `open_dataset`; its labels are the model's.
        training: how the model was made, kept in the report as it is. `temperature` in it is what the last
            layer was divided by, `speakers` are those of the training clips.
        quick: leave out `robustness`, `surroundings`, `short_clips` and `pipeline`, nine tenths of the time.
        comparisons: summaries to compare with, as `train.py --summary` writes them.
        threshold: confidence from which on the model is sure, for all labels or for each; chosen on
            validation clips by default.
        elsewhere: figures of `evaluation.elsewhere`, whose thresholds are taken instead.

    Raises:
        ValueError: the dataset's labels are not the model's, or the model was trained on one of its test
            speakers although its record does not say so.
    """
    classifier = EmotionClassifier(*load_classifier(folder))  # the checkpoint itself, not an export of it
    classifier.model.to("cuda" if torch.cuda.is_available() else "cpu")
    _check_dataset(folder, classifier, dataset, training)
    rows, truth = dataset["test"], np.array(dataset["test"]["emotion"])
    test = predict_rows(classifier, rows)
    validation = predict_validation(folder, classifier, dataset["validation"])
    trained_on = set(dataset["train"]["corpus"])
    known = np.flatnonzero(np.isin(rows["corpus"], list(trained_on)))
    known = known if known.size else np.arange(len(rows))  # training had no clip of any test corpus
    logits = test.logits[known], truth[known]
    majority = Counter(dataset["train"]["emotion"]).most_common(1)[0][0]
    chosen = json.loads(elsewhere.read_text()) if elsewhere else None
    threshold = chosen["thresholds"] if chosen else threshold
    sure = measure_threshold(logits, validation[:2], threshold, classifier.labels)
    report = {
        "version": REPORT_VERSION,
        "model": folder.name,
        "architecture": type(classifier.model).__name__,
        "parameters": classifier.model.num_parameters(),
        "labels": classifier.labels,
        "split": "test",
        "seed": SEED,
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        **measure(*logits, rows.select(known), classifier.labels),
        "refused": int(test.refused[known].sum()),
        "left_out": measure_left_out(test.logits, truth, rows, list(trained_on)),
        "majority_class": {
            "label": classifier.labels[majority],
            **score(np.full_like(logits[1], majority), logits[1]),
        },
        "calibration": measure_calibration(logits, validation[:2], training["temperature"]),
        **sure,
        "false_alarm": measure_false_alarm(*logits, classifier.labels, sure["threshold"]),
        "sure_elsewhere": chosen and {name: chosen[name] for name in ELSEWHERE},
        **_measure_conditions(folder, classifier, rows, test, known, sure["threshold"], quick),
        "comparisons": read_comparisons(comparisons),
        "training": training,
        "measured_on": describe_machine(),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    draw_pictures(folder, report)
    (folder / "README.md").write_text(fill_card(report))
    return report


def _check_dataset(folder: Path, classifier: EmotionClassifier, dataset: DatasetDict, training: dict) -> None:
    shared = set(dataset["test"]["speaker"]) & set(training["speakers"])
    if shared and not leaks(training):
        raise ValueError(f"{folder} was trained on speakers of the test split: {', '.join(sorted(shared))}.")
    if dataset["test"].features["emotion"].names != classifier.labels:
        raise ValueError(f"The dataset's labels are not those of {folder}: {', '.join(classifier.labels)}.")


def _measure_conditions(
    folder: Path,
    classifier: EmotionClassifier,
    rows: Dataset,
    test: Predictions,
    known: np.ndarray,
    threshold: Threshold,
    quick: bool,
) -> dict:
    """Measure what takes long, on a draw of the clips of corpora that training had clips of."""
    if quick:
        return dict.fromkeys(("robustness", "surroundings", "short_clips", "pipeline"))
    drawn = known[draw_rows(rows.select(known), robustness.MOST_CLIPS)]
    clips = rows.select(drawn)
    through_pipeline = rows.select(known[draw_rows(rows.select(known), pipeline.MOST_CLIPS)])
    as_it_lies = Predictions(*(each[drawn] for each in test))
    return {
        "robustness": robustness.measure_robustness(classifier, clips, as_it_lies.logits),
        "surroundings": robustness.measure_surroundings(classifier, clips, as_it_lies, threshold),
        "short_clips": robustness.measure_short_clips(classifier, clips, threshold),
        "pipeline": pipeline.measure_pipeline(folder, through_pipeline, classifier),
    }


def read_comparisons(files: Sequence[Path]) -> dict:
    """Read summaries of other protocols: the same recipe in cross-validation, a leaking split, a baseline.

    Returns:
        By the name of the file what its summary has of `protocols`, `leaks_speakers`, `clips`, `speakers` and
        `overall`; the network's `architecture`, its number of `parameters` and its expected calibration error
        as `ece` (each None where there is none); and the `uar` of its `groups`. See
        `cross_validation.summarise`.

    Raises:
        ValueError: a file is something else.
    """
    kept = ("protocols", "leaks_speakers", "clips", "speakers", "overall")
    summaries = {file.stem: json.loads(file.read_text()) for file in files}
    if strange := [name for name, own in summaries.items() if not {*kept, "groups"} <= set(own)]:
        raise ValueError(f"Not a summary of train.py: {', '.join(strange)}.")
    return {
        name: {key: own[key] for key in kept}
        | {"architecture": own.get("architecture"), "parameters": own.get("parameters")}
        | {"ece": (own.get("calibration") or {}).get("ece")}
        | {"groups": {group: scores["uar"] for group, scores in own["groups"].items()}}
        for name, own in summaries.items()
    }


def print_report(report: Report) -> None:
    """Print the scores of every group, the majority class, the conditions, calibration and threshold."""
    groups = {"all": report["overall"]} | report["groups"] | report["by_channel"] | report["by_language"]
    groups |= report["by_gender"]
    groups |= {f"{name}, left out": own for name, own in (report["left_out"] or {}).items()}
    groups[f"always {report['majority_class']['label']!r}"] = report["majority_class"]
    note = "speakers heard in training (leaking)" if leaks(report["training"]) else "speakers never heard"
    print(f"{report['split']} split, {len(report['speakers'])} {note}, {report['clips']} clips")
    print(f"{'':28}{'accuracy':>10}{'UAR':>10}{'macro-F1':>10}{'95% interval of UAR':>22}")
    for name, own in groups.items():
        ends = interval(own.get("interval"), "uar")
        print(f"{name:28}{own['accuracy']:10.1%}{own['uar']:10.1%}{own['macro_f1']:10.1%}{ends:>22}")
    for conditions in ("robustness", "surroundings", "short_clips"):
        for name, own in (report[conditions] or {}).items():
            print(f"{name:28}{own['accuracy']:10.1%}{own['uar']:10.1%}{own['macro_f1']:10.1%}")
    calibration, answered = report["calibration"], report["selective"]["test"]
    print(
        f"calibration error {calibration['ece']:.3f} (before the temperature {calibration['ece_before']:.3f})"
    )
    print(f"sure: {percent(answered['coverage'])} of clips, {percent(answered['accuracy'])} of them right")
    if report["false_alarm"]:
        share = percent(report["false_alarm"]["share"])
        print(f"plain talk that is surely answered with an emotion: {share}")
    if sentence := says_little(report):
        print(sentence)
