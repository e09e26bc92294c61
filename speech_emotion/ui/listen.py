"""The first screen: a recording in, its emotion out. A longer one gets its emotions over time as well."""

from collections.abc import Callable, Iterator
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
from speech_emotion.ui.latest import Latest
from speech_emotion.ui.own_voice import TARGET, TURN_SECONDS, Voice, choose_reference, enroll, line, panel
from speech_emotion.ui.page import label, player, recorder
from speech_emotion.ui.registry import classifier, serving
from speech_emotion.ui.wording import advise, emotion_name, refuse, span, text


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
        knows_voice: whether the visitor's own voice was the reference.
        done: whether all of it has been heard.
    """

    name: str
    model: str
    prediction: Prediction | None = None
    timelines: tuple[Timeline, ...] = field(default=(), repr=False)
    whole: float | None = None
    refusal: str = ""
    meant: str = ""
    knows_voice: bool = False
    done: bool = True

    @property
    def with_reference(self) -> bool:
        """Whether the answer was given with a reference."""
        return self.knows_voice or any(each.with_reference for each in self.timelines)


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
        self.offered = serving()
        self.recorder = gr.HTML(recorder_card(), elem_id="listen-recorder", apply_default_css=False)
        gr.HTML(player(), elem_id="listen-player", apply_default_css=False)
        self.answer = gr.HTML(render.welcome(), elem_id="answer", apply_default_css=False)
        self.result = gr.State()
        self.own_voice = gr.State()  # a `Voice`, once the visitor has said a plain sentence
        self.compares = gr.State(True)  # a longer recording's utterances with each other
        self.plain = gr.UploadButton(TARGET, visible="hidden", type="filepath")
        self.forget_voice = gr.Button("forget voice", visible="hidden", elem_id="forget-voice")
        self.toggle = gr.Button("compare or not", visible="hidden", elem_id="compare-utterances")
        self.stop = gr.Button("stop", visible="hidden", elem_id="stop-listening")
        self.run = gr.Button("run", visible="hidden", elem_id="listen-run")
        self.forget = gr.Button("forget", visible="hidden", elem_id="forget")

    def wire(self) -> None:
        """Answer when a recording or another model comes."""
        quiet = {"api_visibility": "private", "show_progress": "hidden"}
        latest = gr.State(Latest())
        shown = [self.answer, self.result]
        voiced, known = [*shown, self.own_voice], [self.own_voice, self.compares]
        inputs = [self.voice, self.model, self.language, self.example, *known]
        begin = gr.on(
            [self.voice.upload, self.model.change],
            begin_again,
            [latest, self.voice, self.model, self.language],
            shown,
            queue=False,
            trigger_mode="multiple",
            **quiet,
        )
        begin.then(None, None, None, js="() => window.page.press('listen-run')", **quiet)
        for event, answer, extra, outputs in (
            (self.run.click, listen, [], shown),
            (self.plain.upload, hear_plain, [self.plain, self.result], voiced),
            (self.forget_voice.click, forget_voice, [], voiced),
            (self.toggle.click, toggle, [], [*shown, self.compares]),
        ):
            event(
                only_latest(answer, len(extra)), [latest, *extra, *inputs], outputs, trigger_mode="multiple",
                **quiet,
            )  # fmt: skip
        self.stop.click(
            show_stopped, [latest, self.result, self.language, *known], shown, queue=False, **quiet
        )
        self.forget.click(forget, latest, [self.voice, *shown], queue=False, **quiet)
        self.language.change(show, [self.result, self.language, *known], self.answer, queue=False, **quiet)

    def changes(self) -> list:
        """Return the events after which what other panels say of the last recording no longer holds."""
        return [
            self.voice.upload,
            self.forget.click,
            self.plain.upload,
            self.forget_voice.click,
            self.toggle.click,
        ]

    def offer(self) -> str | dict:
        """Render the recorder anew where other models are loaded by now than when the page was built."""
        return gr.skip() if serving() == self.offered else recorder_card()


def recorder_card() -> str:
    """Render Record, Upload, examples, and under Advanced the models that are loaded by now."""
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


def only_latest(answer: Callable[..., Iterator], path_at: int) -> Callable[..., Iterator]:
    """Return a function that answers until the visitor asks for something else; it takes a `Latest` first.

    Args:
        answer: answers a recording, step by step.
        path_at: which of its arguments is the recording's path; the model's name follows it.
    """

    def answer_latest(latest: Latest, *inputs) -> Iterator:
        yield from latest.answer(inputs[path_at : path_at + 2], answer(*inputs))

    answer_latest.__name__ = answer.__name__  # by which Gradio calls the event
    return answer_latest


def begin_again(latest: Latest, path: str | None, model: str, language: str) -> tuple[str, None]:
    """Clear the last recording's answer at once, before the new recording is answered."""
    latest.choose((path, model))
    return (render.welcome() if path is None else render.working(language)), None


def listen(
    path: str | None,
    model: str,
    language: str = "en",
    example: str = "",
    voice: Voice | None = None,
    compares: bool = True,
) -> Iterator[tuple[str, Answer | None]]:
    """Answer on the page, step by step where the recording is long.

    Yields:
        The answer as HTML, and the same as an `Answer`.
    """
    if path is None:
        yield render.welcome(), None
        return
    for answer in answers(path, model, example, voice, compares):
        yield show(answer, language, voice, compares), answer


def hear_plain(
    plain: str | None, answer: Answer | None, path: str | None, model: str, language: str, *rest
) -> Iterator[tuple[str, Answer | None, Voice | None]]:
    """Enroll the visitor's plain sentence, then answer the recording with it as the reference.

    Args:
        plain: path of the sentence's recording, which is deleted.
        answer: that stands on the page.
        path: as in `listen`, like all that follows.
        model: likewise.
        language: likewise.
        rest: likewise.
    """
    example, voice, compares = rest
    try:
        voice = enroll(plain, model, voice) if plain else voice
    except (AudioError, ModelError) as error:
        yield show(answer, language, voice, compares, refuse(str(error), language)), answer, voice
        return
    if voice and voice.sounded:
        again = text("own_voice_again", language, emotion=emotion_name(voice.sounded, language))
        yield show(answer, language, voice, compares, again), answer, voice
        return
    for step in listen(path, model, language, example, voice, compares):
        yield *step, voice


def forget_voice(
    path: str | None, model: str, language: str, example: str, _: Voice | None, compares: bool
) -> Iterator[tuple[str, Answer | None, None]]:
    """Answer without the visitor's own voice; the arguments are those of `listen`."""
    for step in listen(path, model, language, example, None, compares):
        yield *step, None


def toggle(
    path: str | None, model: str, language: str, example: str, voice: Voice | None, compares: bool
) -> Iterator[tuple[str, Answer | None, bool]]:
    """Answer with a recording's utterances compared with each other, or no longer."""
    for step in listen(path, model, language, example, voice, not compares):
        yield *step, not compares


def answers(
    path: str, model: str, meant: str = "", voice: Voice | None = None, compares: bool = True
) -> Iterator[Answer]:
    """Compute a recording's answer, its timeline after every half minute.

    Args:
        path: of the recording.
        model: a name in the registry.
        meant: of an example, the emotion that its actor meant.
        voice: the visitor's own, if it is known.
        compares: whether a longer recording's utterances are compared with each other.
    """
    name = Path(path).name
    try:
        heard, whole = classifier(model), header_duration(path)
        own = choose_reference(path, whole, model, voice, compares)
        lanes = [iter_timeline(heard, path, reference=own, channel=each) for each in channels(path)]
        latest: tuple[Timeline | None, ...] = (None,) * len(lanes)
        for step in zip_longest(*lanes):
            latest = tuple(new or old for new, old in zip(step, latest, strict=True))
            if latest[0].seconds > TURN_SECONDS and any(each.segments for each in latest):
                yield Answer(name, model, timelines=latest, whole=whole, done=False)
        [timeline, *others] = latest
        alone = not others and timeline.seconds <= MAX_SECONDS
        prediction = timeline.prediction(heard) if alone else None
        short = alone and timeline.seconds <= TURN_SECONDS
        knows = own not in (None, "self")
        yield Answer(name, model, prediction, () if short else latest, meant=meant, knows_voice=knows)
    except (AudioError, ModelError) as error:
        yield Answer(name, model, refusal=str(error))


def channels(path: str) -> list[int | None]:
    """Return the channels to hear apart, where two people have one each; else None, for all of them mixed."""
    return [0, 1] if count_lanes(path) == 2 else [None]


def show(
    answer: Answer | None, language: str, voice: Voice | None = None, compares: bool = True, trouble: str = ""
) -> str:
    """Render an answer in a language, and what it was compared with.

    Args:
        answer: what is known of the recording.
        language: a key of `LANGUAGES`.
        voice: the visitor's own, if it is known.
        compares: whether a longer recording's utterances are compared with each other.
        trouble: why the visitor's plain sentence could not be used, if so.
    """
    if answer is None:
        return render.welcome()
    if answer.refusal:
        return render.refusal(refuse(answer.refusal, language))
    heard = classifier(answer.model)
    if not answer.done:
        bar = render.progress(answer.timelines[0].seconds, answer.whole, language)
        waiting = f"<div class='card stack'>{bar}{render.stop_button('stop-listening', language)}</div>"
        return waiting + _call(answer, heard, language, compares)
    card = ""
    if answer.prediction:
        measured = not answer.with_reference  # the report is about answers without one
        facts = {
            "fact_file": answer.name,
            "fact_length": text("seconds", language, seconds=f"{answer.prediction.seconds:.1f}"),
            "fact_model": f"{answer.model}, {answer.prediction.engine}",
            "fact_calibration": heard.calibration if measured and language == "en" else "",
        }
        advice = advise(answer.prediction, heard.report if measured else {}, language)
        card = render.answer_card(answer.prediction, advice, facts, language, answer.meant)
        card += panel(voice, answer.model, language, trouble)
    return card + (_call(answer, heard, language, compares) if answer.timelines else "")


def forget(latest: Latest) -> tuple[gr.UploadButton, str, None]:
    """Remove the recording and its answer."""
    latest.choose(None)
    return gr.UploadButton(value=None), render.welcome(), None


def show_stopped(
    latest: Latest, answer: Answer | None, language: str, voice: Voice | None = None, compares: bool = True
) -> tuple[str, Answer | None]:
    """Stop, and render what has been heard of a recording, with its files to save."""
    latest.stop()
    if answer is None or not answer.timelines:
        return render.hint(text("stopped_early", language)), None
    kept = Answer(answer.name, answer.model, timelines=answer.timelines, whole=answer.whole)
    return show(kept, language, voice, compares), kept


def _call(answer: Answer, heard: EmotionClassifier, language: str, compares: bool) -> str:
    notes = []
    if answer.done and answer.whole:
        done, whole = render.clock(answer.timelines[0].seconds), render.clock(answer.whole)
        notes.append(text("stopped_at", language, done=done, whole=whole))
    if answer.timelines[0].damage and not answer.prediction:  # whose card says it
        notes.append(refuse(answer.timelines[0].damage, language))
    whole = None if answer.done else answer.whole
    return call.page(
        answer.timelines,
        answer.name,
        f"{answer.model}, {heard.engine.name}",
        language,
        whole,
        " ".join(notes),
        _compared(answer, heard, language, compares),
    )


def _compared(answer: Answer, heard: EmotionClassifier, language: str, compares: bool) -> str:
    """Render what the utterances were compared with; "" where the model cannot, or there was nothing."""
    if not answer.done or answer.knows_voice or not heard.reference_head:
        return ""
    if answer.with_reference:
        key = "compared_person" if len(answer.timelines) > 1 else "compared_recording"
        return line(key, "compare_off", "compare-utterances", language)
    return "" if compares else line("compared_nothing", "compare_on", "compare-utterances", language)
