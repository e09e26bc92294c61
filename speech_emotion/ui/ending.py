"""The app's end: what is under way then is finished, and who would have to wait longer gets a sentence."""

import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

import gradio as gr

RESTART = "This app is being restarted: please send the recording again in a minute."
Step = TypeVar("Step")

_over = threading.Event()


def give_up() -> None:
    """Let no more steps be taken."""
    _over.set()


def until_the_end(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps until the app has to end.

    Raises:
        gr.Error: it has; the message is a sentence for whoever waits.
    """
    for step in steps:
        if _over.is_set():
            raise gr.Error(RESTART, print_exception=False)
        yield step
