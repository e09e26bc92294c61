"""The real app with many visitors at once, with visitors who leave, and with slow connections, on 127.0.0.1."""

import json
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from conftest import ROOT, pause, speak, write_wav
from entrances import served
from gradio_client import Client, handle_file

from speech_emotion import EmotionClassifier

pytestmark = pytest.mark.serial

VISITORS, WAITING = 2, 3  # few, so that a test can fill both
START = f"""
import threading, app
app.VISITORS, app.WAITING = {VISITORS}, {WAITING}
app.serve()
threading.Event().wait()
"""
CROWD = 10


class Visitor:
    """A client that sends what a browser sends."""

    def __init__(self, address: str, file: Path):
        self.http = httpx.Client(base_url=address, timeout=60)
        [path] = self.http.post("/gradio_api/upload", files={"files": (file.name, file.read_bytes())}).json()
        self.data = [None, {"path": path, "meta": {"_type": "gradio.FileData"}}, "cnn", "en", "", None, True]
        self.session = uuid.uuid4().hex
        functions = {each["api_name"]: each["id"] for each in self.http.get("/config").json()["dependencies"]}
        self.begin, self.function = functions["begin_again"], functions["listen"]

    def join(self) -> httpx.Response:
        """Choose the recording, and join the queue for its answer."""
        choice = {"fn_index": self.begin, "data": [*self.data[:3], "en"], "session_hash": self.session}
        self.http.post("/gradio_api/run/predict", json=choice).raise_for_status()
        call = {"fn_index": self.function, "data": self.data, "session_hash": self.session}
        return self.http.post("/gradio_api/queue/join", json=call)

    def watch(self) -> Iterator[dict]:
        """Yield the messages of the app until the connection closes."""
        url = f"/gradio_api/queue/data?session_hash={self.session}"
        with self.http.stream("GET", url) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """An app that serves two at once and lets three wait."""
    with served("-c", START) as (address, _):
        yield address


@pytest.fixture(scope="module")
def call(tmp_path_factory) -> Path:
    """A quarter of an hour of speech."""
    minute = np.concatenate([part for n in range(15) for part in (speak(120 + 9 * n, 3, seed=n), pause(1))])
    return write_wav(tmp_path_factory.mktemp("call") / "call.wav", np.tile(minute, 15))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_wav(tmp_path_factory.mktemp("clip") / "clip.wav", speak(seconds=2))


def test_the_queue_states_ranks_refuses_when_full_and_continues_when_visitors_leave(address, call, clip):
    heard = [Visitor(address, call) for _ in range(VISITORS)]
    views = [visitor.watch() for visitor in heard if visitor.join().is_success]
    for view in views:
        assert any(
            message["msg"] == "process_generating" for message in view
        )  # the answer to its first half minute
    waiting = [Visitor(address, clip) for _ in range(WAITING)]
    assert all(visitor.join().is_success for visitor in waiting)
    last = waiting[-1].watch()
    estimate = next(message for message in last if message["msg"] == "estimation")
    assert (estimate["rank"], estimate["queue_size"]) == (WAITING - 1, WAITING)
    refused = Visitor(address, clip).join()
    assert refused.status_code == 503
    assert refused.json()["detail"].startswith("Queue is full.")

    left = time.monotonic()
    for view in views:
        view.close()  # as when a browser window closes
    assert any(message["msg"] == "process_completed" and message["success"] for message in last)
    assert time.monotonic() - left < 20  # the recordings of those who left would take longer
    answered = Visitor(address, clip)
    assert answered.join().is_success
    assert any(message["msg"] == "process_completed" for message in answered.watch())


def test_slow_and_broken_connections_do_not_delay_others(address, clip):
    host, port = urlsplit(address).hostname, urlsplit(address).port
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 5000000\r\n"
        "Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
        '--edge\r\nContent-Disposition: form-data; name="files"; filename="slow.wav"\r\n\r\n'
    )
    slow = [socket.create_connection((host, port)) for _ in range(20)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(head.encode() + bytes(1000))
            if number % 2:
                connection.close()
        start = time.monotonic()
        client = Client(address, verbose=False)
        assert client.predict(handle_file(clip), "cnn", api_name="/classify")["label"]
        assert time.monotonic() - start < 10
    finally:
        for connection in slow:
            connection.close()


def test_each_of_many_visitors_gets_the_answer_to_their_own_clip(tmp_path):
    clips = [write_wav(tmp_path / f"{n}.wav", speak(90 + 30 * n, 2, seed=n)) for n in range(CROWD)]
    classifier = EmotionClassifier.from_pretrained(ROOT / "models" / "cnn")
    expected = [classifier.predict(clip).probabilities for clip in clips]
    assert len({tuple(shares.values()) for shares in expected}) == CROWD
    with served(EXAMPLES_DATA="/none") as (address, _), ThreadPoolExecutor(CROWD) as pool:
        clients = [Client(address, verbose=False) for _ in clips]

        def visit(client: Client, clip: Path) -> dict:
            return client.predict(handle_file(clip), "cnn", api_name="/classify")["probabilities"]

        answers = list(pool.map(visit, clients * 3, clips * 3))
    for shares, own in zip(answers, expected * 3, strict=True):
        assert shares == pytest.approx(own, abs=1e-4)
