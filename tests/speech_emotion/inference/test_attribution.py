from types import SimpleNamespace

import numpy as np
from scipy.special import softmax

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.inference.attribution import HOP_SECONDS, occlude
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.prediction import pool
from speech_emotion.ui.explain import draw


class Loudness(EmotionClassifier):
    """Answers whether a clip has a loud second half: logits from its energy there."""

    def __init__(self):
        self.labels, self.report = ["loud", "quiet"], {}
        self.engine = SimpleNamespace(name="none")

    def logits(self, clips: list[np.ndarray]) -> np.ndarray:
        loud = np.array([np.square(clip[clip.size // 2 :]).mean() for clip in clips])
        return np.stack([20 * loud, np.zeros(len(clips))], axis=1)


def answer(*spans: tuple[float, float], audio: np.ndarray):
    clips = [audio[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] for start, end in spans]
    return pool(Loudness().answer_segments([start for start, _ in spans], clips), "none", 0.0)


def test_the_stretch_that_decides_is_the_one_whose_silence_changes_most():
    audio = np.full(2 * SAMPLE_RATE, 0.01, np.float32)
    audio[int(1.4 * SAMPLE_RATE) : int(1.6 * SAMPLE_RATE)] = 0.9
    middles, drops = occlude(Loudness(), audio, answer((0, 2), audio=audio))
    np.testing.assert_allclose(np.diff(middles), HOP_SECONDS)
    assert abs(middles[drops.argmax()] - 1.5) <= 0.2
    np.testing.assert_allclose(drops[middles < 1.0], 0, atol=1e-6)
    shares = softmax(Loudness().logits([audio]), axis=1)[0]
    assert 0.1 < drops.max() <= shares[0] - 0.49


def test_a_pause_between_utterances_holds_nothing_of_the_answer():
    audio = np.full(4 * SAMPLE_RATE, 0.5, np.float32)
    middles, drops = occlude(Loudness(), audio, answer((0, 1), (3, 4), audio=audio))
    np.testing.assert_allclose(drops[(middles > 1.2) & (middles < 2.8)], 0, atol=1e-9)
    assert drops[middles < 1].max() > 0.01
    assert drops[middles > 3].max() > 0.01


def test_a_short_clip_is_one_stretch_and_can_be_drawn():
    audio = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE // 2).astype(np.float32)
    middles, drops = occlude(Loudness(), audio, answer((0, 0.5), audio=audio))
    assert len(middles) == len(drops) >= 1
    assert draw(audio, middles, drops, "happy", "en").count("class='segment") == len(drops)
