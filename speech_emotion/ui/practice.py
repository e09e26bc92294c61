"""Practice: choose an emotion and a sentence, say it, and see how near it came and what it was taken for."""

from dataclasses import dataclass
from html import escape

import gradio as gr

from speech_emotion import AudioError, ModelError, Prediction
from speech_emotion.labels import SCHEMES
from speech_emotion.ui import render
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.own_voice import Voice, chip, reference_for
from speech_emotion.ui.page import emotion_class, icon, recorder
from speech_emotion.ui.registry import classifier
from speech_emotion.ui.wording import PHRASES, emotion_name, refuse, span, text

NEAR, CLOSE = 0.5, 0.2  # from these probabilities of the chosen emotion on it came across, or nearly


@dataclass(frozen=True)
class Attempt:
    """What a visitor tried to express, and how it was heard.

    Attributes:
        target: the emotion that was chosen.
        prediction: the answer; None where there is none.
        knows_voice: whether the visitor's own voice was the reference.
        refusal: why there is no answer, as the library says it.
    """

    target: str
    prediction: Prediction | None = None
    knows_voice: bool = False
    refusal: str = ""


def lay_out(listen: Listen) -> None:
    """Add the screen, and answer its recorder; the model is the first screen's."""
    emotions = "".join(
        f"<button type='button' class='chip' data-action='practice' data-value='{label}' "
        f"aria-pressed='{str(label == 'happy').lower()}'>"
        f"{icon(label)}{span(f'emotion_{label}')}</button>"
        for label in SCHEMES["core8"]
    )
    with gr.Column(elem_id="practice-grid"):
        gr.HTML(
            f"<div class='stack'>{span('practice_lead', 'p', 'class=lead')}<h2 class='visually-hidden'>"
            f"{span('nav_practice')}</h2>"
            f"<div class='cluster' role='group'>{emotions}</div></div>",
            apply_default_css=False,
        )
        line = gr.HTML(sentence("en", 0), elem_id="practice-sentence", apply_default_css=False)
        gr.HTML(recorder("practice-voice", hint="practice_hint"), apply_default_css=False)
        answer = gr.HTML(
            "<div data-answer-of='practice-voice'></div>", elem_id="practice", apply_default_css=False
        )
    target = gr.Textbox("happy", label="chosen emotion", visible="hidden", elem_id="practice-target")
    voice = gr.UploadButton("practice-voice", visible="hidden", type="filepath")
    another = gr.Button("another", visible="hidden", elem_id="practice-another")
    number, last = gr.State(0), gr.State()
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    voice.upload(
        practise, [voice, target, listen.model, listen.language, listen.own_voice], [answer, last], **quiet
    )
    another.click(
        lambda language, count: (sentence(language, count + 1), count + 1),
        [listen.language, number],
        [line, number],
        queue=False,
        **quiet,
    )
    listen.language.change(
        lambda language, count, kept: (sentence(language, count), show(kept, language)),
        [listen.language, number, last],
        [line, answer],
        queue=False,
        **quiet,
    )


def sentence(language: str, number: int) -> str:
    """Render a sentence to say, and the button for another one."""
    lines = PHRASES[language]["practice"]
    return (
        f"<div class='cluster'><p class='sentence' lang='{language}'>{escape(lines[number % len(lines)])}</p>"
        "<button type='button' class='btn small' data-action='press' data-press='practice-another'>"
        f"{escape(text('another_sentence', language))}</button></div>"
    )


def practise(
    path: str | None, target: str, model: str, language: str = "en", own: Voice | None = None
) -> tuple[str, Attempt | None]:
    """Answer to a sentence that was said with an emotion in mind."""
    if path is None:
        return show(None, language), None
    reference = reference_for(own, model)
    try:
        kept = Attempt(target, classifier(model).predict(path, reference=reference), reference is not None)
    except (AudioError, ModelError) as error:
        kept = Attempt(target, refusal=str(error))
    return show(kept, language), kept


def show(kept: Attempt | None, language: str) -> str:
    """Render how near the voice came to the emotion that was meant."""
    if kept is None:
        return "<div data-answer-of='practice-voice'></div>"
    target, prediction = kept.target, kept.prediction
    if prediction is None:
        refusal = render.refusal(refuse(kept.refusal, language))
        return f"<div data-answer-of='practice-voice'>{refusal}</div>"
    share = prediction.probabilities.get(target, 0.0)
    name = emotion_name(target, language)
    top = max(prediction.probabilities, key=prediction.probabilities.get)
    key = (
        "practice_hit"
        if top == target and share >= NEAR
        else "practice_near"
        if share >= CLOSE
        else "practice_far"
    )
    said = text(key, language, emotion=name, share=f"{100 * share:.0f}")
    taken = "" if top == target else text("practice_taken", language, emotion=emotion_name(top, language))
    known = PHRASES[language]["emotions"].get(target, {}).get("sounds_like", "")
    order = sorted(prediction.probabilities, key=prediction.probabilities.get, reverse=True)
    shown = {
        label: prediction.probabilities[label]
        for place, label in enumerate(order)
        if place < render.TOP_ROWS or label == target
    }
    return (
        f"<div data-answer-of='practice-voice'><article class='card stack' lang='{language}' "
        f"data-say='{escape(said, quote=True)}'>"
        f"<div class='verdict'><div class='face'>{render.face(prediction, language)}</div>"
        f"<div class='{emotion_class(target)}'><h2 class='label'>{escape(said)}</h2><p class='how'>"
        f"{escape(taken)}</p></div></div>"
        f"<ul class='rows'>{render.bars(shown, language)}</ul><p>{escape(known)}</p>"
        f"<p class='note'>{escape(text('practice_care', language))}</p>"
        f"{chip(language) if kept.knows_voice else ''}</article></div>"
    )
