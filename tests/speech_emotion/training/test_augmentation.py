import random

import numpy as np
import pytest

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.training.augmentation import (
    CODECS,
    augment,
    colour,
    cut,
    play,
    reverberate,
    surround,
    through_codec,
)


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

    several = [changed(seed) for seed in range(60)]
    assert all(np.array_equal(changed(seed), several[seed]) for seed in (0, 7))
    assert len({clip.tobytes() for clip in several}) > 55
    sizes = [clip.size for clip in several]
    assert min(sizes) >= 0.2 * SAMPLE_RATE / 1.14  # a single word, played fast
    assert min(sizes) < 0.8 * SAMPLE_RATE < 1.5 * SAMPLE_RATE < max(sizes)  # words and long pauses
    assert all(np.isfinite(clip).all() and clip.dtype == np.float32 for clip in several)
    peaks = [np.abs(clip).max() for clip in several]
    assert max(peaks) == 1.0
    assert min(peaks) < 0.2  # from 18 dB below full scale to clipped


def test_silence_surrounds_a_clip_and_cuts_leave_a_fifth_of_a_second(tone):
    random.seed(3)
    wide = [surround(tone) for _ in range(50)]
    pauses = [(clip.size - tone.size) / SAMPLE_RATE for clip in wide]
    assert 0.0 <= min(pauses) < 1.0 < max(pauses) <= 4.0
    assert all(np.count_nonzero(clip) <= tone.size for clip in wide)
    sizes = {cut(tone).size for _ in range(200)}
    assert min(sizes) >= 0.2 * SAMPLE_RATE
    assert max(sizes) == tone.size


def test_noise_has_the_level_asked_for_whatever_its_colour(tone, monkeypatch):
    monkeypatch.setattr("speech_emotion.training.augmentation.SNR_DB", (10.0, 10.0))
    monkeypatch.setattr(random, "random", iter([0.0, 1.0, 1.0] * 3).__next__)  # noise, no filters
    level = float(np.sqrt(np.mean(tone**2)))
    for _ in range(3):
        noise = colour(tone, level) - tone
        assert 10 * np.log10(np.mean(tone**2) / np.mean(noise**2)) == pytest.approx(10.0, abs=0.3)


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_gives_the_voice_back_nearly_as_it_was(tone, codec):
    decoded = through_codec(0.5 * tone, codec, 24_000)
    assert decoded.dtype == np.float32
    assert decoded.size == pytest.approx(tone.size, abs=0.1 * SAMPLE_RATE)
    assert peak_hz(decoded) == pytest.approx(400, abs=2)
    assert np.sqrt(np.mean(decoded**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.15)
