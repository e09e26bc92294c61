"""The model's own card: what it was measured to do, for whom it works worse, and what it is not for."""

import base64
import functools
import re

import gradio as gr

from screens.listen import Listen
from screens.models import MODELS
from speech_emotion.strangers import find

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
    folder = MODELS[model]
    text = read(folder, "README.md")
    if text is None:
        return f"The model `{model}` has no card."

    def carry(match: re.Match) -> str:
        picture = read(folder, match[2])
        if picture is None:
            return match[1]
        return f"![{match[1]}](data:image/png;base64,{base64.b64encode(picture).decode()})"

    return PICTURE.sub(carry, FRONT_MATTER.sub("", text.decode(errors="replace")))


def read(model: str, name: str) -> bytes | None:
    """Read a file of a model's folder, here or on the hub; None where there is none, or no way to it."""
    try:
        return _read_once(model, name)
    except OSError:
        return None


@functools.cache
def _read_once(model: str, name: str) -> bytes | None:
    path = find(model, name)
    return path.read_bytes() if path else None
