"""About: three sentences and three figures first, then the model's own card."""

import base64
import re
from html import escape

import gradio as gr

from speech_emotion import ModelError
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.registry import classifier
from speech_emotion.ui.wording import refuse, span, text

PICTURE = re.compile(r"!\[([^\]]*)\]\(([\w.-]+\.png)\)")
EMPTY_HEAD = re.compile(r"^\|\s*\|(?=[^\n]*\n\|[ :|-]+$)", re.MULTILINE)  # a table without a first heading
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def lay_out(listen: Listen) -> None:
    """Add the screen; its figures and card come when a visitor opens it, or chooses another model."""
    gr.HTML(
        "<div class='stack card'>"
        f"{span('about_what', 'p')}{span('about_trained', 'p')}{span('about_limits', 'p')}"
        f"<p><a href='web/' target='_blank'>{span('programs_browser')}</a></p>"
        f"{span('about_law', 'p', 'class=note')}</div>",
        apply_default_css=False,
    )
    figures = gr.HTML("", elem_id="figures", apply_default_css=False)
    gr.HTML(f"<h2>{span('card_title')}</h2>", apply_default_css=False)
    card = gr.Markdown(elem_id="card")
    opened = gr.Button("open", visible="hidden", elem_id="about-open")
    gr.on(
        [opened.click, listen.model.change, listen.language.change],
        lambda model, language: (show_figures(model, language), show_card(model)),
        [listen.model, listen.language],
        [figures, card],
        api_visibility="private",
        show_progress="hidden",
    )


def show_figures(model: str, language: str) -> str:
    """Render how often a model is right: with new speakers, with new recordings, and when it is sure."""
    try:
        report = classifier(model).report
    except ModelError as error:
        return f"<p class='refusal'>{escape(refuse(str(error), language))}</p>"
    elsewhere = [
        each for name, each in (report.get("comparisons") or {}).items() if name.endswith("left_out")
    ]
    selective = (report.get("selective") or {}).get("test") or {}
    values = [
        (text("figure_new_speakers", language), report.get("overall", {}).get("uar")),
        (text("figure_new_recordings", language), elsewhere[0]["overall"]["uar"] if elsewhere else None),
        (text("figure_sure", language), selective.get("accuracy")),
    ]
    cards = "".join(
        f"<div class='card'><strong>{100 * value:.0f}&nbsp;%</strong><span class='note'>"
        f"{escape(words)}</span></div>"
        for words, value in values
        if isinstance(value, float)
    )
    return (
        f"<div class='figures'>{cards}</div>"
        if cards
        else f"<p class='note'>{escape(text('not_measured', language))}</p>"
    )


def show_card(model: str) -> str:
    """Return a model's card as Markdown that carries its pictures."""
    try:
        folder = classifier(model).folder
    except ModelError as error:
        return str(error)
    card = folder / "README.md"
    if not card.is_file():
        return f"The model `{model}` has no card."

    def carry(match: re.Match) -> str:
        picture = folder / match[2]
        if not picture.is_file():
            return match[1]
        return f"![{match[1]}](data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()})"

    text_of_card = FRONT_MATTER.sub("", card.read_text("utf-8", errors="replace"))
    return PICTURE.sub(carry, EMPTY_HEAD.sub("| of |", text_of_card))
