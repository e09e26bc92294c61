"""The models on offer: the shipped ones, and those that `MODEL_ID` names before them."""

import os
from functools import cache
from pathlib import Path

from speech_emotion import EmotionClassifier

SHIPPED = {name: str(Path(__file__).parent.parent / "models" / name) for name in ("wav2vec2", "cnn")}
PUBLISHED = [name.strip() for name in os.environ.get("MODEL_ID", "").split(",") if name.strip()]
MODELS = {name: name for name in PUBLISHED} | SHIPPED  # the first is the one a visitor meets
DEFAULT = next(iter(MODELS))


@cache
def classifier(model: str) -> EmotionClassifier:
    """Load a model once.

    Raises:
        ModelError: it cannot be loaded; the next call tries again.
    """
    return EmotionClassifier.from_pretrained(MODELS[model])
