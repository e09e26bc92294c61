"""Selective answers: from which confidence on a model answers, and what that does to its accuracy."""

import numpy as np
from scipy.special import softmax
from scipy.stats import binomtest

from speech_emotion.labels import PLAIN
from speech_emotion.models.folder import NEVER, Threshold

TARGET_ACCURACY = 0.8  # of the answers given: four in five are right
LEAST_COVERAGE = 0.1  # share of clips that an accuracy must rest on to count
LUCK = 0.001  # highest probability that luck made the answers given right so often
CURVE_POINTS = 20


def choose_threshold(logits: np.ndarray, labels: np.ndarray, target: float = TARGET_ACCURACY) -> float:
    """Choose the confidence below which the answer is "not sure".

    It is the lowest threshold at which the accuracy of the clips answered reaches the target, so the one that
    answers most clips. Where none reaches it, it is the one with the highest accuracy. Only thresholds that
    answer a tenth of the clips count, because the accuracy of a few clips is chance.

    Args:
        logits: shape [clips, classes], of clips the model was not trained on.
        labels: class indices, shape [clips].
        target: accuracy wanted among the clips answered, 0..1.

    Returns:
        The threshold, 0..1: a clip is answered where its confidence is at least that. 0 answers every clip.
    """
    confidence, correct = confidence_and_hits(logits, labels)
    order = np.argsort(confidence)
    thresholds, first = np.unique(confidence[order], return_index=True)
    answered = len(labels) - first
    accuracy = correct[order][::-1].cumsum()[::-1][first] / answered
    accuracy[answered / len(labels) < LEAST_COVERAGE] = 0.0
    thresholds[0] = 0.0  # the lowest confidence answers every clip, too
    reached = np.flatnonzero(accuracy >= target)
    return float(thresholds[reached[0] if reached.size else accuracy.argmax()])


def shows_skill(logits: np.ndarray, labels: np.ndarray, threshold: float) -> bool:
    """Return whether the answers that a threshold gives are right more often than not, and not by luck.

    A model that has learnt nothing shows no skill, nor does one that answers too few clips to tell.
    Luck is a coin, or the same answers in random order, whichever is right more often: a model that always
    answers the commonest label is right as often as that label occurs.

    Args:
        logits: shape [clips, classes], of clips the model was not trained on.
        labels: class indices, shape [clips].
        threshold: of `choose_threshold`.
    """
    confidence, correct = confidence_and_hits(logits, labels)
    answered = confidence >= threshold
    count, classes = int(answered.sum()), logits.shape[1]
    given, true = (np.bincount(each[answered], minlength=classes) for each in (logits.argmax(axis=1), labels))
    luck = max(0.5, float(given @ true) / count**2)
    return binomtest(int(correct[answered].sum()), count, luck, alternative="greater").pvalue < LUCK


def selective_accuracy(
    logits: np.ndarray, labels: np.ndarray, threshold: Threshold, names: list[str] | None = None
) -> dict[str, float | None]:
    """Compute the coverage and the accuracy of the clips that a threshold answers.

    Args:
        logits: shape [clips, classes].
        labels: class indices, shape [clips].
        threshold: confidence, 0..1, for all classes or by the name of each.
        names: of the classes; needed for a threshold by name.

    Returns:
        `coverage`, the share of clips answered, and `accuracy`, the share of right answers among those; both
        0..1, the accuracy None where no clip is answered.
    """
    confidence, correct = confidence_and_hits(logits, labels)
    answered = confidence >= _threshold_of(logits, threshold, names)
    return {
        "coverage": float(answered.mean()),
        "accuracy": float(correct[answered].mean()) if answered.any() else None,
    }


def risk_coverage_curve(logits: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Compute accuracy against the share of clips answered, the most confident first.

    Args:
        logits: shape [clips, classes].
        labels: class indices, shape [clips].

    Returns:
        A point for every twentieth of the clips: `coverage` and `accuracy`, as in `selective_accuracy`.
    """
    confidence, correct = confidence_and_hits(logits, labels)
    running = correct[np.argsort(-confidence, kind="stable")].cumsum() / np.arange(1, len(labels) + 1)
    answered = np.unique(np.ceil(len(labels) * np.arange(1, CURVE_POINTS + 1) / CURVE_POINTS).astype(int))
    return [
        {"coverage": float(count / len(labels)), "accuracy": float(running[count - 1])} for count in answered
    ]


def measure_threshold(
    test: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    threshold: Threshold | None = None,
    names: list[str] | None = None,
) -> dict:
    """Measure a threshold on test speakers, chosen on validation speakers where none is given.

    Args:
        test: logits [clips, classes] and class indices [clips].
        validation: the same of the validation speakers.
        threshold: chosen before, for all classes or by the name of each.
        names: of the classes; needed for a threshold by name.

    Returns:
        - `threshold`: the confidence below which a clip gets no answer; `NEVER` where the one chosen does not
          show skill.
        - `selective`: `target_accuracy` and `least_coverage`, the rule's settings; `validation` and `test`,
          each with `coverage` and `accuracy` at the threshold (`selective_accuracy`), and the `curve` of
          `risk_coverage_curve`.
    """
    if threshold is None:
        chosen = choose_threshold(*validation)
        threshold = chosen if shows_skill(*validation, chosen) else NEVER
    splits = {
        name: selective_accuracy(*own, threshold, names) | {"curve": risk_coverage_curve(*own)}
        for name, own in (("validation", validation), ("test", test))
    }
    rule = {"target_accuracy": TARGET_ACCURACY, "least_coverage": LEAST_COVERAGE}
    return {"threshold": threshold, "selective": rule | splits}


def measure_false_alarm(
    logits: np.ndarray, labels: np.ndarray, names: list[str], threshold: Threshold
) -> dict | None:
    """Measure how often plain talk is answered with an emotion, and surely.

    Args:
        logits: shape [clips, classes].
        labels: class indices, shape [clips].
        names: of the classes; plain talk are those in `PLAIN`.
        threshold: confidence, 0..1, for all classes or by the name of each.

    Returns:
        `clips`, the number of plain clips, and `share`, the share of them that is sure of a class not in
        `PLAIN`, 0..1; None where there are no plain clips.
    """
    plain = np.array([name in PLAIN for name in names])
    clips = np.flatnonzero(plain[labels])
    if not clips.size:
        return None
    confidence, _ = confidence_and_hits(logits[clips], labels[clips])
    alarm = ~plain[logits[clips].argmax(axis=1)] & (
        confidence >= _threshold_of(logits[clips], threshold, names)
    )
    return {"clips": int(clips.size), "share": float(alarm.mean())}


def confidence_and_hits(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of the class chosen, and whether it is the right one; both [clips]."""
    probabilities = softmax(logits.astype(float), axis=1)
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def _threshold_of(logits: np.ndarray, threshold: Threshold, names: list[str] | None) -> np.ndarray | float:
    """Return the threshold that applies to each clip: that of the class chosen."""
    if not isinstance(threshold, dict):
        return threshold
    return np.array([threshold[name] for name in names])[logits.argmax(axis=1)]
