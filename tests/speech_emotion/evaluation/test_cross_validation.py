import numpy as np
import pytest

from speech_emotion.evaluation.calibration import expected_calibration_error, pool_bins, reliability
from speech_emotion.evaluation.cross_validation import summarise


def report(matrix, speakers, uar, protocol, bins=None):
    return {
        "confusion_matrix": matrix,
        "speakers": speakers,
        "groups": {"savee speech": {"uar": uar}},
        "training": {"protocol": protocol},
    } | ({"calibration": {"bins": bins, "ece": expected_calibration_error(bins)}} if bins else {})


def test_a_speaker_tested_twice_counts_once_among_the_folds():
    reports = {
        "fold:1": report([[3, 1], [0, 4]], ["savee-DC"], 0.875, "fold:1"),
        "fold:2": report([[2, 2], [2, 2]], ["savee-JE"], 0.5, "fold:2"),
        "fold:5": report([[3, 1], [1, 3]], ["savee-DC"], 0.75, "fold:5"),
    }
    summary = summarise(reports)
    assert summary["groups"]["savee speech"]["folds"] == {"fold:1": 0.875, "fold:2": 0.5}
    assert summary["groups"]["savee speech"]["uar"] == pytest.approx(0.6875)
    assert summary["clips"] == 24
    assert summary["speakers"] == 2
    assert summary["overall"]["accuracy"] == pytest.approx(17 / 24)
    assert summary["overall"]["macro_precision"] == pytest.approx((8 / 11 + 9 / 13) / 2)
    assert summary["calibration"] is None
    assert not summary["leaks_speakers"]


def test_the_summary_of_a_random_split_is_marked_as_leaking():
    assert summarise({"random": report([[1, 0], [0, 1]], ["savee-DC"], 1.0, "random")})["leaks_speakers"]


def test_pooled_bins_are_those_of_all_clips_together():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(300, 4)) * 2, rng.integers(0, 4, 300)
    pooled = pool_bins([reliability(logits[:100], labels[:100]), reliability(logits[100:], labels[100:])])
    whole = reliability(logits, labels)
    assert [own["clips"] for own in pooled] == [own["clips"] for own in whole]
    for name in ("confidence", "accuracy"):
        assert [own[name] for own in pooled] == pytest.approx([own[name] for own in whole])
    assert expected_calibration_error(pooled) == pytest.approx(
        expected_calibration_error(reliability(logits, labels))
    )
    first, second = pooled[::2], pooled[1::2]
    summary = summarise(
        {
            "fold:1": report([[1, 0], [0, 1]], ["savee-DC"], 1.0, "fold:1", first),
            "fold:2": report([[1, 0], [0, 1]], ["savee-JE"], 1.0, "fold:2", second),
        }
    )
    assert summary["calibration"]["ece"] == pytest.approx(expected_calibration_error(pooled))
