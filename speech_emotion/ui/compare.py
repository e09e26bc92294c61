"""The same recording answered by every model: what each says, how sure it is, and how long it takes."""

import time
from collections.abc import Iterator
from html import escape

import gradio as gr
import numpy as np

from speech_emotion import AudioError, EmotionClassifier, ModelError, Prediction
from speech_emotion.audio.decoding import MAX_SECONDS, header_duration, stream_audio
from speech_emotion.inference.reference import Reference
from speech_emotion.ui import render
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.own_voice import Voice, choose_reference, reference_for, tell_on_panel
from speech_emotion.ui.page import emotion_class, icon
from speech_emotion.ui.registry import MODELS, classifier
from speech_emotion.ui.wording import emotion_name, refuse, text


def lay_out(listen: Listen) -> None:
    """Add the screen, and answer its button."""
    gr.HTML(render.opening("compare_lead", "compare_button", "compare-run"), apply_default_css=False)
    run = gr.Button("compare", visible="hidden", elem_id="compare-run")
    table = gr.HTML("", elem_id="comparison", apply_default_css=False)
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    asked = [listen.voice, listen.language, listen.model, listen.own_voice, listen.compares]
    comparing = run.click(compare, asked, table, **quiet)
    gr.on(
        listen.changes(),
        lambda: "",
        None,
        table,
        cancels=comparing,
        queue=False,
        **quiet,
    )


def compare(
    path: str | None,
    language: str = "en",
    model: str = "",
    voice: Voice | None = None,
    compares: bool = False,
) -> Iterator[str]:
    """Render what each model says of a recording's first minute, one model after another.

    The model that knows the visitor's voice compares with it where the first screen does. No utterance is
    compared with the others here.

    Args:
        path: of the recording.
        language: a key of `LANGUAGES`.
        model: that answers on the first screen.
        voice: the visitor's own, if it is known.
        compares: whether the first screen compares a longer recording's utterances with each other.
    """
    if path is None:
        yield render.refusal(text("no_recording", language))
        return
    yield render.working(language)
    knowing = voice.model if voice else model
    try:
        audio = next(stream_audio(path, MAX_SECONDS))
        used = choose_reference(path, header_duration(path), knowing, voice, compares)
    except AudioError as error:
        yield render.refusal(refuse(str(error), language))
        return
    said = tell_on_panel(used, knowing, language, others=True)
    predictions: dict[str, Prediction] = {}
    costs: dict[str, str] = {}
    for name in MODELS:
        try:
            heard = classifier(name)
            known = None if used in (None, "self") else reference_for(voice, name)
            predictions[name], milliseconds = time_prediction(heard, audio, known)
        except AudioError as error:
            yield render.refusal(refuse(str(error), language))
            return
        except ModelError as error:
            costs[name] = refuse(str(error), language)
        else:
            costs[name] = text(
                "cost", language, milliseconds=f"{milliseconds:.0f}", engine=predictions[name].engine,
                parameters=f"{heard.parameters / 1e6:.1f}",
            )  # fmt: skip
        yield render_table(predictions, costs, language, said)


def time_prediction(
    heard: EmotionClassifier, audio: np.ndarray, reference: Reference | None
) -> tuple[Prediction, float]:
    """Classify shape-[n] samples twice; return the prediction and the milliseconds of the second run."""
    heard.predict(audio, reference=reference)
    start = time.perf_counter()
    prediction = heard.predict(audio, reference=reference)
    return prediction, 1000 * (time.perf_counter() - start)


def render_table(
    predictions: dict[str, Prediction], costs: dict[str, str], language: str, said: str = ""
) -> str:
    """Render one table: an emotion a row, a model a column.

    Args:
        predictions: by model.
        costs: what each answer took, or why there is none, by model.
        language: a key of `LANGUAGES`.
        said: HTML on what the recording was compared with.
    """
    labels = list(dict.fromkeys(label for each in predictions.values() for label in each.probabilities))
    mean = {label: max(each.probabilities.get(label, 0) for each in predictions.values()) for label in labels}
    labels.sort(key=lambda label: -mean[label])
    verdict = sentence(predictions, language)
    heads = "".join(f"<th scope='col' class='model'>{escape(name)}</th>" for name in costs)
    says = "".join(f"<td class='label'>{_say(predictions.get(name), language)}</td>" for name in costs)
    rows = "".join(
        f"<tr class='{emotion_class(label)}'><th scope='row'><span class='cell-emotion'>"
        f"{icon(label, little=True)}"
        f"{escape(emotion_name(label, language))}</span></th>"
        + "".join(
            _bar(predictions[name].probabilities.get(label) if name in predictions else None)
            for name in costs
        )
        + "</tr>"
        for label in labels
    )
    foot = "".join(f"<td class='note cost'>{escape(cost)}</td>" for cost in costs.values())
    return (
        f"<div class='stack' data-say='{escape(verdict)}'><p class='verdict-line'><strong>"
        f"{escape(verdict)}</strong></p>{said}"
        "<div class='table-scroll' tabindex='0' role='group' "
        f"aria-label='{escape(text('compare_lead', language))}'><table>"
        f"<thead><tr><th scope='col'>{escape(text('model', language))}</th>{heads}</tr></thead><tbody>"
        f"<tr><th scope='row'>{escape(text('answer', language))}</th>{says}</tr>{rows}"
        f"<tr><th scope='row'>{escape(text('fact_cost', language))}</th>{foot}</tr></tbody></table></div>"
        "</div>"
    )


def sentence(predictions: dict[str, Prediction], language: str) -> str:
    """Return in a sentence whether the models agree."""
    labels = {prediction.label for prediction in predictions.values()}
    if len(predictions) < 2:
        return text("compare_one", language)
    if len(labels) > 1:
        return text("compare_differ", language)
    key = "compare_agree" if all(each.sure for each in predictions.values()) else "compare_agree_unsure"
    return text(key, language, emotion=emotion_name(labels.pop(), language))


def _say(prediction: Prediction | None, language: str) -> str:
    if prediction is None:
        return "–"
    title, how = render.headline(prediction, language)
    return (
        f"<span class='{emotion_class(prediction.label)}' data-label='{escape(prediction.label)}'>"
        f"{title}</span>"
        f"<br><span class='note'>{escape(how)}</span>"
    )


def _bar(share: float | None) -> str:
    if share is None:
        return "<td>–</td>"
    return (
        "<td><span class='two-bars'><span class='percent' style='text-align:left'>"
        f"{100 * share:.0f}&nbsp;%</span>"
        f"<span class='bar' aria-hidden='true'><i style='width:{share:.1%}'></i></span></span></td>"
    )
