"""A visitor's own voice: after one plain sentence, answers take into account how that person normally sounds.

What the model remembers of a voice lives in the visitor's session. It is never written to disk. The recording
of the sentence is deleted as soon as the model has heard it.
"""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from speech_emotion import ModelError
from speech_emotion.inference.reference import Reference
from speech_emotion.ui import render
from speech_emotion.ui.page import recorder
from speech_emotion.ui.registry import classifier
from speech_emotion.ui.wording import PHRASES, text

TARGET = "plain-voice"  # the hidden file input that the sentence goes into


@dataclass(frozen=True)
class Voice:
    """How a visitor normally sounds to one model.

    Attributes:
        model: a name in the registry.
        reference: what it remembers.
    """

    model: str
    reference: Reference = field(repr=False)


def offered(model: str) -> bool:
    """Return whether a model can compare a voice with itself."""
    try:
        return classifier(model).reference_head is not None
    except ModelError:
        return False


def reference_for(voice: Voice | None, model: str) -> Reference | None:
    """Return what a model knows of the visitor's voice."""
    return voice.reference if voice and voice.model == model else None


def enroll(path: str, model: str) -> Voice:
    """Return how a visitor's plain sentence sounds, and delete the recording.

    Raises:
        AudioError: nobody speaks in it, or it cannot be read.
        ModelError: the model has no reference head.
    """
    try:
        return Voice(model, classifier(model).enroll([path]))
    finally:
        Path(path).unlink(missing_ok=True)


def panel(voice: Voice | None, model: str, language: str, trouble: str = "") -> str:
    """Render the offer to hear the visitor's voice, or that it is known; "" where the model cannot use it.

    Args:
        voice: what the session knows.
        model: that answers.
        language: a key of `LANGUAGES`.
        trouble: why the last sentence could not be used, in that language.
    """
    if not offered(model):
        return ""
    if reference_for(voice, model):
        return f"<div class='card own-voice known'>{chip(language)}</div>"
    upload = (
        "<button type='button' class='btn small' data-action='upload' data-input='plain-input'>"
        f"{escape(text('upload', language))}</button><input type='file' id='plain-input' hidden "
        f"data-target='{TARGET}' accept='audio/*,video/*' aria-label='{escape(text('upload', language))}'>"
    )
    return (
        f"<details class='card own-voice'{' open' if trouble else ''}>"
        f"<summary>{escape(text('own_voice_offer', language))}</summary>"
        f"<p>{escape(text('own_voice_read', language))}</p>"
        f"<p class='sentence' lang='{language}'>{escape(PHRASES[language]['plain'])}</p>"
        f"{recorder(TARGET, upload, 'own_voice_hint')}"
        f"<div data-answer-of='{TARGET}'>{render.refusal(trouble) if trouble else ''}</div>"
        f"<p class='hint'>{escape(text('own_voice_kept', language))}</p></details>"
    )


def chip(language: str) -> str:
    """Render that the visitor's voice is known, with the button that forgets it."""
    return (
        "<p class='knows'><button type='button' class='chip' data-action='press' data-press='forget-voice'>"
        f"{escape(text('own_voice_known', language))}</button>"
        f"<span class='note'>{escape(text('own_voice_used', language))}</span></p>"
    )


def line(key: str, button: str, press: str, language: str) -> str:
    """Render a sentence on what a voice is compared with, and the button that changes it."""
    return (
        f"<p class='own-line note'><span>{escape(text(key, language))}</span> <button type='button' "
        f"class='btn small' data-action='press' data-press='{press}'>{escape(text(button, language))}"
        "</button></p>"
    )
