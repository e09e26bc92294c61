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

from speech_emotion.evaluation.metrics import (
    EmotionMetric,
    bootstrap,
    choose_threshold,
    expected_calibration_error,
    expected_calibration_error_by_chance,
    fit_temperature,
    reliability,
    risk_coverage_curve,
    score_confusions,
    selective_accuracy,
)


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
def test_an_interval_holds_the_score_it_is_about(count):
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


def test_a_class_without_clips_has_no_interval_and_spoils_no_other():
    overall, per_class = bootstrap(*voices(3), 5, seed=0)
    assert np.isnan(per_class["recall"][:, 4]).all()
    assert np.isfinite(per_class["recall"][:, :4]).all()
    assert np.isfinite(overall["uar"]).all()


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


def test_the_threshold_answers_all_where_all_is_well():
    assert choose_threshold(*answers((80, 0.9, 0.9), (20, 0.6, 0.6))) == 0.0


def test_the_threshold_is_the_best_where_none_reaches_the_target():
    assert choose_threshold(*answers((30, 0.9, 0.7), (70, 0.6, 0.4))) == pytest.approx(0.9)


def test_a_few_lucky_clips_set_no_threshold():
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
