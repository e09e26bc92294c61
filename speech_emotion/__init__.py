"""Emotion from a voice: what training and serving share.

    from speech_emotion import EmotionClassifier

    EmotionClassifier.from_pretrained("models/wav2vec2").predict("clip.wav")

Importing this package also teaches transformers' Auto classes and `pipeline()` the spectrogram CNN.
"""

from speech_emotion.audio import AudioError, load_audio
from speech_emotion.inference import EmotionClassifier, Prediction
from speech_emotion.labels import POLICY, SCHEMES, map_label
from speech_emotion.models import ModelError

__all__ = [
    "POLICY",
    "SCHEMES",
    "AudioError",
    "EmotionClassifier",
    "ModelError",
    "Prediction",
    "load_audio",
    "map_label",
]
