"""A visitor's latest request: the page shows its answer only, never that of an earlier one."""

from collections.abc import Hashable, Iterator

import gradio as gr


class Latest:
    """The latest request of one visitor: the value of a `gr.State`, of which each session has its own.

    Gradio's `cancels` cannot do this: the browser sends the next request while it still cancels the one
    before, and may lose both.
    """

    def __init__(self):
        self._recording: Hashable = None
        self._turn = 0

    def choose(self, recording: Hashable) -> None:
        """End all answers under way; from now on only this recording is answered."""
        self._recording = recording
        self.stop()

    def stop(self) -> None:
        """End all answers under way."""
        self._turn += 1

    def answer(self, recording: Hashable, steps: Iterator) -> Iterator:
        """Yield the steps of an answer about a recording until the visitor asks for something else."""
        if recording == self._recording:
            self.stop()
            mine = self._turn
            for step in steps:
                if mine != self._turn:
                    break
                yield step
            if mine == self._turn:
                return
        yield gr.skip()  # Gradio sends the last step once more: this one, which changes nothing
