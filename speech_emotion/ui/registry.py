"""The models on offer: the shipped ones, and those that `MODEL_ID` names before them.

A published model may be damaged, or the hub out of reach or slow. So models of the hub are fetched in the
background. The page serves the models that are loaded, names the others with the reason, and tries them again
from time to time.
"""

import os
import threading
import time
from pathlib import Path

from speech_emotion import EmotionClassifier, ModelError
from speech_emotion.shipped import shipped_path

SHIPPED = {name: str(shipped_path(f"models/{name}")) for name in ("wav2vec2", "cnn")}
PUBLISHED = [name.strip() for name in os.environ.get("MODEL_ID", "").split(",") if name.strip()]
MODELS = {name: name for name in PUBLISHED} | SHIPPED  # the first is the one a visitor meets
DEFAULT = next(iter(MODELS))
AGAIN_SECONDS = 300  # from one attempt at what could not be loaded to the next

_loaded: dict[str, EmotionClassifier] = {}
_refused: dict[str, str] = {}
_loading = threading.Lock()


def load_all() -> None:
    """Load the models on this machine, and start to fetch the others in the background."""
    for name, place in MODELS.items():
        if Path(place).is_dir():
            _try(name)

    def keep_trying() -> None:
        while missing := [name for name in MODELS if name not in _loaded]:
            for name in missing:
                _try(name)
            time.sleep(AGAIN_SECONDS)

    threading.Thread(target=keep_trying, daemon=True).start()


def classifier(model: str) -> EmotionClassifier:
    """Return a model.

    Raises:
        ModelError: it cannot be loaded, or is not yet.
    """
    if model not in _loaded and model not in SHIPPED:
        raise ModelError(_refused.get(model, f"The model {model!r} is still being loaded."))
    if model not in _loaded:
        _try(model)
    if model not in _loaded:
        raise ModelError(_refused[model])
    return _loaded[model]


def serving() -> list[str]:
    """List the models that are loaded; where none is, those that ship."""
    return [name for name in MODELS if name in _loaded] or list(SHIPPED)


def missing() -> list[str]:
    """Return a sentence for each model that is not loaded: why not."""
    return [
        _refused.get(name, f"The model {name!r} is still being loaded.")
        for name in MODELS
        if name not in _loaded
    ]


def _try(model: str) -> None:
    with _loading:
        if model in _loaded:
            return
        try:
            loaded = EmotionClassifier.from_pretrained(MODELS[model])
            _loaded[model] = loaded
        except ModelError as error:
            _refused[model] = str(error)
