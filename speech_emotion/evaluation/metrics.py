"""How predictions are scored: recalls and their intervals, calibration, and when to answer "not sure"."""

import datasets
import evaluate
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix

CALIBRATION_BINS = 15  # as in Guo et al. (2017)
RESAMPLES = 2000  # of the speakers, for an interval
LEVEL = 0.95  # of an interval
TARGET_ACCURACY = 0.8  # of the answers given: four in five are right
LEAST_COVERAGE = 0.1  # share of clips that an accuracy must rest on to be believed
CURVE_POINTS = 20


class EmotionMetric(evaluate.Metric):
    """Accuracy, unweighted average recall (UAR), macro-F1 and weighted F1; see `score_confusions`.

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
        overall, _ = score_confusions(confusion_matrix(references, predictions))
        return {name: float(value) for name, value in overall.items()}


def score_confusions(matrices: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Score confusion matrices, any number of them at once.

    Args:
        matrices: counts of clips, rows the true class, columns the predicted one, [..., classes, classes].

    Returns:
        Two dicts of shares 0..1. Of the whole, shape [...]: `accuracy`, `uar` (the mean of the recalls),
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
    """Find how far the scores could be off because other speakers might have been the test speakers.

    Clips of one speaker are alike, so it is speakers that are drawn with replacement, each with all their
    clips. The interval is between the 2.5th and the 97.5th percentile of 2000 draws.

    Args:
        predictions: class indices, shape [clips].
        truth: class indices, shape [clips].
        speakers: whose clips they are, shape [clips].
        classes: how many classes there are.
        seed: of the draws.

    Returns:
        Lower and upper ends, shares 0..1, as `score_confusions` gives the scores: of the whole [2], per class
        [2, classes]; NaN for a class without clips. None where there is only one speaker, of whom nothing
        follows for others.
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
    heard = matrices.sum(axis=(0, 2)) > 0
    intervals = {name: np.full((2, classes), np.nan) for name in per_class}
    for name, values in per_class.items():
        intervals[name][:, heard] = np.nanquantile(values[:, heard], ends, axis=0)
    return {name: np.quantile(values, ends) for name, values in overall.items()}, intervals


def reliability(logits: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Compare confidence with accuracy in 15 bins of equal width between 0 and 1.

    Args:
        logits: shape [clips, classes].
        labels: class indices, shape [clips].

    Returns:
        For each bin with clips in it: their mean `confidence` (0..1, the probability of the class chosen),
        their `accuracy` (0..1) and how many `clips` there are.
    """
    confidence, correct = _confidence(logits, labels)
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
    """Mean gap between confidence and accuracy over the bins of `reliability`, weighted by their clips.

    It is the expected calibration error of Guo et al. (2017), https://arxiv.org/abs/1706.04599: from 0
    (calibrated) to 1.
    """
    clips = sum(own["clips"] for own in bins)
    return sum(own["clips"] * abs(own["confidence"] - own["accuracy"]) for own in bins) / clips


def expected_calibration_error_by_chance(bins: list[dict[str, float]]) -> float:
    """Compute the calibration error that a perfectly calibrated model would show by chance.

    The share of n clips that are right, each with the probability p, is off p by sqrt(2 p (1 - p) / (pi n))
    on average (the mean absolute deviation of the normal approximation).
    """
    clips = np.array([own["clips"] for own in bins])
    share = np.array([own["confidence"] for own in bins])
    deviations = np.sqrt(2 * share * (1 - share) / (np.pi * clips))
    return float(np.average(deviations, weights=clips))


def pool_bins(several: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Join what `reliability` gives for several sets of clips, as if all had been one set."""
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
    """Find the temperature that minimises the log loss of `logits / temperature`, between 0.05 and 20.

    Args:
        logits: shape [clips, classes], of clips the model was not trained on.
        labels: class indices, shape [clips].
    """

    def log_loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scaled[np.arange(len(labels)), labels].mean()

    return float(np.exp(minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def choose_threshold(logits: np.ndarray, labels: np.ndarray, target: float = TARGET_ACCURACY) -> float:
    """Choose the confidence below which to answer "not sure".

    The lowest threshold at which the share of right answers among the clips answered reaches the target: the
    one that answers most clips. Where none does, the one whose answers are most often right. Only thresholds
    that answer a tenth of the clips count, for a few lucky clips prove nothing.

    Args:
        logits: shape [clips, classes], of clips the model was not trained on.
        labels: class indices, shape [clips].
        target: accuracy wanted among the clips answered, 0..1.

    Returns:
        The threshold, 0..1: a clip is answered where its confidence is at least that. 0 answers every clip.
    """
    confidence, _ = _confidence(logits, labels)
    thresholds = np.concatenate([[0.0], np.unique(confidence)])
    at = [selective_accuracy(logits, labels, threshold) for threshold in thresholds]
    believed = [own["coverage"] >= LEAST_COVERAGE for own in at]
    accuracy = np.array([own["accuracy"] if ok else 0.0 for own, ok in zip(at, believed, strict=True)])
    reached = np.flatnonzero(accuracy >= target)
    return float(thresholds[reached[0] if reached.size else accuracy.argmax()])


def selective_accuracy(logits: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, float | None]:
    """Say what a threshold on confidence makes of clips.

    Args:
        logits: shape [clips, classes].
        labels: class indices, shape [clips].
        threshold: confidence, 0..1.

    Returns:
        `coverage`, the share of clips answered, and `accuracy`, the share of right answers among those; both
        0..1, the accuracy None where no clip is answered.
    """
    confidence, correct = _confidence(logits, labels)
    answered = confidence >= threshold
    return {
        "coverage": float(answered.mean()),
        "accuracy": float(correct[answered].mean()) if answered.any() else None,
    }


def risk_coverage_curve(logits: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Trace accuracy against the share of clips answered, the most confident first.

    Args:
        logits: shape [clips, classes].
        labels: class indices, shape [clips].

    Returns:
        A point for every twentieth of the clips: `coverage` and `accuracy`, as in `selective_accuracy`.
    """
    confidence, correct = _confidence(logits, labels)
    running = correct[np.argsort(-confidence, kind="stable")].cumsum() / np.arange(1, len(labels) + 1)
    answered = np.unique(np.ceil(len(labels) * np.arange(1, CURVE_POINTS + 1) / CURVE_POINTS).astype(int))
    return [
        {"coverage": float(count / len(labels)), "accuracy": float(running[count - 1])} for count in answered
    ]


def _bin_of(confidence: np.ndarray | float) -> np.ndarray:
    """Number the bin of a confidence, from 0; of a bin's mean confidence, its own."""
    return np.minimum(np.asarray(confidence) * CALIBRATION_BINS, CALIBRATION_BINS - 1).astype(int)


def _confidence(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the probability of the class chosen, and whether it is the right one; both [clips]."""
    probabilities = softmax(logits.astype(float), axis=1)
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
