"""Scores of predictions, and their intervals over speakers."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import confusion_matrix

RESAMPLES = 2000  # of the speakers, for an interval
LEVEL = 0.95  # of an interval


class EmotionMetric(evaluate.Metric):
    """Accuracy, unweighted average recall (UAR), macro-F1 and weighted F1; see `score_confusions`.

    `EmotionMetric().compute(predictions=..., references=...)` takes class indices. It needs no hub, as
    `evaluate.load("accuracy")` does.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
            ),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        overall, _ = score_confusions(confusion_matrix(references, predictions))
        return {name: float(value) for name, value in overall.items()}


def score_confusions(matrices: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Score confusion matrices, any number of them at once.

    Args:
        matrices: counts of clips, rows the true class, columns the predicted one, [..., classes, classes].

    Returns:
        Two dicts of shares 0..1. Overall, shape [...]: `accuracy`, `uar` (the mean of the recalls),
        `macro_f1` (the mean of the F1) and `weighted_f1` (each F1 weighted by its class's clips), over the
        classes that have clips. Per class, [..., classes]: `precision` (0 where it is never predicted),
        `recall` and `f1` (NaN where it has no clips).
    """
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    true, predicted = matrices.sum(axis=-1), matrices.sum(axis=-2)
    total = true.sum(axis=-1)
    count = np.where(true > 0, true, np.nan)
    per_class = {
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / count,
        "f1": 2 * hits / (count + predicted),
    }
    overall = {
        "accuracy": hits.sum(axis=-1) / total,
        "uar": np.nanmean(per_class["recall"], axis=-1),
        "macro_f1": np.nanmean(per_class["f1"], axis=-1),
        "weighted_f1": np.nansum(per_class["f1"] * true, axis=-1) / total,
    }
    return overall, per_class


def bootstrap(
    predictions: np.ndarray, truth: np.ndarray, speakers: np.ndarray, classes: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | None:
    """Compute confidence intervals of the scores over speakers, by bootstrap.

    Clips of one speaker are alike, so speakers are drawn with replacement, each with all their clips. The
    interval is between the 2.5th and the 97.5th percentile of 2000 draws.

    Args:
        predictions: class indices, shape [clips].
        truth: class indices, shape [clips].
        speakers: of the clips, shape [clips].
        classes: number of classes.
        seed: of the draws.

    Returns:
        Lower and upper ends, shares 0..1, in the two dicts of `score_confusions`: overall [2], per class
        [2, classes]; NaN for a class without clips. None where there is only one speaker.
    """
    names = np.unique(speakers)
    if len(names) < 2:
        return None
    matrices = np.stack(
        [
            confusion_matrix(truth[speakers == name], predictions[speakers == name], labels=range(classes))
            for name in names
        ]
    )
    chances = np.full(len(names), 1 / len(names))
    draws = np.random.default_rng(seed).multinomial(len(names), chances, size=RESAMPLES)
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    overall, per_class = score_confusions(np.tensordot(draws, matrices, axes=1))
    present = matrices.sum(axis=(0, 2)) > 0
    intervals = {name: np.full((2, classes), np.nan) for name in per_class}
    for name, values in per_class.items():
        intervals[name][:, present] = np.nanquantile(values[:, present], ends, axis=0)
    return {name: np.quantile(values, ends) for name, values in overall.items()}, intervals
