"""Scores of a model's predictions overall, per class, and per group of clips."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from sklearn.metrics import confusion_matrix

from speech_emotion.evaluation.calibration import expected_calibration_error, reliability
from speech_emotion.evaluation.metrics import EmotionMetric, bootstrap, score_confusions
from speech_emotion.evaluation.predict import SEED

UNSTATED = "unstated"  # the group of clips whose corpus does not state a fact


def measure(logits: np.ndarray, truth: np.ndarray, rows: Dataset, labels: list[str]) -> dict:
    """Score logits overall, per class, per speaker, and per group of speakers.

    Args:
        logits: shape [clips, classes].
        truth: class indices, shape [clips].
        rows: the clips, for their `corpus`, `channel`, `gender`, `language` and `speaker`.
        labels: class names.

    Returns:
        - `clips`: how many, and `speakers`: their names.
        - `overall`: `accuracy`, `uar`, `macro_f1` and `weighted_f1` (see `metrics.score_confusions`), and
          the `interval` of each: [lower, upper] of `metrics.bootstrap`, None for a single speaker.
        - `groups`: the same with `clips` and the number of `speakers`, for each corpus with speech and song
          apart; `by_channel`: for speech and song; `by_language`; `by_gender`: for each gender, and for each
          within a corpus: only there are two comparable, for corpora differ in difficulty and some have one
          gender.
        - `by_speaker`: `corpus`, `gender`, `clips` and the four scores.
        - `per_class`: `clips`, `precision`, `recall`, `f1`, and the `interval` of each.
        - `confusion_matrix`: counts, rows the true class, columns the predicted one.
    """
    predictions, speakers = logits.argmax(axis=1), np.array(rows["speaker"])
    matrix = confusion_matrix(truth, predictions, labels=range(len(labels)))

    def score_groups(columns: tuple[str, ...]) -> dict:
        return {
            name: score_group(predictions[own], truth[own], speakers[own])
            for name, own in _group(rows, columns).items()
        }

    return {
        "clips": len(truth),
        "speakers": sorted(set(speakers.tolist())),
        "overall": _score_with_interval(predictions, truth, speakers),
        "groups": score_groups(("corpus", "channel")),
        "by_channel": score_groups(("channel",)),
        "by_language": score_groups(("language",)),
        "by_gender": score_groups(("gender",)) | score_groups(("corpus", "gender")),
        "by_speaker": {
            str(speaker): {
                "corpus": rows["corpus"][int(first)],
                "gender": rows["gender"][int(first)],
                "clips": int((speakers == speaker).sum()),
                **score(predictions[speakers == speaker], truth[speakers == speaker]),
            }
            for speaker, first in zip(*np.unique(speakers, return_index=True), strict=True)
        },
        "per_class": _score_classes(
            matrix, bootstrap(predictions, truth, speakers, len(labels), SEED), labels
        ),
        "confusion_matrix": matrix.tolist(),
    }


def measure_left_out(
    logits: np.ndarray, truth: np.ndarray, rows: Dataset, trained_on: Sequence[str]
) -> dict | None:
    """Score the corpora of which training had no clip: another kind of recording, not only another voice.

    Args:
        logits: shape [clips, classes].
        truth: class indices, shape [clips].
        rows: the clips, for their `corpus` and `speaker`.
        trained_on: corpora of the training clips.

    Returns:
        By corpus what `score_group` returns, and the expected calibration error as `ece`; None where training
        had clips of every corpus.
    """
    speakers = np.array(rows["speaker"])
    groups = {name: own for name, own in _group(rows, ("corpus",)).items() if name not in trained_on}
    return {
        name: score_group(logits[own].argmax(axis=1), truth[own], speakers[own])
        | {"ece": expected_calibration_error(reliability(logits[own], truth[own]))}
        for name, own in groups.items()
    } or None


def score_group(predictions: np.ndarray, truth: np.ndarray, speakers: np.ndarray) -> dict:
    """Return the number of `clips` and `speakers` of a group, its four scores and their `interval`."""
    counts = {"clips": len(truth), "speakers": len(set(speakers.tolist()))}
    return counts | _score_with_interval(predictions, truth, speakers)


def score(predictions: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compute accuracy, UAR, macro-F1 and weighted F1 of class indices, both of shape [clips]."""
    return EmotionMetric(keep_in_memory=True).compute(predictions=predictions, references=truth)


def _score_with_interval(predictions: np.ndarray, truth: np.ndarray, speakers: np.ndarray) -> dict:
    intervals = bootstrap(predictions, truth, speakers, int(max(predictions.max(), truth.max())) + 1, SEED)
    return score(predictions, truth) | {
        "interval": intervals and {name: _ends(ends) for name, ends in intervals[0].items()}
    }


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
    """Return the clips of each group as booleans, shape [clips], by the group's name, as `ravdess song`."""
    facts = zip(*(rows[column] for column in columns), strict=True)
    names = np.array([" ".join(fact or UNSTATED for fact in each) for each in facts])
    return {str(name): names == name for name in np.unique(names)}


def _ends(ends: np.ndarray) -> list[float] | None:
    return None if np.isnan(ends).any() else ends.tolist()
