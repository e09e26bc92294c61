"""The app's end: requests under way are finished; those that would take too long end with a sentence."""

import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

import gradio as gr

RESTART = "This app is being restarted: please send the recording again in a minute."
Step = TypeVar("Step")

_over = threading.Event()


def give_up() -> None:
    """End every answer under way at its next step."""
    _over.set()


def until_the_end(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps until the app ends.

    Raises:
        gr.Error: the app ends; the message is a sentence for the visitor.
    """
    for step in steps:
        if _over.is_set():
            raise gr.Error(RESTART, print_exception=False)
        yield step
