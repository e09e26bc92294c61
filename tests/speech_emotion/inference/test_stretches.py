import numpy as np
import pytest

from speech_emotion.inference.prediction import Segment
from speech_emotion.inference.stretches import find_stretches, smooth

LABELS = ["angry", "happy", "neutral", "sad"]


def make_call(angry: list[tuple[float, float]], seconds: float = 600.0, seed: int = 0) -> list[Segment]:
    """A call of short turns; the customer speaks every second one and is angry in some stretches.

    The model's answers are noisy: in an angry stretch the mean P(angry) over both speakers is about .33, with a
    plain agent's turn after each of the customer's, and about .05 elsewhere.
    """
    rng = np.random.default_rng(seed)
    segments, at, customer = [], 1.0, True
    while at < seconds - 4:
        length = rng.uniform(1.5, 4.0)
        heated = customer and any(start <= at < end for start, end in angry)
        share = rng.beta(2.2, 1.6) if heated else rng.beta(0.6, 10)
        rest = rng.dirichlet(np.ones(3)) * (1 - share)
        shares = dict(zip(LABELS, [share, *rest], strict=True))
        label = max(shares, key=shares.get)
        segments.append(Segment(at, at + length, label, shares, shares[label] >= 0.55))
        at += length + rng.uniform(0.2, 1.0)
        customer = not customer
    return segments


@pytest.mark.parametrize("seed", range(5))
def test_where_the_customer_got_angry_is_found_between_the_agents_plain_turns(seed):
    segments = make_call([(225, 330), (420, 465)], seed=seed)
    first, second = find_stretches(segments, "angry", 600.0)
    assert (first.start, first.end) == pytest.approx((225, 330), abs=18)
    assert (second.start, second.end) == pytest.approx((420, 465), abs=18)
    assert first.mean > 0.2 and second.mean > 0.2


@pytest.mark.parametrize("seed", range(5))
def test_a_call_without_anger_has_no_angry_stretch(seed):
    assert find_stretches(make_call([], seed=seed), "angry", 600.0) == []


def test_a_recording_angry_from_end_to_end_is_one_stretch():
    [stretch] = find_stretches(make_call([(0, 120)], seconds=120.0), "angry", 120.0)
    assert stretch.seconds > 90


def test_a_curve_has_no_number_that_is_none_and_is_nothing_without_speech():
    times, curve = smooth(make_call([(225, 330)]), "angry", 600.0)
    assert times.shape == curve.shape and np.isfinite(curve).all() and 0 <= curve.min() <= curve.max() <= 1
    assert not smooth([], "angry", 10.0)[1].any()
    assert find_stretches([], "angry", 10.0) == []
