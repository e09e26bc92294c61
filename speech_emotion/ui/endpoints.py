"""The API: named endpoints for programs, which the page does not show."""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import gradio as gr

from speech_emotion import AudioError, EmotionClassifier, ModelError
from speech_emotion.audio.decoding import decode_audio
from speech_emotion.inference.batch import classify_files
from speech_emotion.inference.events import describe_recording
from speech_emotion.inference.reference import Reference
from speech_emotion.inference.streaming import StreamingClassifier
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.ui.avatar import blend
from speech_emotion.ui.ending import until_the_end
from speech_emotion.ui.many_files import MOST_FILES, TOO_MANY
from speech_emotion.ui.registry import MODELS, classifier, serving

FORGOTTEN_SECONDS = 600  # after so long without a call, what a session has sent last is gone


def publish() -> None:
    """Add the endpoints to the page, their inputs and outputs hidden."""
    stream = gr.State(time_to_live=FORGOTTEN_SECONDS)
    for name, answer, further, state in (
        ("classify", classify, [sound("Reference")], []),
        ("timeline", timeline, [sound("Reference"), gr.Checkbox(label="Own voice", visible=False)], []),
        ("live", live, [], [stream]),
    ):
        endpoint(name, answer, [sound("Recording"), *further], state)
    files = gr.File(file_count="multiple", label="Recordings", visible=False)
    endpoint("batch", batch, [files, sound("Reference")], [])


def sound(label: str) -> gr.Audio:
    """Return a hidden input that takes a recording."""
    return gr.Audio(type="filepath", label=label, visible=False)


def endpoint(name: str, answer: Callable, inputs: list[gr.Component], state: list[gr.State]) -> None:
    """Make a function of a recording, a model's name, further inputs and a state into an endpoint.

    It answers JSON.
    """
    recording, *further = inputs
    model = gr.Dropdown(list(MODELS), value=None, label="Model", visible=False)
    gr.Button(visible=False).click(
        answer,
        [recording, model, *further, *state],
        [gr.JSON(label="Answer", visible=False), *state],
        api_name=name,
    )


def classify(
    recording: str | bytes | None, model: str | None = None, reference: str | bytes | None = None
) -> dict:
    """Classify one recording of up to an hour.

    Args:
        recording: what to classify.
        model: one of the models on offer; by default the first that is loaded.
        reference: a recording of how the same person normally sounds, for a model that can use it.

    Returns:
        `label`, `probabilities` by label, `seconds` of speech classified, whether the model is `sure`, the
        `engine` that computed it, and the `utterances`, each with `start` and `end` in seconds. Of several
        utterances `shares` has the part of the speech with each emotion, and `mixed` says that none leads.
        `damage` says what of the recording could not be decoded.
    """
    return ask(
        recording, model, lambda heard: asdict(heard.predict(recording, reference=enroll(heard, reference)))
    )


def timeline(
    recording: str | bytes | None,
    model: str | None = None,
    reference: str | bytes | None = None,
    own_voice: bool = False,
) -> dict:
    """Find the utterances of a recording of up to an hour, and classify each.

    Args:
        recording: what to classify.
        model: one of the models on offer; by default the first that is loaded.
        reference: a recording of how the same person normally sounds, for a model that can use it.
        own_voice: whether, without a reference, the other utterances of the recording are the reference of
            each.

    Returns:
        `seconds`; the `shares` of the speech by emotion; the `segments`, `start` and `end` in seconds and
        what `classify` returns; and the `events`: `kind` (`agitation`, `drowsiness`, `turn`), `start`, `end`
        and a `text` for a person.
    """

    def answer(heard: EmotionClassifier) -> dict:
        own = "self" if own_voice and not reference else enroll(heard, reference)
        steps = until_the_end(iter_timeline(heard, recording, reference=own))
        return describe_recording(deque(steps, maxlen=1).pop())

    return ask(recording, model, answer)


def batch(recordings: list[str] | None, model: str | None = None, reference: str | None = None) -> list[dict]:
    """Classify recordings of up to a minute each.

    Args:
        recordings: what to classify, at most 500.
        model: one of the models on offer; by default the first that is loaded.
        reference: a recording of how the one speaker of all of them normally sounds, for a model that can
            use it.

    Returns:
        A row for each: `file`, `emotion`, `sure`, `confidence`, each probability by its label, whether it is
        `mixed`, the number of `utterances`, `seconds`, `damage`, what could not be decoded, and `error`, the
        sentence that says why one has no answer.
    """
    if len(recordings or []) > MOST_FILES:
        raise gr.Error(TOO_MANY, print_exception=False)
    files = [(Path(path).name, Path(path)) for path in recordings or []]

    def answer(heard: EmotionClassifier) -> list[dict]:
        return list(until_the_end(classify_files(heard, files, enroll(heard, reference))))

    return ask(recordings, model, answer)


def live(recording: str | None, model: str | None = None, stream: StreamingClassifier | None = None) -> tuple:
    """Follow a voice: each call brings the next half second or so of one session's sound.

    Args:
        recording: the next piece.
        model: one of the models on offer; by default the first that is loaded.
        stream: what the session has heard before; the server keeps it.

    Returns:
        `label` and `probabilities` of the last three seconds, eased from call to call, both null in a pause;
        the `face` that shows them, numbers for an avatar; and `milliseconds` that the answer took.
    """
    stream = stream or StreamingClassifier()

    def answer(heard: EmotionClassifier) -> dict:
        stream.push(heard, *decode_audio(recording))
        shares = stream.probabilities
        return {
            "label": shares and max(shares, key=shares.get),
            "probabilities": shares,
            "face": asdict(blend(shares or {})),
            "milliseconds": round(stream.milliseconds[-1], 1) if shares else None,
        }

    return ask(recording, model, answer), stream


def enroll(heard: EmotionClassifier, recording: str | bytes | None) -> Reference | None:
    """Return how the speaker of a recording sounds; None without one."""
    return heard.enroll([recording]) if recording else None


def ask(
    recording: object, model: str | None, answer: Callable[[EmotionClassifier], dict | list]
) -> dict | list:
    """Answer a program, or raise an error that says why there is no answer."""
    if not recording:
        raise gr.Error("Send a recording.", print_exception=False)
    try:
        return answer(classifier(model or serving()[0]))
    except (AudioError, ModelError) as error:
        raise gr.Error(str(error), print_exception=False) from error
