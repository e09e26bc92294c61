"""The microphone, live: emotion and face follow the voice twice a second."""

import gradio as gr

from speech_emotion import AudioError, ModelError
from speech_emotion.audio.decoding import decode_audio
from speech_emotion.inference.streaming import StreamingClassifier
from speech_emotion.ui import render
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.registry import classifier

EVERY_SECONDS = 0.5
LIMIT_SECONDS = 300  # then the microphone is let go
INVITATION = "Press Record and speak; the face follows your voice, for up to five minutes."
QUIET = "Silence. Speak, and the face follows your voice."


def lay_out(listen: Listen) -> None:
    """Add the screen, and answer its microphone; the model is the first screen's."""
    with gr.Row(equal_height=False):
        with gr.Column():  # on a phone one above the other
            microphone = gr.Audio(
                sources=["microphone"],
                streaming=True,
                type="filepath",
                label="Microphone",
                elem_id="microphone",
            )
        with gr.Column():
            answer = gr.HTML(render.hint(INVITATION), elem_id="live")
    ear = gr.State(time_to_live=2 * LIMIT_SECONDS)
    microphone.stream(
        follow,
        [microphone, listen.model, ear],
        [answer, ear],
        stream_every=EVERY_SECONDS,
        time_limit=LIMIT_SECONDS,
        concurrency_limit=4,
        show_progress="hidden",
        api_visibility="private",
    )
    microphone.start_recording(lambda: None, None, ear, queue=False, api_visibility="private")


def follow(
    path: str | None, model: str, ear: StreamingClassifier | None
) -> tuple[str, StreamingClassifier | None]:
    """Answer to the latest piece of a microphone."""
    if path is None:
        return render.hint(INVITATION), None
    ear = ear or StreamingClassifier()
    try:
        heard = classifier(model)
        ear.push(heard, *decode_audio(path))
    except (AudioError, ModelError) as error:
        return render.refusal(str(error)), ear
    if ear.probabilities is None:
        return render.hint(QUIET), ear
    return render.live_card(ear.probabilities, heard.threshold, ear.milliseconds), ear
