"""The model's own card: what it was measured to do, for whom it works worse, and what it is not for."""

import base64
import re

import gradio as gr

from speech_emotion import ModelError
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.registry import classifier

PICTURE = re.compile(r"!\[([^\]]*)\]\(([\w.-]+\.png)\)")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def lay_out(listen: Listen, tab: gr.Tab) -> None:
    """Add the screen; it is filled when a visitor opens it, and when another model is chosen."""
    card = gr.Markdown(elem_id="card")
    gr.on(
        [tab.select, listen.model.change],
        show_card,
        listen.model,
        card,
        api_visibility="private",
        show_progress="hidden",
    )


def show_card(model: str) -> str:
    """Give a model's card as Markdown that carries its pictures."""
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

    return PICTURE.sub(carry, FRONT_MATTER.sub("", card.read_text("utf-8", errors="replace")))
