import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from speech_emotion.evaluation.metrics import EmotionMetric, bootstrap, score_confusions


def test_uar_is_the_mean_of_recalls():
    # class 0: 3 of 4 right; class 1: 1 of 2; class 2 never occurs in the references
    scores = EmotionMetric().compute(predictions=[0, 0, 0, 2, 1, 0], references=[0, 0, 0, 0, 1, 1])
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["uar"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert scores["macro_f1"] == pytest.approx((6 / 8 + 2 / 3) / 2)
    assert scores["weighted_f1"] == pytest.approx((4 * 6 / 8 + 2 * 2 / 3) / 6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scores_are_those_of_scikit_learn(pairs):
    predictions, truth = np.array(pairs).T
    classes = sorted(set(truth.tolist()))
    overall, per_class = score_confusions(confusion_matrix(truth, predictions, labels=range(5)))
    assert overall["accuracy"] == pytest.approx(accuracy_score(truth, predictions))
    assert overall["uar"] == pytest.approx(balanced_accuracy_score(truth, predictions))
    for average in ("macro", "weighted"):
        expected = f1_score(truth, predictions, labels=classes, average=average, zero_division=0)
        assert overall[f"{average}_f1"] == pytest.approx(expected)
    expected = precision_recall_fscore_support(truth, predictions, labels=range(5), zero_division=0)
    np.testing.assert_allclose(per_class["precision"], expected[0])
    np.testing.assert_allclose(per_class["recall"][classes], expected[1][classes])
    np.testing.assert_allclose(per_class["f1"][classes], expected[2][classes])
    without_clips = sorted(set(range(5)) - set(classes))
    assert np.isnan(per_class["recall"][without_clips]).all()


def voices(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, truth and speakers: 40 clips each of speakers who are understood from 20 to 90 % of the time."""
    rng = np.random.default_rng(seed)
    truth, speakers = np.tile(np.arange(4), 10 * count), np.repeat(np.arange(count), 40)
    understood = rng.random(truth.size) < np.linspace(0.2, 0.9, count)[speakers]
    return np.where(understood, truth, (truth + 1) % 4), truth, speakers


@pytest.mark.parametrize("count", [2, 4, 12])
def test_an_interval_contains_its_score(count):
    predictions, truth, speakers = voices(count)
    scores = score_confusions(confusion_matrix(truth, predictions))
    for own, ends in zip(scores, bootstrap(predictions, truth, speakers, 4, seed=0), strict=True):
        for name, value in own.items():
            low, high = ends[name]
            assert (low <= value).all() and (value <= high).all(), name
            assert (low >= 0).all() and (high <= 1).all()


def test_an_interval_shrinks_with_more_speakers_not_with_more_clips_of_the_same():
    def width(predictions, truth, speakers):
        low, high = bootstrap(predictions, truth, speakers, 4, seed=0)[0]["uar"]
        return high - low

    four, sixty = voices(4), voices(60)
    assert width(*sixty) < width(*four) / 2
    assert width(*(np.tile(column, 5) for column in four)) == pytest.approx(width(*four))


def test_an_interval_is_the_same_for_the_same_seed_and_none_for_one_speaker():
    predictions, truth, speakers = voices(4)
    first, again = (bootstrap(predictions, truth, speakers, 4, seed=3)[0]["uar"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert bootstrap(predictions, truth, np.zeros_like(speakers), 4, seed=3) is None


def test_a_class_without_clips_has_no_interval_and_does_not_affect_others():
    overall, per_class = bootstrap(*voices(3), 5, seed=0)
    assert np.isnan(per_class["recall"][:, 4]).all()
    assert np.isfinite(per_class["recall"][:, :4]).all()
    assert np.isfinite(overall["uar"]).all()
