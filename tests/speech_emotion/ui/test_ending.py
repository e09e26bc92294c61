"""A program that waits for a long answer when the app is told to stop."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from conftest import pause, speak, write_wav
from entrances import served
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from speech_emotion.ui.ending import RESTART

# The app whose last requests have a second, and whose timelines have a pause after every step.
SLOW = """
import time
import runpy
from speech_emotion.inference import timeline
real = timeline.iter_timeline
def slowly(*arguments, **options):
    for step in real(*arguments, **options):
        time.sleep(2)
        yield step
timeline.iter_timeline = slowly
import app
app.FINISH_SECONDS = 1
import queue
told = queue.SimpleQueue()
import signal
signal.signal(signal.SIGTERM, lambda *_: told.put(None))
served = app.serve()
told.get()
app.stop(served)
"""


@pytest.mark.serial
def test_a_request_that_cannot_finish_before_the_end_gets_a_sentence(tmp_path):
    parts = [part for number in range(40) for part in (speak(110 + number, 4, seed=number), pause(6))]
    long = write_wav(tmp_path / "long.wav", np.concatenate(parts))
    said = []

    def ask(client: Client) -> None:
        try:
            said.append(client.predict(handle_file(long), "cnn", api_name="/timeline"))
        except AppError as error:
            said.append(str(error))

    with served("-c", SLOW, EXAMPLES_DATA="/none") as (address, process):
        waiting = threading.Thread(target=ask, args=[Client(address, verbose=False)])
        waiting.start()
        time.sleep(5)
        os.kill(process, signal.SIGTERM)
        waiting.join(30)
    assert said == [RESTART]
