"""The first screen: a recording in, its emotion out; of a longer one, its emotions over time."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import gradio as gr

from speech_emotion import AudioError, EmotionClassifier
from speech_emotion.audio.decoding import header_duration, stream_audio
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.models.loading import ModelError
from speech_emotion.ui import render
from speech_emotion.ui.registry import classifier, serving

UTTERANCE_SECONDS = 10.0  # a longer recording gets a timeline instead of one answer
INVITATION = "Record or upload a voice, and its emotion appears here."

# Segments and moments are buttons inside one component; where they begin travels with the event.
PLAY = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-start]');
  if (button) trigger('select', {index: Number(button.dataset.start), value: button.title});
});
"""
START = """() => document.querySelector('#voice button[aria-label="Play"]')?.click()"""


class Listen:
    """The components that other screens read: the recording, the model, and the views below them."""

    def __init__(self):
        self.offered = serving()
        with gr.Row(equal_height=False):
            with gr.Column():
                self.voice = gr.Audio(
                    sources=["microphone", "upload"],
                    type="filepath",
                    label="Voice",
                    buttons=["download"],
                    elem_id="voice",
                )
                # The player's own upload takes only what the browser knows for sound by its name.
                self.video = gr.UploadButton("Upload a video", size="sm", elem_id="video")
                self.model = gr.Dropdown(
                    self.offered, value=self.offered[0], label="Model", info="Who listens", elem_id="model"
                )
            with gr.Column():
                self.answer = gr.HTML(render.hint(INVITATION), elem_id="answer")
                self.stop = gr.Button("Stop listening", visible=False, elem_id="stop")
        self.timeline = gr.HTML(visible=False, js_on_load=PLAY, elem_id="timeline")
        self.prediction = gr.State()  # of a short recording, as a dict; None otherwise

    def offer(self) -> gr.Dropdown | dict:
        """Offer the models that are loaded by now, where others were when the page was laid out."""
        names = serving()
        return gr.skip() if names == self.offered else gr.Dropdown(names, value=names[0])

    def wire(self) -> None:
        """Answer when a recording or another model comes."""
        outputs = [self.answer, self.prediction, self.timeline, self.stop, self.voice]
        listening = gr.on(
            [self.voice.change, self.model.change],
            listen,
            [self.voice, self.model],
            outputs,
            api_visibility="private",
            show_progress="minimal",
            trigger_mode="always_last",
        )
        # In the browser alone: Gradio has the system's ffmpeg convert what it takes for unplayable.
        self.video.upload(None, self.video, self.voice, js="(file) => file", api_visibility="private")
        self.stop.click(
            lambda: gr.Button(visible=False), None, self.stop, cancels=listening, api_visibility="private"
        )
        self.voice.clear(forget, None, outputs, cancels=listening, queue=False, api_visibility="private")
        move = self.timeline.select(play, None, self.voice, queue=False, api_visibility="private")
        move.then(None, js=START)


def forget() -> tuple:
    """Empty the page."""
    return (
        render.hint(INVITATION),
        None,
        gr.HTML(visible=False),
        gr.Button(visible=False),
        gr.Audio(subtitles=[]),
    )


def play(event: gr.SelectData) -> gr.Audio:
    """Move the player to where a visitor pointed."""
    return gr.Audio(playback_position=event.index) if isinstance(event.index, int | float) else gr.skip()


def listen(path: str | None, model: str) -> Iterator[tuple]:
    """Answer on the page, step by step where the recording is long.

    Yields:
        Updates of the answer, the prediction, the timeline, the stop button and the player.
    """
    _, *nothing = forget()
    if path is None:
        yield forget()
        return
    try:
        heard = classifier(model)
        blocks = stream_audio(path, UTTERANCE_SECONDS)
        next(blocks)
        if next(blocks, None) is None:
            prediction = heard.predict(path)
            judged = f"{prediction.seconds:.1f} s of sound, judged by {prediction.engine}"
            note = f"{Path(path).name}: {judged}. {heard.calibration}"
            card = render.prediction_card(prediction, note)
            yield card, asdict(prediction), *nothing[1:]
        else:
            yield from listen_long(heard, path)
    except (AudioError, ModelError) as error:
        yield render.refusal(str(error)), *nothing


def listen_long(heard: EmotionClassifier, path: str) -> Iterator[tuple]:
    """Answer to a longer recording after every half minute of it; as `listen` does."""
    stated, name = header_duration(path), Path(path).name
    yield render.progress(0.0, stated), None, gr.skip(), gr.Button(visible=True), gr.Audio(subtitles=[])
    for timeline in iter_timeline(heard, path):
        answer = render.summary_card(
            timeline, f"{name}: {render.clock(timeline.seconds)}, judged by {heard.engine.name}."
        )
        shown = bool(timeline.segments)
        strip = gr.HTML(render.timeline_strip(timeline), visible=shown)
        yield answer + render.progress(timeline.seconds, stated), None, strip, gr.skip(), gr.skip()
    # Said once more, since a browser that still draws the one before has been seen to miss it.
    strip = gr.HTML(render.timeline_strip(timeline, Path(path).stem), visible=shown)
    yield answer, None, strip, gr.Button(visible=False), gr.Audio(subtitles=timeline.subtitles())
