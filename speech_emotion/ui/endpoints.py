"""What programs call: named endpoints without a place on the page."""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import gradio as gr

from speech_emotion import AudioError, EmotionClassifier, ModelError
from speech_emotion.audio.decoding import decode_audio
from speech_emotion.inference.batch import classify_files
from speech_emotion.inference.events import describe_recording
from speech_emotion.inference.streaming import StreamingClassifier
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.ui.avatar import blend
from speech_emotion.ui.many_files import MOST_FILES, TOO_MANY
from speech_emotion.ui.registry import MODELS, classifier, serving

FORGOTTEN_SECONDS = 600  # after so long without a call, what a session has sent last is gone


def publish() -> None:
    """Add the endpoints to the page, their inputs and outputs hidden."""
    ear = gr.State(time_to_live=FORGOTTEN_SECONDS)
    for name, answer, state in (
        ("classify", classify, []),
        ("timeline", timeline, []),
        ("live", live, [ear]),
    ):
        endpoint(name, answer, gr.Audio(type="filepath", label="Recording", visible=False), state)
    endpoint("batch", batch, gr.File(file_count="multiple", label="Recordings", visible=False), [])


def endpoint(name: str, answer: Callable, recording: gr.Audio | gr.File, state: list[gr.State]) -> None:
    """Make a function of a recording, a model's name and a state into an endpoint that answers JSON."""
    model = gr.Dropdown(list(MODELS), value=None, label="Model", visible=False)
    gr.Button(visible=False).click(
        answer,
        [recording, model, *state],
        [gr.JSON(label="Answer", visible=False), *state],
        api_name=name,
    )


def classify(recording: str | None, model: str | None = None) -> dict:
    """Classify one recording of up to a minute.

    Args:
        recording: what to judge.
        model: one of the models on offer; by default the first that is loaded.

    Returns:
        `label`, `probabilities` by label, `seconds` of sound judged, whether the model is `sure`, and the
        `engine` that computed it.
    """
    return ask(recording, model, lambda heard: asdict(heard.predict(recording)))


def timeline(recording: str | None, model: str | None = None) -> dict:
    """Find the utterances of a recording of up to an hour, and classify each.

    Args:
        recording: what to judge.
        model: one of the models on offer; by default the first that is loaded.

    Returns:
        `seconds`; the `shares` of the speech by emotion; the `segments`, `start` and `end` in seconds and
        what `classify` returns; and the `events`: `kind` (`agitation`, `drowsiness`, `turn`), `start`, `end`
        and a `text` for a person.
    """

    def answer(heard: EmotionClassifier) -> dict:
        return describe_recording(deque(iter_timeline(heard, recording), maxlen=1).pop())

    return ask(recording, model, answer)


def batch(recordings: list[str] | None, model: str | None = None) -> list[dict]:
    """Classify recordings of up to a minute each.

    Args:
        recordings: what to judge, at most 500.
        model: one of the models on offer; by default the first that is loaded.

    Returns:
        A row for each: `file`, `emotion`, `sure`, `confidence`, each probability by its label, `seconds`, and
        `error`, the sentence that says why one has no answer.
    """
    if len(recordings or []) > MOST_FILES:
        raise gr.Error(TOO_MANY, print_exception=False)
    files = [(Path(path).name, Path(path)) for path in recordings or []]
    return ask(recordings, model, lambda heard: list(classify_files(heard, files)))


def live(recording: str | None, model: str | None = None, ear: StreamingClassifier | None = None) -> tuple:
    """Follow a voice: each call brings the next half second or so of one session's sound.

    Args:
        recording: the next piece.
        model: one of the models on offer; by default the first that is loaded.
        ear: what the session has heard before; the server keeps it.

    Returns:
        `label` and `probabilities` of the last three seconds, eased from call to call, both null in a pause;
        the `face` that shows them, numbers for an avatar; and `milliseconds` that the answer took.
    """
    ear = ear or StreamingClassifier()

    def answer(heard: EmotionClassifier) -> dict:
        ear.push(heard, *decode_audio(recording))
        shares = ear.probabilities
        return {
            "label": shares and max(shares, key=shares.get),
            "probabilities": shares,
            "face": asdict(blend(shares or {})),
            "milliseconds": round(ear.milliseconds[-1], 1) if shares else None,
        }

    return ask(recording, model, answer), ear


# No tools of an assistant: Gradio describes many files wrongly to it, and keeps no state between its calls.
batch._mcp_type = live._mcp_type = "none"


def ask(
    recording: object, model: str | None, answer: Callable[[EmotionClassifier], dict | list]
) -> dict | list:
    """Answer a program, or tell it in a sentence why not."""
    if not recording:
        raise gr.Error("Send a recording.", print_exception=False)
    try:
        return answer(classifier(model or serving()[0]))
    except (AudioError, ModelError) as error:
        raise gr.Error(str(error), print_exception=False) from error
