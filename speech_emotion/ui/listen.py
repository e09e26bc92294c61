"""The first screen: a recording in, its emotion out. A longer one gets its emotions over time as well."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import zip_longest
from pathlib import Path

import gradio as gr

from speech_emotion import AudioError, EmotionClassifier, ModelError, Prediction
from speech_emotion.audio.decoding import MAX_SECONDS, header_duration
from speech_emotion.inference.recording import count_lanes
from speech_emotion.inference.timeline import Timeline, iter_timeline
from speech_emotion.ui import call, examples, render
from speech_emotion.ui.page import label, player, recorder
from speech_emotion.ui.registry import classifier, serving
from speech_emotion.ui.wording import describe, refuse, span, text

TURN_SECONDS = 10.0  # a longer recording gets a timeline, too


@dataclass(frozen=True)
class Answer:
    """What one recording was answered with, kept for the session so that another language can render it.

    Attributes:
        name: of the file.
        model: that answered.
        prediction: of the whole recording; None where it is longer than a minute.
        timelines: of each channel where two people have a channel each, else one; () where it is short.
        whole: the recording's length in seconds, as far as it is known.
        refusal: why there is no answer, as the library says it.
        meant: of an example, the emotion that its actor meant.
        done: whether all of it has been heard.
    """

    name: str
    model: str
    prediction: Prediction | None = None
    timelines: tuple[Timeline, ...] = field(default=(), repr=False)
    whole: float | None = None
    refusal: str = ""
    meant: str = ""
    done: bool = True


class Listen:
    """The components that other screens read: the recording, the model and the language."""

    def __init__(self):
        self.voice = gr.UploadButton("voice", visible="hidden", type="filepath")
        self.model = gr.Textbox(serving()[0], label="chosen model", visible="hidden", elem_id="model")
        self.language = gr.Textbox("en", label="chosen language", visible="hidden", elem_id="language")
        self.example = gr.Textbox("", label="chosen example", visible="hidden", elem_id="example")

    def lay_out(self) -> None:
        """Add the screen's parts."""
        gr.HTML(span("lead", "p", "class='lead'"), elem_id="listen-lead", apply_default_css=False)
        self.recorder = gr.HTML(_recorder(), elem_id="listen-recorder", apply_default_css=False)
        gr.HTML(player(), elem_id="listen-player", apply_default_css=False)
        self.answer = gr.HTML(render.welcome(), elem_id="answer", apply_default_css=False)
        self.result = gr.State()
        self.stop = gr.Button("stop", visible="hidden", elem_id="stop-listening")
        self.run = gr.Button("run", visible="hidden", elem_id="listen-run")
        self.forget = gr.Button("forget", visible="hidden", elem_id="forget")

    def wire(self) -> None:
        """Answer when a recording or another model comes."""
        quiet = {"api_visibility": "private", "show_progress": "hidden"}
        shown = [self.answer, self.result]
        listening = self.run.click(
            listen,
            [self.voice, self.model, self.language, self.example],
            shown,
            trigger_mode="always_last",
            **quiet,
        )
        begin = gr.on(
            [self.voice.upload, self.model.change], begin_again, [self.voice, self.language], shown,
            cancels=listening, queue=False, **quiet,
        )  # fmt: skip
        begin.then(None, None, None, js="() => window.page.press('listen-run')", **quiet)
        self.stop.click(
            show_stopped, [self.result, self.language], shown, cancels=listening, queue=False, **quiet
        )
        self.forget.click(
            lambda: (gr.UploadButton(value=None), render.welcome(), None),
            None,
            [self.voice, *shown],
            cancels=listening,
            queue=False,
            **quiet,
        )
        self.language.change(show, [self.result, self.language], self.answer, queue=False, **quiet)

    def offer(self) -> tuple[str, str]:
        """Render the recorder with the models that are loaded by now, and return the first of them."""
        return _recorder(), serving()[0]


def _recorder() -> str:
    """Render the recorder's card: Record, Upload, examples, and the model under Advanced."""
    names = serving()
    options = "".join(f"<option value='{escape(name)}'>{escape(name)}</option>" for name in names)
    return recorder(
        "voice",
        f"<div class='cluster'><span class='hint'>{span('or')}</span>"
        "<button type='button' class='btn' data-action='upload' data-input='upload-input'>"
        f"{span('upload')}</button>"
        "<input type='file' id='upload-input' hidden "
        f"accept='audio/*,video/*,.{',.'.join(examples.SUFFIXES)}' {label('upload')}></div>"
        f"{span('limit', 'p', 'class=hint')}{span('privacy', 'p', 'class=hint')}{examples.chips()}"
        f"<details><summary>{span('advanced')}</summary><div class='stack'>"
        f"<label for='model-choice'>{span('model')}</label>"
        f"<select id='model-choice' data-put='model'>{options}</select>"
        f"{span('model_help', 'p', 'class=hint')}</div></details>",
    )


def begin_again(path: str | None, language: str) -> tuple[str, None]:
    """Replace the last recording's answer at once, so that nothing of it stands above the new one."""
    return (render.welcome() if path is None else render.working(language)), None


def listen(
    path: str | None, model: str, language: str = "en", example: str = ""
) -> Iterator[tuple[str, Answer | None]]:
    """Answer on the page, step by step where the recording is long.

    Yields:
        The answer as HTML, and the same as an `Answer`.
    """
    if path is None:
        yield render.welcome(), None
        return
    for answer in answers(path, model, example):
        yield show(answer, language), answer


def answers(path: str, model: str, meant: str = "") -> Iterator[Answer]:
    """Compute a recording's answer, its timeline after every half minute.

    Args:
        path: of the recording.
        model: a name in the registry.
        meant: of an example, the emotion that its actor meant.
    """
    name = Path(path).name
    try:
        heard, whole = classifier(model), header_duration(path)
        lanes = [iter_timeline(heard, path, channel=each) for each in channels(path)]
        latest: tuple[Timeline | None, ...] = (None,) * len(lanes)
        for step in zip_longest(*lanes):
            latest = tuple(new or old for new, old in zip(step, latest, strict=True))
            if latest[0].seconds > TURN_SECONDS and any(each.segments for each in latest):
                yield Answer(name, model, timelines=latest, whole=whole, done=False)
        [timeline, *others] = latest
        alone = not others and timeline.seconds <= MAX_SECONDS
        prediction = timeline.prediction(heard) if alone else None
        short = alone and timeline.seconds <= TURN_SECONDS
        yield Answer(name, model, prediction, () if short else latest, meant=meant)
    except (AudioError, ModelError) as error:
        yield Answer(name, model, refusal=str(error))


def channels(path: str) -> list[int | None]:
    """Return the channels to hear apart, where two people have one each; else None, for all of them mixed."""
    return [0, 1] if count_lanes(path) == 2 else [None]


def show(answer: Answer | None, language: str) -> str:
    """Render an answer in a language."""
    if answer is None:
        return render.welcome()
    if answer.refusal:
        return render.refusal(refuse(answer.refusal, language))
    heard = classifier(answer.model)
    if not answer.done:
        bar = render.progress(answer.timelines[0].seconds, answer.whole, language)
        waiting = f"<div class='card stack'>{bar}{render.stop_button('stop-listening', language)}</div>"
        return waiting + _call(answer, heard, language)
    card = ""
    if answer.prediction:
        facts = {
            "fact_file": answer.name,
            "fact_length": text("seconds", language, seconds=f"{answer.prediction.seconds:.1f}"),
            "fact_model": f"{answer.model}, {answer.prediction.engine}",
            "fact_calibration": heard.calibration if language == "en" else "",
        }
        advice = describe(answer.prediction, heard.report, language)
        card = render.answer_card(answer.prediction, advice, facts, language, answer.meant)
    return card + (_call(answer, heard, language) if answer.timelines else "")


def show_stopped(answer: Answer | None, language: str) -> tuple[str, Answer | None]:
    """Render what has been heard of a recording when the visitor stops, with its files to save."""
    if answer is None or not answer.timelines:
        return render.hint(text("stopped_early", language)), None
    kept = Answer(answer.name, answer.model, timelines=answer.timelines, whole=answer.whole)
    return show(kept, language), kept


def _call(answer: Answer, heard: EmotionClassifier, language: str) -> str:
    note = ""
    if answer.done and answer.whole:
        done, whole = render.clock(answer.timelines[0].seconds), render.clock(answer.whole)
        note = text("stopped_at", language, done=done, whole=whole)
    whole = None if answer.done else answer.whole
    return call.page(
        answer.timelines, answer.name, f"{answer.model}, {heard.engine.name}", language, whole, note
    )
