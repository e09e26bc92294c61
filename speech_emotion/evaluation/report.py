"""Measure a finished model folder on speakers it never heard, and write its report, pictures and card.

    python -m speech_emotion.evaluation models/wav2vec2 --data data/emotion

The folder's checkpoint is loaded as it is published, so the figures describe it, not what was in memory at
the end of training. `speech_emotion.export` measures how far an export strays from it. `train.py` ends with
the same function.
"""

import argparse
import json
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import evaluate
import numpy as np
import torch
from datasets import Dataset, DatasetDict
from sklearn.metrics import confusion_matrix
from tqdm import tqdm

from speech_emotion.atomic import atomic_directory, format_os_error, restore
from speech_emotion.audio.decoding import SAMPLE_RATE, load_audio
from speech_emotion.audio.degradations import BABBLE_VOICES, MP3_BIT_RATE, babble, mp3, telephone, white_noise
from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.evaluation.card import calibration_split, fill_card, interval, leaks, percent
from speech_emotion.evaluation.metrics import (
    LEAST_COVERAGE,
    TARGET_ACCURACY,
    EmotionMetric,
    bootstrap,
    choose_threshold,
    expected_calibration_error,
    expected_calibration_error_by_chance,
    reliability,
    risk_coverage_curve,
    score_confusions,
    selective_accuracy,
)
from speech_emotion.evaluation.plots import plot_confusion, plot_coverage, plot_reliability
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.machine import describe_machine
from speech_emotion.models.folder import PICTURES
from speech_emotion.models.loading import WINDOW_SECONDS, load_classifier

BATCH_SIZE = 16
SEED = 0  # of the noise and of the bootstrap's draws
HELD_OUT = "validation.npz"  # in a refitted model's folder, see `predict_validation`
SNRS_DB = (20, 10, 0)


def evaluate_folder(
    folder: Path, dataset: DatasetDict, training: dict, quick: bool = False, comparisons: Sequence[Path] = ()
) -> dict:
    """Measure the model in a folder and write `report.json`, its pictures and `README.md` into it.

    Args:
        folder: a model folder.
        dataset: as `open_dataset` gives it; its labels are the model's.
        training: how the model came to be, kept in the report as it is; `temperature` in it is what its last
            layer was divided by, `speakers` are those it heard.
        quick: leave out `robustness` and `pipeline`, nine tenths of the time; both are None then.
        comparisons: summaries to compare it with, as `train.py --summary` writes them.

    Returns:
        The report. Every accuracy, recall, precision, F1, coverage, confidence, calibration error and
        interval in it is a share, 0..1; None stands where there was nothing to measure.

        - `model`, `architecture`, `parameters` (how many), `labels`: what was measured.
        - `split`, `clips`, `speakers`, `seed` (of noise and bootstrap), `command` (what was run): on what.
        - `overall`, `groups`, `by_channel`, `by_gender`, `by_speaker`, `per_class`, `confusion_matrix`: see
          `measure`.
        - `majority_class`: what always answering the most common `label` of the training split scores.
        - `calibration`: see `measure_calibration`; `threshold`, `selective`: see `measure_threshold`.
        - `robustness`: see `measure_robustness`; `pipeline`: see `measure_pipeline`.
        - `comparisons`: see `read_comparisons`.
        - `training`: as given. `measured_on`: see `describe_machine`.

    Raises:
        ValueError: the dataset's labels are not the model's, or training heard one of its test speakers
            without the protocol `random` having been asked for.
    """
    classifier = EmotionClassifier(*load_classifier(folder))  # the checkpoint itself, not an export of it
    classifier.model.to("cuda" if torch.cuda.is_available() else "cpu")
    rows, others = dataset["test"], dataset["validation"]
    heard = set(rows["speaker"]) & set(training["speakers"])
    if heard and not leaks(training):
        raise ValueError(f"{folder} was trained on speakers of the test split: {', '.join(sorted(heard))}.")
    if rows.features["emotion"].names != classifier.labels:
        raise ValueError(f"The dataset's labels are not those of {folder}: {', '.join(classifier.labels)}.")
    test = predict_rows(classifier, rows), np.array(rows["emotion"])
    validation = predict_validation(folder, classifier, others)
    majority = Counter(dataset["train"]["emotion"]).most_common(1)[0][0]
    report = {
        "model": folder.name,
        "architecture": type(classifier.model).__name__,
        "parameters": classifier.model.num_parameters(),
        "labels": classifier.labels,
        "split": "test",
        "seed": SEED,
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        **measure(*test, rows, classifier.labels),
        "majority_class": {
            "label": classifier.labels[majority],
            **_score(np.full_like(test[1], majority), test[1]),
        },
        "calibration": measure_calibration(test, validation, training["temperature"]),
        **measure_threshold(test, validation),
        "robustness": None if quick else measure_robustness(classifier, rows, test[0]),
        "pipeline": None if quick else measure_pipeline(folder, rows, test[0]),
        "comparisons": read_comparisons(comparisons),
        "training": training,
        "measured_on": describe_machine(),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    draw_pictures(folder, report)
    (folder / "README.md").write_text(fill_card(report))
    return report


def predict_validation(
    folder: Path, classifier: EmotionClassifier, rows: Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Give logits [clips, classes] and class indices [clips] of validation speakers new to a model.

    A refitted model has heard them in the end. What the models of the trainings that held speakers out made
    of those lies in the folder, divided by the same temperature.
    """
    if (folder / HELD_OUT).exists():
        with np.load(folder / HELD_OUT) as kept:
            return kept["logits"], kept["labels"]
    return predict_rows(classifier, rows, "validation"), np.array(rows["emotion"])


def predict_rows(
    classifier: EmotionClassifier,
    rows: Dataset,
    name: str = "test",
    change: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> np.ndarray:
    """Compute the logits of every row; batches hold clips of about one length.

    Args:
        classifier: the model.
        rows: a split of the dataset.
        name: what to call it while it runs.
        change: what happens to each clip before, given its samples and the number of its row.

    Returns:
        float32, shape [clips, classes].
    """
    order = np.argsort(rows["duration"])
    logits = np.empty((len(rows), len(classifier.labels)), np.float32)
    for start in tqdm(range(0, len(rows), BATCH_SIZE), desc=name, unit="batch"):
        batch = order[start : start + BATCH_SIZE]
        clips = [read_clip(rows[int(index)]) for index in batch]
        if change:
            clips = [change(clip, int(index)) for clip, index in zip(clips, batch, strict=True)]
        logits[batch] = classifier.logits(clips)
    return logits


def measure(logits: np.ndarray, truth: np.ndarray, rows: Dataset, labels: list[str]) -> dict:
    """Score logits overall, per class, per speaker, and per group of speakers.

    Args:
        logits: shape [clips, classes].
        truth: class indices, shape [clips].
        rows: the clips, for their `corpus`, `channel`, `gender` and `speaker`.
        labels: class names.

    Returns:
        - `clips`: how many, and `speakers`: their names.
        - `overall`: `accuracy`, `uar`, `macro_f1` and `weighted_f1` (see `metrics.score_confusions`), and
          the `interval` of each: [lower, upper] of `metrics.bootstrap`, None for a single speaker.
        - `groups`: the same with `clips` and the number of `speakers`, for each corpus with speech and song
          apart; `by_channel`: for speech and song; `by_gender`: for each gender, and for each within a
          corpus: only there are two comparable, for corpora differ in difficulty and some have one gender.
        - `by_speaker`: `corpus`, `gender`, `clips` and the four scores.
        - `per_class`: `clips`, `precision`, `recall`, `f1`, and the `interval` of each.
        - `confusion_matrix`: counts, rows the true class, columns the predicted one.
    """
    predictions, speakers = logits.argmax(axis=1), np.array(rows["speaker"])
    matrix = confusion_matrix(truth, predictions, labels=range(len(labels)))

    def score_groups(columns: tuple[str, ...]) -> dict:
        return {
            name: {
                "clips": int(own.sum()),
                "speakers": len(set(speakers[own])),
                **_score_with_interval(predictions[own], truth[own], speakers[own]),
            }
            for name, own in _group(rows, columns).items()
        }

    return {
        "clips": len(truth),
        "speakers": sorted(set(speakers.tolist())),
        "overall": _score_with_interval(predictions, truth, speakers),
        "groups": score_groups(("corpus", "channel")),
        "by_channel": score_groups(("channel",)),
        "by_gender": score_groups(("gender",)) | score_groups(("corpus", "gender")),
        "by_speaker": {
            str(speaker): {
                "corpus": rows["corpus"][int(first)],
                "gender": rows["gender"][int(first)],
                "clips": int((speakers == speaker).sum()),
                **_score(predictions[speakers == speaker], truth[speakers == speaker]),
            }
            for speaker, first in zip(*np.unique(speakers, return_index=True), strict=True)
        },
        "per_class": _score_classes(
            matrix, bootstrap(predictions, truth, speakers, len(labels), SEED), labels
        ),
        "confusion_matrix": matrix.tolist(),
    }


def measure_calibration(
    test: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray], temperature: float
) -> dict:
    """Say how far confidence is from accuracy, as the folder is and as it was before its temperature.

    Args:
        test: logits [clips, classes] and class indices [clips].
        validation: the same of the speakers on whom the temperature was fitted.
        temperature: what the logits were divided by.

    Returns:
        - `temperature`; above 1 it lowers confidence, below 1 it raises it.
        - `ece` and `ece_before`: expected calibration error on the test speakers, with and without it.
        - `ece_by_chance`: what a perfectly calibrated model would have of so few clips, on average.
        - `bins` and `bins_before`: what `metrics.reliability` gives for each.
        - `validation`: these five on the validation speakers.
    """

    def describe(logits: np.ndarray, truth: np.ndarray) -> dict:
        before, bins = reliability(logits * temperature, truth), reliability(logits, truth)
        return {
            "ece_before": expected_calibration_error(before),
            "ece": expected_calibration_error(bins),
            "ece_by_chance": expected_calibration_error_by_chance(bins),
            "bins_before": before,
            "bins": bins,
        }

    return {"temperature": temperature, **describe(*test), "validation": describe(*validation)}


def measure_threshold(test: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray]) -> dict:
    """Choose on validation speakers when to answer "not sure", and say what that gives on test speakers.

    Args:
        test: logits [clips, classes] and class indices [clips].
        validation: the same of the validation speakers.

    Returns:
        - `threshold`: the confidence below which a clip gets no answer, by `metrics.choose_threshold`.
        - `selective`: `target_accuracy` and `least_coverage`, the rule's settings; `validation` and `test`,
          each with `coverage` and `accuracy` at the threshold (`metrics.selective_accuracy`), and the `curve`
          of `metrics.risk_coverage_curve`.
    """
    threshold = choose_threshold(*validation)
    splits = {
        name: selective_accuracy(*own, threshold) | {"curve": risk_coverage_curve(*own)}
        for name, own in (("validation", validation), ("test", test))
    }
    rule = {"target_accuracy": TARGET_ACCURACY, "least_coverage": LEAST_COVERAGE}
    return {"threshold": threshold, "selective": rule | splits}


def measure_robustness(classifier: EmotionClassifier, rows: Dataset, clean: np.ndarray) -> dict:
    """Score the clips once more after each of `degradations.py`.

    Args:
        classifier: the model.
        rows: the test split.
        clean: its logits as they are, shape [clips, classes].

    Returns:
        Scores (`accuracy`, `uar`, `macro_f1`, `weighted_f1`) by condition, `clean` first. Noise is drawn by
        `SEED` and the number of the row, so each clip gets the same at every level; babble is made of the
        split's other speakers.
    """
    truth, speakers = np.array(rows["emotion"]), np.array(rows["speaker"])

    def add_white(audio: np.ndarray, index: int, snr_db: float) -> np.ndarray:
        return white_noise(audio, snr_db, np.random.default_rng((SEED, index)))

    def add_babble(audio: np.ndarray, index: int, snr_db: float) -> np.ndarray:
        rng = np.random.default_rng((SEED, index))
        others = rng.choice(np.flatnonzero(speakers != speakers[index]), BABBLE_VOICES)
        return babble(audio, snr_db, [read_clip(rows[int(other)]) for other in others], rng)

    noises = {"white noise": add_white}
    if len(set(speakers)) > 1:  # else nobody is there to babble
        noises["babble"] = add_babble
    conditions = {
        f"{name}, {snr_db} dB": partial(add, snr_db=snr_db)
        for name, add in noises.items()
        for snr_db in SNRS_DB
    }
    conditions["telephone"] = lambda audio, _: telephone(audio)
    conditions[f"MP3, {MP3_BIT_RATE // 1000} kbit/s"] = lambda audio, _: mp3(audio)
    scores = {"clean": _score(clean.argmax(axis=1), truth)}
    for name, change in conditions.items():
        scores[name] = _score(predict_rows(classifier, rows, name, change).argmax(axis=1), truth)
    return scores


def measure_pipeline(folder: Path, rows: Dataset, logits: np.ndarray) -> dict:
    """Let `evaluate`'s own evaluator score the folder through transformers' pipeline, as a stranger would.

    The pipeline takes a clip whole, where `EmotionClassifier` averages windows of 5 s; so the two are
    compared on the clips that fit into one window, where they must agree but for rounding.

    Args:
        folder: the model folder.
        rows: the test split.
        logits: what the classifier made of it, shape [clips, classes].

    Returns:
        `max_seconds` and `clips`: which were scored and how many; `accuracy`, `uar`, `macro_f1` and
        `weighted_f1` as the evaluator gives them; `classifier`: ours on the same clips.
    """
    short = np.flatnonzero(np.array(rows["duration"]) <= WINDOW_SECONDS)
    metric = EmotionMetric(keep_in_memory=True)
    labels = rows.features["emotion"].names
    clips = rows.select(short).select_columns(["audio", "emotion"]).with_transform(_decode_for_pipeline)
    # Given the folder's name, not a pipeline: for anything else evaluate looks for transformers' TensorFlow
    # classes, which are gone. Its own running times are of no use here.
    scores = evaluate.evaluator("audio-classification").compute(
        str(folder),
        clips,
        metric=metric,
        input_column="audio",
        label_column="emotion",
        label_mapping={label: index for index, label in enumerate(labels)},
    )
    own = _score(logits[short].argmax(axis=1), np.array(rows["emotion"])[short])
    return {
        "max_seconds": WINDOW_SECONDS,
        "clips": len(short),
        **{name: scores[name] for name in own},
        "classifier": own,
    }


def read_comparisons(files: Sequence[Path]) -> dict:
    """Read what other protocols gave: the same recipe cross-validated or on a leaking split, or a floor.

    Returns:
        By the name of the file what its summary says of `protocols`, `leaks_speakers`, `clips`, `speakers`
        and `overall`; the network's `architecture`, its number of `parameters` and its expected calibration
        error as `ece` (each None where there is none); and the `uar` of its `groups`. See
        `summary.summarise`.

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


def draw_pictures(folder: Path, report: dict) -> None:
    """Draw the card's `PICTURES` of a report into a folder."""
    title = f"{report['model']}: {report['clips']:,} clips of {speaker_note(report)}, % of each row"
    calibration, selective = report["calibration"], report["selective"]
    tuned = calibration_split(report["training"])
    figures = {
        "confusion_matrix": plot_confusion(np.array(report["confusion_matrix"]), report["labels"], title),
        "reliability": plot_reliability({tuned: calibration["validation"], "test": calibration}),
        "coverage": plot_coverage(
            {tuned: selective["validation"], "test": selective["test"]},
            selective["target_accuracy"],
            report["threshold"],
        ),
    }
    for name, figure in figures.items():
        figure.savefig(folder / PICTURES[name], dpi=110)


def speaker_note(report: dict) -> str:
    """Say whether the test speakers are new to the model."""
    return "speakers heard in training (leaking)" if leaks(report["training"]) else "speakers never heard"


def print_report(report: dict) -> None:
    """Print the scores of every group beside the majority-class line, then what else was measured."""
    groups = {"all": report["overall"]} | report["groups"] | report["by_channel"] | report["by_gender"]
    groups[f"always {report['majority_class']['label']!r}"] = report["majority_class"]
    print(
        f"{report['split']} split, {len(report['speakers'])} {speaker_note(report)}, {report['clips']} clips"
    )
    print(f"{'':22}{'accuracy':>10}{'UAR':>10}{'macro-F1':>10}{'95% interval of UAR':>22}")
    for name, own in groups.items():
        ends = interval(own.get("interval"), "uar")
        print(f"{name:22}{own['accuracy']:10.1%}{own['uar']:10.1%}{own['macro_f1']:10.1%}{ends:>22}")
    for name, own in (report["robustness"] or {}).items():
        print(f"{name:22}{own['accuracy']:10.1%}{own['uar']:10.1%}{own['macro_f1']:10.1%}")
    calibration, answered = report["calibration"], report["selective"]["test"]
    print(
        f"calibration error {calibration['ece']:.3f} (before the temperature {calibration['ece_before']:.3f})"
    )
    print(
        f"answers of confidence {report['threshold']:.2f} or more: "
        f"{percent(answered['coverage'])} of clips, {percent(answered['accuracy'])} right"
    )


def _score(predictions: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return EmotionMetric(keep_in_memory=True).compute(predictions=predictions, references=truth)


def _score_with_interval(predictions: np.ndarray, truth: np.ndarray, speakers: np.ndarray) -> dict:
    intervals = bootstrap(predictions, truth, speakers, int(max(predictions.max(), truth.max())) + 1, SEED)
    scores = _score(predictions, truth)
    return scores | {"interval": intervals and {name: _ends(ends) for name, ends in intervals[0].items()}}


def _score_classes(matrix: np.ndarray, intervals: tuple | None, labels: list[str]) -> dict:
    _, scores = score_confusions(matrix)
    return {
        label: {
            "clips": int(matrix[index].sum()),
            **{name: None if np.isnan(own[index]) else float(own[index]) for name, own in scores.items()},
            "interval": intervals and {name: _ends(own[:, index]) for name, own in intervals[1].items()},
        }
        for index, label in enumerate(labels)
    }


def _group(rows: Dataset, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Mark the clips that have the same facts by these, as `ravdess song`: booleans, [clips]."""
    facts = zip(*(rows[column] for column in columns), strict=True)
    names = np.array([" ".join(fact or "unstated" for fact in each) for each in facts])
    return {str(name): names == name for name in np.unique(names)}


def _ends(ends: np.ndarray) -> list[float] | None:
    return None if np.isnan(ends).any() else ends.tolist()


def _decode_for_pipeline(batch: dict) -> dict:
    """Decode what a batch of rows has as audio: datasets itself would need torchcodec and FFmpeg."""
    if "audio" not in batch:
        return batch
    decoded = [load_audio(audio["bytes"]) for audio in batch["audio"]]
    return batch | {"audio": [{"array": clip, "sampling_rate": SAMPLE_RATE} for clip in decoded]}


def main() -> None:
    """Measure a finished folder again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="model folder with its report.json")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--quick", action="store_true", help="leave out noise, telephone, MP3 and pipeline")
    parser.add_argument(
        "--comparisons",
        nargs="*",
        type=Path,
        default=[],
        help="summaries to compare with, of benchmarks/results",
    )
    args = parser.parse_args()
    restore(args.folder)
    before = args.folder / "report.json"
    if not before.is_file():
        raise SystemExit(f"{args.folder} has no report.json, which would say how its model was trained.")
    try:
        training = json.loads(before.read_text())["training"]
        dataset = open_dataset(args.data)
        with atomic_directory(args.folder, "report.json") as fresh:
            shutil.copytree(args.folder, fresh, dirs_exist_ok=True)
            report = evaluate_folder(fresh, dataset, training, args.quick, args.comparisons)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    except OSError as error:
        raise SystemExit(f"{format_os_error(error, args.folder)}. The report is as it was.") from error
    print_report(report)
