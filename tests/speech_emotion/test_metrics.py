import numpy as np
import pytest

from speech_emotion.metrics import EmotionMetric, expected_calibration_error, fit_temperature


def test_uar_is_the_mean_of_recalls():
    # class 0: 3 of 4 right; class 1: 1 of 2; class 2 never occurs in the references
    scores = EmotionMetric().compute(predictions=[0, 0, 0, 2, 1, 0], references=[0, 0, 0, 0, 1, 1])
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["uar"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert scores["macro_f1"] == pytest.approx((6 / 8 + 2 / 3) / 2)


def test_calibration_error_of_a_known_case():
    confident = np.log(np.array([[0.9, 0.1]] * 10))
    assert expected_calibration_error(confident, np.array([0] * 9 + [1])) == pytest.approx(0, abs=1e-9)
    assert expected_calibration_error(confident, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.4)


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((20_000, 4))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)
    assert expected_calibration_error(logits, labels) < 0.02 < expected_calibration_error(3 * logits, labels)
