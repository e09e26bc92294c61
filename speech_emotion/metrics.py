"""How predictions are scored: accuracy, UAR and macro-F1, calibration, and the temperature that mends it."""

import datasets
import evaluate
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score, f1_score, recall_score

CALIBRATION_BINS = 15  # as in Guo et al. (2017)


class EmotionMetric(evaluate.Metric):
    """Accuracy, unweighted average recall (UAR) and macro-F1, over the classes that occur in the references.

    `EmotionMetric().compute(predictions=..., references=...)` takes class indices. A local module, because
    `evaluate.load("accuracy")` asks the hub.
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
        classes = sorted(set(references))
        per_class = {"labels": classes, "average": "macro", "zero_division": 0}
        return {
            "accuracy": float(accuracy_score(references, predictions)),
            "uar": float(recall_score(references, predictions, **per_class)),
            "macro_f1": float(f1_score(references, predictions, **per_class)),
        }


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean gap between confidence and accuracy over 15 equal bins of confidence, weighted by their clips.

    Guo et al. (2017), https://arxiv.org/abs/1706.04599.

    Args:
        logits: shape [clips, classes].
        labels: class indices, shape [clips].

    Returns:
        0 (calibrated) to 1.
    """
    probabilities = softmax(logits, axis=1)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature that minimises the log loss of `logits / temperature`, between 0.05 and 20.

    Args:
        logits: shape [clips, classes], of clips the model was not trained on.
        labels: class indices, shape [clips].
    """

    def log_loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scaled[np.arange(len(labels)), labels].mean()

    return float(np.exp(minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))
