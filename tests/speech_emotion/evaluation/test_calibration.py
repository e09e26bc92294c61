import numpy as np
import pytest

from speech_emotion.evaluation.calibration import (
    expected_calibration_error,
    expected_calibration_error_by_chance,
    fit_temperature,
    reliability,
)


def test_calibration_error_of_a_known_case():
    confident = np.log(np.array([[0.9, 0.1]] * 10))
    assert expected_calibration_error(reliability(confident, np.array([0] * 9 + [1]))) == pytest.approx(
        0, abs=1e-9
    )
    assert expected_calibration_error(reliability(confident, np.array([0] * 5 + [1] * 5))) == pytest.approx(
        0.4
    )


def test_a_perfectly_calibrated_model_has_an_error_where_clips_are_few():
    shares, clips = np.array([0.3, 0.6, 0.95]), np.array([20, 50, 90])
    bins = [{"confidence": share, "clips": number} for share, number in zip(shares, clips, strict=True)]
    right = np.random.default_rng(0).binomial(clips, shares, (4000, 3)) / clips
    drawn = [
        expected_calibration_error([own | {"accuracy": each} for own, each in zip(bins, row, strict=True)])
        for row in right
    ]
    assert expected_calibration_error_by_chance(bins) == pytest.approx(np.mean(drawn), rel=0.03)


def test_reliability_bins_hold_each_clip_once():
    chances = np.array([[0.55, 0.45]] * 4 + [[0.05, 0.95]] * 2 + [[1.0, 1e-300]])
    bins = reliability(np.log(chances), np.array([0, 0, 0, 1, 1, 1, 0]))
    assert [(own["clips"], own["accuracy"]) for own in bins] == [(4, 0.75), (3, 1.0)]
    assert [own["confidence"] for own in bins] == pytest.approx([0.55, 2.9 / 3])


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((20_000, 4))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)
    assert (
        expected_calibration_error(reliability(logits, labels))
        < 0.02
        < expected_calibration_error(reliability(3 * logits, labels))
    )
