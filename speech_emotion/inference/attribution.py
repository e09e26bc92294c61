"""Which stretch of a clip moved the decision: the clip again and again, each time with a stretch silenced.

After Zeiler and Fergus 2014 (https://arxiv.org/abs/1311.2901), in time instead of across a picture.
"""

import numpy as np
from scipy.special import softmax

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.inference.classifier import EmotionClassifier

STRETCH_SECONDS = 0.4
HOP_SECONDS = 0.2
FADE_SECONDS = 0.02  # so that silencing makes no click


def occlude(classifier: EmotionClassifier, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure how much of the answer's probability each stretch of a clip holds.

    Args:
        classifier: who judges.
        audio: float32 samples of shape [n], 16 kHz, at least half a second.

    Returns:
        The middles of the stretches in seconds, shape [stretches], and by how much the probability of the
        whole clip's label falls without each: positive where the stretch speaks for the label.
    """
    size, hop = int(STRETCH_SECONDS * SAMPLE_RATE), int(HOP_SECONDS * SAMPLE_RATE)
    starts = np.arange(0, max(audio.size - size, 0) + hop, hop)
    fade = int(FADE_SECONDS * SAMPLE_RATE)
    gap = np.pad(np.zeros(size), fade, "linear_ramp", end_values=1.0).astype(np.float32)
    clips = [audio]
    for start in starts:
        gains = np.ones(audio.size + 2 * gap.size, np.float32)
        gains[gap.size + start - fade : gap.size + start - fade + gap.size] = gap
        clips.append(audio * gains[gap.size : gap.size + audio.size])
    shares = softmax(classifier.logits(clips).astype(float), axis=1)
    label = shares[0].argmax()
    return (starts + size / 2) / SAMPLE_RATE, shares[0, label] - shares[1:, label]
