from types import SimpleNamespace

import numpy as np
import pytest
from conftest import speak

from speech_emotion.evaluation.predict import Predictions, draw_rows
from speech_emotion.evaluation.robustness import _shorten, _summarise, _surround

CLASSIFIER = SimpleNamespace(labels=["happy", "sad"])


def test_a_clip_without_speech_counts_as_unanswered():
    logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.9, 0.1]])
    labels, refused = np.array([0, 1, 0, 0]), np.array([False, False, False, True])
    summary = _summarise(CLASSIFIER, Predictions(logits, labels, refused), 0.7)
    assert (summary["clips"], summary["refused"]) == (4, 1)
    assert summary["coverage"] == pytest.approx(2 / 4)
    assert summary["sure_accuracy"] == pytest.approx(1 / 2)
    nobody = _summarise(CLASSIFIER, Predictions(logits, labels, np.ones(4, bool)), 0.7)
    assert (nobody["coverage"], nobody["sure_accuracy"]) == (0.0, None)


@pytest.mark.parametrize("snr_db", [30, 10])
def test_noise_surrounds_a_clip_at_the_level_asked_for(snr_db):
    clip = speak(seconds=2.0)
    surrounded = _surround(clip, 3, snr_db)
    assert surrounded.size == clip.size + 6 * 16_000
    before, after = surrounded[:48_000], surrounded[-48_000:]
    for noise in (before, after):
        level = 10 * np.log10(np.mean(clip**2) / np.mean(noise**2))
        assert level == pytest.approx(snr_db, abs=0.2)
    assert np.corrcoef(surrounded[48_000:-48_000], clip)[0, 1] > 0.9
    assert np.array_equal(surrounded, _surround(clip, 3, snr_db))


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_a_short_clip_is_the_middle_of_the_voice(seconds):
    voice = speak(seconds=2.0)
    clip = np.concatenate([np.zeros(32_000, np.float32), voice, np.zeros(8_000, np.float32)])
    short = _shorten(clip, 0, seconds)
    assert short.size == pytest.approx(seconds * 16_000, abs=1)
    assert np.abs(short).max() > 0.05  # voice, not the silence in the middle of the clip
    assert _shorten(voice[:3200], 0, 1.0).size <= 3200


def test_rows_are_drawn_once_in_their_order():
    assert draw_rows(range(5), 9).tolist() == [0, 1, 2, 3, 4]
    drawn = draw_rows(range(1000), 50)
    assert len(set(drawn.tolist())) == 50
    assert sorted(drawn.tolist()) == drawn.tolist()
    assert drawn.tolist() == draw_rows(range(1000), 50).tolist()
