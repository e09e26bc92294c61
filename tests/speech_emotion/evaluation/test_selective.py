import time

import numpy as np
import pytest

from speech_emotion.evaluation.selective import (
    LEAST_COVERAGE,
    choose_threshold,
    measure_false_alarm,
    measure_threshold,
    risk_coverage_curve,
    selective_accuracy,
)
from speech_emotion.models.folder import NEVER


def answers(*groups: tuple[int, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of groups of clips: how many, their confidence, the share of them that is right."""
    logits, labels = [], []
    for count, confidence, right in groups:
        logits += [np.log([confidence, 1 - confidence])] * count
        labels += [0] * round(count * right) + [1] * (count - round(count * right))
    return np.array(logits), np.array(labels)


def test_the_threshold_is_the_lowest_that_reaches_the_target():
    logits, labels = answers((50, 0.9, 1.0), (50, 0.75, 0.7), (100, 0.6, 0.5))
    threshold = choose_threshold(logits, labels)
    assert threshold == pytest.approx(0.75)
    assert selective_accuracy(logits, labels, threshold) == {"coverage": 0.5, "accuracy": 0.85}
    assert choose_threshold(logits, labels, target=0.9) == pytest.approx(0.9)


def test_the_threshold_answers_all_clips_where_all_reach_the_target():
    assert choose_threshold(*answers((80, 0.9, 0.9), (20, 0.6, 0.6))) == 0.0


def test_the_threshold_is_the_best_where_none_reaches_the_target():
    assert choose_threshold(*answers((30, 0.9, 0.7), (70, 0.6, 0.4))) == pytest.approx(0.9)


def test_a_few_clips_do_not_set_the_threshold():
    assert choose_threshold(*answers((5, 0.99, 1.0), (45, 0.8, 0.6), (50, 0.6, 0.4))) == pytest.approx(0.8)


def test_nothing_answered_has_no_accuracy():
    assert selective_accuracy(*answers((4, 0.7, 0.5)), 0.8) == {"coverage": 0.0, "accuracy": None}


@pytest.mark.parametrize("clips", [3, 20, 137])
def test_the_coverage_curve_ends_at_all_clips_and_starts_with_the_most_confident(clips):
    logits = np.random.default_rng(0).standard_normal((clips, 3)) * 2
    labels = np.where(np.arange(clips) % 3, logits.argmax(axis=1), 0)
    curve = risk_coverage_curve(logits, labels)
    assert curve[-1]["coverage"] == 1.0
    assert curve[-1]["accuracy"] == pytest.approx((logits.argmax(axis=1) == labels).mean())
    confidence = np.sort(np.exp(logits).max(axis=1) / np.exp(logits).sum(axis=1))[::-1]
    for point in curve:
        least = confidence[round(point["coverage"] * clips) - 1] - 1e-9  # but for rounding
        assert selective_accuracy(logits, labels, least) == pytest.approx(point)


def test_the_threshold_is_that_of_trying_every_confidence():
    rng = np.random.default_rng(0)
    for _ in range(60):
        clips = int(rng.integers(1, 80))
        logits = np.round(rng.normal(size=(clips, 3)) * 2, 1)  # with clips of equal confidence
        labels = np.where(rng.random(clips) < 0.6, logits.argmax(axis=1), rng.integers(0, 3, clips))
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        candidates = [0.0, *np.unique(chances.max(axis=1) - 1e-12)]
        found = [selective_accuracy(logits, labels, each) for each in candidates]
        accuracy = [own["accuracy"] if own["coverage"] >= LEAST_COVERAGE else 0.0 for own in found]
        reached = [index for index, each in enumerate(accuracy) if each >= 0.8]
        expected = candidates[reached[0] if reached else int(np.argmax(accuracy))]
        assert choose_threshold(logits, labels) == pytest.approx(expected, abs=1e-9)


def test_a_threshold_for_a_hundred_thousand_clips_is_chosen_at_once():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(100_000, 8)), rng.integers(0, 8, 100_000)
    started = time.process_time()
    choose_threshold(logits, labels)
    assert time.process_time() - started < 2  # trying every confidence would take hours


def test_a_threshold_can_be_one_for_each_class():
    logits = np.log([[0.9, 0.1], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7]])
    labels, names = np.array([0, 1, 1, 1]), ["happy", "sad"]
    by_name = {"happy": 0.8, "sad": 0.6}
    assert selective_accuracy(logits, labels, by_name, names) == {"coverage": 0.75, "accuracy": 1.0}
    data = logits, labels
    measured = measure_threshold(data, data, by_name, names)
    assert measured["threshold"] == by_name
    assert measured["selective"]["test"]["coverage"] == 0.75


def make_clips(count: int, right: float, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of clips evenly of all classes, of which a share is answered right."""
    labels = np.arange(count) % classes
    wrong = np.random.default_rng(0).permutation(count) >= round(right * count)
    return np.eye(classes)[(labels + wrong) % classes] * 4, labels


@pytest.mark.parametrize(
    ("clips", "sure"),
    [
        (make_clips(60, right=0.9), True),
        (make_clips(12, right=1.0), True),
        (make_clips(9, right=1.0), False),  # so few clips show nothing
        (make_clips(60, right=1 / 3), False),
        (make_clips(60, right=0.5), False),  # better than chance, yet wrong as often as right
        (answers((60, 0.9, 0.9)), False),  # always the commonest label
    ],
)
def test_a_model_is_sure_only_where_its_answers_show_skill(clips, sure):
    threshold = measure_threshold(clips, clips)["threshold"]
    assert threshold == (choose_threshold(*clips) if sure else NEVER)
    assert measure_threshold(clips, clips, 0.7)["threshold"] == 0.7  # chosen before, on other clips


def test_a_false_alarm_is_plain_talk_that_is_surely_an_emotion():
    names = ["angry", "calm", "neutral"]
    logits = np.log([[0.8, 0.1, 0.1], [0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.9, 0.05, 0.05]])
    labels = np.array(
        [2, 2, 2, 1, 0]
    )  # the second is not sure, calm for neutral is no alarm, the last is angry
    assert measure_false_alarm(logits, labels, names, 0.6) == {"clips": 4, "share": 0.25}
    assert measure_false_alarm(logits, labels, names, 0.4) == {"clips": 4, "share": 0.5}
    assert measure_false_alarm(logits, labels, names, {"angry": 0.9, "calm": 0, "neutral": 0})["share"] == 0.0
    assert measure_false_alarm(logits[4:], labels[4:], names, 0.6) is None
