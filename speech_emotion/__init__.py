"""Emotion from a voice: what training and serving share.

    from speech_emotion import EmotionClassifier, shipped_path

    EmotionClassifier.from_pretrained(shipped_path("models/wav2vec2")).predict("clip.wav")

Names that need torch are imported on first use, so `import speech_emotion` alone imports no torch.
`speech_emotion.register()` makes transformers' Auto classes and `pipeline()` open the CNNs.
"""

import os
from importlib import import_module

from speech_emotion.audio.decoding import AudioError, load_audio
from speech_emotion.labels import POLICY, SCHEMES, map_label
from speech_emotion.shipped import shipped_path

# ONNX Runtime, which finds speech, otherwise reports to its makers; it reads this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_ON_DEMAND = {
    "EmotionClassifier": "speech_emotion.inference.classifier",
    "ModelError": "speech_emotion.models.folder",
    "Prediction": "speech_emotion.inference.prediction",
    "register": "speech_emotion.models.registration",
}

__all__ = [
    "POLICY",
    "SCHEMES",
    "AudioError",
    "EmotionClassifier",
    "ModelError",
    "Prediction",
    "load_audio",
    "map_label",
    "register",
    "shipped_path",
]


def __getattr__(name: str):
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_DEMAND[name]), name)
