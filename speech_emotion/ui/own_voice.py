"""A visitor's own voice: after one plain sentence, answers take into account how that person normally sounds.

What the model remembers of a voice lives in the visitor's session. It is never written to disk. The recording
of the sentence is deleted as soon as the model has heard it.
"""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal

from speech_emotion import ModelError
from speech_emotion.audio.decoding import MAX_SECONDS
from speech_emotion.inference.recording import count_lanes
from speech_emotion.inference.reference import Reference
from speech_emotion.ui import render
from speech_emotion.ui.page import recorder
from speech_emotion.ui.registry import classifier
from speech_emotion.ui.wording import PHRASES, text

TARGET = "plain-voice"  # the hidden file input that the sentence goes into
TURN_SECONDS = 10.0  # a longer recording gets a timeline, and its utterances are compared with each other


@dataclass(frozen=True)
class Voice:
    """How a visitor normally sounds to one model.

    Attributes:
        model: a name in the registry.
        reference: what it remembers; None where another sentence is asked for.
        sounded: the emotion that the first sentence sounded like, then.
    """

    model: str
    reference: Reference | None = field(repr=False)
    sounded: str = ""


def offered(model: str) -> bool:
    """Return whether a model can compare a voice with itself."""
    try:
        return classifier(model).reference_head is not None
    except ModelError:
        return False


def reference_for(voice: Voice | None, model: str) -> Reference | None:
    """Return what a model knows of the visitor's voice."""
    return voice.reference if voice and voice.model == model else None


def choose_reference(
    path: str, seconds: float | None, model: str, voice: Voice | None, compares: bool
) -> Reference | Literal["self"] | None:
    """Return what a model compares a recording with.

    The visitor's own voice is the reference for one person's recording of up to a minute. A longer one may
    hold somebody else's, so its own utterances are the reference.

    Args:
        path: of the recording.
        seconds: the length that its header states.
        model: a name in the registry.
        voice: the visitor's own, if it is known.
        compares: whether a longer recording's utterances are compared with each other.

    Raises:
        AudioError: as `load_audio`.
    """
    known, seconds = reference_for(voice, model), seconds or 0.0
    if known and seconds <= MAX_SECONDS and count_lanes(path) == 1:
        return known
    return "self" if compares and seconds > TURN_SECONDS and offered(model) else None


def enroll(path: str, model: str, before: Voice | None = None) -> Voice:
    """Return how a visitor's plain sentence sounds, and delete the recording.

    A first sentence that does not sound plain makes no reference. The second one does, whatever it sounds
    like: some people's plain voice sounds angry or sad to a model.

    Args:
        path: of the recording.
        model: a name in the registry.
        before: what the session knows.

    Raises:
        AudioError: nobody speaks in it, or it cannot be read.
        ModelError: the model has no reference head.
    """
    try:
        heard = classifier(model)
        voice, prediction = Voice(model, heard.enroll([path])), heard.predict(path)
        asked = before is not None and before.model == model
        return voice if asked or heard.sounds_plain(prediction) else Voice(model, None, prediction.label)
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


def chip(language: str, said: str = "") -> str:
    """Render that the visitor's voice is known, with the button that forgets it.

    Args:
        language: a key of `LANGUAGES`.
        said: what it is used for, in that language; by default, for every answer.
    """
    return (
        "<p class='knows'><button type='button' class='chip' data-action='press' data-press='forget-voice'>"
        f"{escape(text('own_voice_known', language))}</button>"
        f"<span class='note'>{escape(said or text('own_voice_used', language))}</span></p>"
    )


def tell_on_panel(
    reference: Reference | Literal["self"] | None, model: str, language: str, others: bool = False
) -> str:
    """Render what the first screen compares a recording with, and whether a panel below it does, too.

    Args:
        reference: what the first screen's answer was compared with.
        model: that gave it.
        language: a key of `LANGUAGES`.
        others: whether models that do not know the visitor's voice answer as well.
    """
    if reference is None:
        return ""
    if reference == "self":
        return f"<p class='note'>{escape(text('compared_here_not', language))}</p>"
    return chip(language, text("own_voice_only", language, model=model) if others else "")


def line(key: str, button: str, press: str, language: str) -> str:
    """Render a sentence on what a voice is compared with, and the button that changes it."""
    return (
        f"<p class='own-line note'><span>{escape(text(key, language))}</span> <button type='button' "
        f"class='btn small' data-action='press' data-press='{press}'>{escape(text(button, language))}"
        "</button></p>"
    )
