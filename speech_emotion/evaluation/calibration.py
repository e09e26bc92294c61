"""Calibration: how far confidence is from accuracy, and the temperature that brings them together."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from speech_emotion.evaluation.selective import confidence_and_hits

CALIBRATION_BINS = 15  # as in Guo et al. (2017)


def reliability(logits: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Compare confidence with accuracy in 15 bins of equal width between 0 and 1.

    Args:
        logits: shape [clips, classes].
        labels: class indices, shape [clips].

    Returns:
        For each bin with clips in it: their mean `confidence` (0..1, the probability of the class chosen),
        their `accuracy` (0..1) and how many `clips` there are.
    """
    confidence, correct = confidence_and_hits(logits, labels)
    bins = _bin_of(confidence)
    return [
        {
            "confidence": float(confidence[bins == index].mean()),
            "accuracy": float(correct[bins == index].mean()),
            "clips": int((bins == index).sum()),
        }
        for index in np.unique(bins)
    ]


def expected_calibration_error(bins: list[dict[str, float]]) -> float:
    """Compute the mean gap between confidence and accuracy over bins, weighted by their clips.

    It is the expected calibration error of Guo et al. (2017), https://arxiv.org/abs/1706.04599: from 0
    (calibrated) to 1.

    Args:
        bins: of `reliability`.
    """
    clips = sum(own["clips"] for own in bins)
    return sum(own["clips"] * abs(own["confidence"] - own["accuracy"]) for own in bins) / clips


def expected_calibration_error_by_chance(bins: list[dict[str, float]]) -> float:
    """Compute the calibration error that a perfectly calibrated model would show by chance.

    Of n clips that are right with probability p each, the share that is right differs from p by
    sqrt(2 p (1 - p) / (pi n)) on average (the mean absolute deviation of the normal approximation).

    Args:
        bins: of `reliability`.
    """
    clips = np.array([own["clips"] for own in bins])
    share = np.array([own["confidence"] for own in bins])
    deviations = np.sqrt(2 * share * (1 - share) / (np.pi * clips))
    return float(np.average(deviations, weights=clips))


def pool_bins(several: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Join the bins of several sets of clips as if all had been one set."""
    joined = {}
    for own in (own for bins in several for own in bins):
        joined.setdefault(int(_bin_of(own["confidence"])), []).append(own)
    pooled = []
    for _, parts in sorted(joined.items()):
        clips = [part["clips"] for part in parts]
        means = {
            name: float(np.average([part[name] for part in parts], weights=clips))
            for name in ("confidence", "accuracy")
        }
        pooled.append(means | {"clips": sum(clips)})
    return pooled


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that minimises the log loss of `logits / temperature`, between 0.05 and 20.

    Args:
        logits: shape [clips, classes], of clips the model was not trained on.
        labels: class indices, shape [clips].
    """

    def log_loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scaled[np.arange(len(labels)), labels].mean()

    return float(np.exp(minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def measure_calibration(
    test: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray], temperature: float
) -> dict:
    """Measure how far confidence is from accuracy, with the folder's temperature and without it.

    Args:
        test: logits [clips, classes] and class indices [clips].
        validation: the same of the speakers on whom the temperature was fitted.
        temperature: what the logits were divided by.

    Returns:
        - `temperature`; above 1 it lowers confidence, below 1 it raises it.
        - `ece` and `ece_before`: expected calibration error on the test speakers, with and without it.
        - `ece_by_chance`: what a perfectly calibrated model would have of so few clips, on average.
        - `bins` and `bins_before`: the bins of `reliability` for each.
        - `validation`: these five on the validation speakers.
    """

    def errors(logits: np.ndarray, truth: np.ndarray) -> dict:
        before, bins = reliability(logits * temperature, truth), reliability(logits, truth)
        return {
            "ece_before": expected_calibration_error(before),
            "ece": expected_calibration_error(bins),
            "ece_by_chance": expected_calibration_error_by_chance(bins),
            "bins_before": before,
            "bins": bins,
        }

    return {"temperature": temperature, **errors(*test), "validation": errors(*validation)}


def _bin_of(confidence: np.ndarray | float) -> np.ndarray:
    """Return the number of the bin that a confidence falls into, from 0."""
    return np.minimum(np.asarray(confidence) * CALIBRATION_BINS, CALIBRATION_BINS - 1).astype(int)
