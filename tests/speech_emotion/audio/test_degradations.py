import io

import av
import numpy as np
import pytest
from conftest import voice

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.degradations import babble, encode_mp3, mp3, telephone, white_noise


def rng():
    return np.random.default_rng(7)


def snr_db(clean: np.ndarray, noisy: np.ndarray) -> float:
    return 10 * np.log10(np.sum(clean.astype(float) ** 2) / np.sum((noisy.astype(float) - clean) ** 2))


def level_db(audio: np.ndarray, low: float, high: float) -> float:
    """Power between two frequencies in dB below that of the whole."""
    power = np.abs(np.fft.rfft(audio)) ** 2
    frequency = np.fft.rfftfreq(audio.size, 1 / SAMPLE_RATE)
    return 10 * np.log10(power[(frequency >= low) & (frequency < high)].sum() / power.sum() + 1e-20)


@pytest.mark.parametrize("asked", [20, 10, 0])
@pytest.mark.parametrize("level", [0.9, 0.01])
def test_noise_has_the_ratio_that_was_asked_for(asked, level):
    clip = voice(seconds=1.5, level=level)
    voices = [voice(100, 0.7, level=0.02), voice(240, 3.0, level=0.8)]
    for noisy in (white_noise(clip, asked, rng()), babble(clip, asked, voices, rng())):
        assert noisy.dtype == np.float32
        assert noisy.shape == clip.shape
        assert snr_db(clip, noisy) == pytest.approx(asked, abs=0.1)


def test_white_noise_is_equally_strong_everywhere():
    noise = white_noise(voice(seconds=4), 0, rng()) - voice(seconds=4)
    halves = level_db(noise, 0, 4000), level_db(noise, 4000, 8000)
    assert halves == pytest.approx((-3, -3), abs=0.3)


def test_babble_is_the_voices_all_equally_strong():
    silence = np.full(SAMPLE_RATE, 1e-3, np.float32)
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = np.sin(2 * np.pi * 300 * time), 0.01 * np.sin(2 * np.pi * 2000 * time)
    noise = babble(silence, -20, [low, high], rng()) - silence
    assert (level_db(noise, 290, 310), level_db(noise, 1990, 2010)) == pytest.approx((-3, -3), abs=0.1)


def test_the_same_seed_draws_the_same_noise_and_another_another():
    clip = voice()
    np.testing.assert_array_equal(white_noise(clip, 10, rng()), white_noise(clip, 10, rng()))
    assert not np.array_equal(
        white_noise(clip, 10, rng()), white_noise(clip, 10, np.random.default_rng((7, 1)))
    )


def test_a_telephone_passes_its_band_and_nothing_else():
    sound = 0.1 * rng().standard_normal(3 * SAMPLE_RATE).astype(np.float32)
    heard = telephone(sound)
    assert heard.shape == sound.shape
    assert heard.dtype == np.float32
    assert level_db(heard, 300, 3400) > -0.1
    # 8 bits leave a little quantisation noise below the band and above it; above 4 kHz nothing can be
    assert level_db(heard, 0, 280) < -30
    assert level_db(heard, 3500, 8000) < -25
    assert level_db(heard, 4200, 8000) < -60
    band = np.fft.rfftfreq(sound.size, 1 / SAMPLE_RATE)
    band = (band > 350) & (band < 3300)
    before, after = np.fft.rfft(sound)[band], np.fft.rfft(heard)[band]
    assert np.abs(np.vdot(before, after)) / np.linalg.norm(before) / np.linalg.norm(after) > 0.99


def test_mp3_is_lossy_but_the_same_clip():
    clip = voice(200, seconds=2)
    with av.open(io.BytesIO(encode_mp3(clip))) as file:
        stream = file.streams.audio[0]
        assert (stream.codec_context.name[:3], stream.rate, stream.bit_rate) == ("mp3", SAMPLE_RATE, 32_000)
    heard = mp3(clip)
    assert heard.dtype == np.float32
    assert abs(heard.size - clip.size) < 0.15 * SAMPLE_RATE
    size = min(heard.size, clip.size)
    assert 15 < snr_db(clip[:size], heard[:size]) < 50


def test_a_silent_clip_stays_numbers():
    silence = np.zeros(SAMPLE_RATE, np.float32)
    for changed in (
        white_noise(silence, 0, rng()),
        babble(silence, 0, [silence], rng()),
        telephone(silence),
        mp3(silence),
    ):
        assert np.isfinite(changed).all()
