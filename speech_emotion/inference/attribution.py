"""Which stretch of a recording moved the answer: classify it again, each time with one stretch silenced.

After Zeiler and Fergus 2014 (https://arxiv.org/abs/1311.2901), in time instead of across a picture.
"""

import numpy as np

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.prediction import Prediction, pool
from speech_emotion.inference.reference import Reference

STRETCH_SECONDS = 0.4
HOP_SECONDS = 0.2
FADE_SECONDS = 0.02  # at both ends of a silenced stretch, so that it makes no click


def occlude(
    classifier: EmotionClassifier,
    audio: np.ndarray,
    prediction: Prediction,
    reference: Reference | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Measure how much of an answer's probability each stretch of a recording holds.

    Args:
        classifier: gave the prediction.
        audio: the recording, float32 samples of shape [n], 16 kHz.
        prediction: its answer.
        reference: the speaker's own voice, where the answer was given beside it.

    Returns:
        The middles of the stretches in seconds, shape [stretches], and by how much the pooled probability of
        the prediction's label falls without each: positive where the stretch speaks for the label.
    """
    size, hop = int(STRETCH_SECONDS * SAMPLE_RATE), int(HOP_SECONDS * SAMPLE_RATE)
    stretches = np.arange(0, max(audio.size - size, 0) + hop, hop)
    utterances = prediction.utterances
    firsts = [round(each.start * SAMPLE_RATE) for each in utterances]
    clips = [
        audio[first : round(each.end * SAMPLE_RATE)] for first, each in zip(firsts, utterances, strict=True)
    ]
    pairs = [
        (stretch, index)
        for stretch in stretches
        for index, (first, clip) in enumerate(zip(firsts, clips, strict=True))
        if first - size < stretch < first + clip.size
    ]
    silenced = [_silence(clips[index], stretch - firsts[index], size) for stretch, index in pairs]
    starts = [utterances[index].start for _, index in pairs]
    answers = classifier.answer_segments(starts, silenced, reference)
    changed = dict(zip(pairs, answers, strict=True))
    drops = []
    for stretch in stretches:
        without = [changed.get((stretch, index), each) for index, each in enumerate(utterances)]
        pooled = pool(without, prediction.engine, classifier.threshold_with(reference is not None))
        drops.append(prediction.confidence - pooled.probabilities[prediction.label])
    return (stretches + size / 2) / SAMPLE_RATE, np.array(drops)


def _silence(clip: np.ndarray, start: int, size: int) -> np.ndarray:
    """Return a shape-[n] clip with `size` samples silenced, faded at both ends; `start` may be negative."""
    fade = int(FADE_SECONDS * SAMPLE_RATE)
    distance = np.abs(np.arange(clip.size) - (start + size / 2)) - size / 2  # outside of the stretch
    return clip * np.clip(distance / fade, 0.0, 1.0).astype(np.float32)
