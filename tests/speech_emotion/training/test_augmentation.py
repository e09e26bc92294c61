import random

import numpy as np
import pytest

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.training.augmentation import augment, play, reverberate


def peak_hz(audio):
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.size)))
    return spectrum.argmax() * SAMPLE_RATE / audio.size


@pytest.fixture
def tone() -> np.ndarray:
    return np.sin(2 * np.pi * 400 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)


def test_faster_is_shorter_and_higher(tone):
    fast = play(tone, 1.1)
    assert fast.dtype == np.float32
    assert fast.size == pytest.approx(tone.size / 1.1, abs=2)
    assert peak_hz(fast) == pytest.approx(440, abs=2)


def test_an_echo_sounds_on_after_the_voice_at_the_level_asked_for(tone):
    tone[SAMPLE_RATE // 2 :] = 0
    np.random.seed(0)
    wet = reverberate(tone, 0.3, level_db=10.0)
    echo = wet - tone
    assert wet.shape == tone.shape
    assert 10 * np.log10(np.mean(tone**2) / np.mean(echo**2)) == pytest.approx(10, abs=0.1)
    after = echo[SAMPLE_RATE // 2 :]
    assert np.abs(after[:1600]).max() > 10 * np.abs(after[5600:]).max()  # 60 dB down after 0.3 s
    assert np.array_equal(reverberate(np.zeros(100, np.float32), 0.3, 10.0), np.zeros(100))


def test_seeds_decide_what_changes(tone):
    def changed(seed):
        random.seed(seed)
        np.random.seed(seed)
        return augment(tone)

    several = [changed(seed) for seed in range(30)]
    assert all(np.array_equal(changed(seed), several[seed]) for seed in (0, 7))
    assert len({clip.tobytes() for clip in several}) > 20
    assert all(0.75 * tone.size < clip.size < 1.3 * tone.size for clip in several)
    assert all(np.isfinite(clip).all() and clip.dtype == np.float32 for clip in several)
