"""The public app under attack: its open paths, the files it opens, the traces it leaves. Only 127.0.0.1 is touched."""

import asyncio
import errno
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import gradio
import pytest
from conftest import ROOT, speak, write_wav
from gradio.routes import App
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from speech_emotion.ui import middleware, uploads
from speech_emotion.ui.many_files import MOST_FILES, TOO_MANY
from speech_emotion.ui.middleware import UNANSWERED, UNFIT, is_open

pytestmark = pytest.mark.serial

SECRET = "secret-name-of-a-visitor"
SPY = """
import os, sys
def spy(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost", "0.0.0.0", None, b"127.0.0.1"):
        with open(os.environ["SPY_LOG"], "a") as log:
            print(arguments[0], file=log)
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1"):
        with open(os.environ["SPY_LOG"], "a") as log:
            print(arguments[1], file=log)
sys.addaudithook(spy)
"""


class Running:
    """An app with a temporary folder of its own, its output in a file, and a log of whom it asks."""

    def __init__(self, folder: Path, **settings: str):
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(SPY)
        self.temporary, self.log, self.asked = folder / "tmp", folder / "log", folder / "asked"
        self.temporary.mkdir(exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings |= {
            "GRADIO_SERVER_PORT": str(self.port), "TMPDIR": str(self.temporary), "SPY_LOG": str(self.asked),
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "EXAMPLES_DATA": "/none", "HOME": str(folder),
        }  # fmt: skip
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=log, stderr=log
            )
        for _ in range(480):
            assert self.process.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/config").close()
                return
            except OSError:
                time.sleep(0.25)
        raise TimeoutError(self.log.read_text())

    def ask(self, method: str, path: str, body=None, **headers: str) -> http.client.HTTPResponse:
        """Send a path exactly as it is; the answer has been read into `content`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.content = answer.read().decode(errors="replace")
        connection.close()
        return answer

    def upload(self, name: str, content: bytes) -> http.client.HTTPResponse:
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        kind = f"multipart/form-data; boundary={mark}"
        return self.ask("POST", "/gradio_api/upload", body, **{"Content-Type": kind})

    def call(self, endpoint: str, file: dict | list, model: str = "cnn") -> str:
        """Call an endpoint as curl does, and give the events of the answer."""
        return self.send(endpoint, [file, model])

    def send(self, endpoint: str, data: list) -> str:
        answer = self.ask("POST", f"/gradio_api/call/{endpoint}", {"data": data})
        event = json.loads(answer.content).get("event_id")
        return self.ask("GET", f"/gradio_api/call/{endpoint}/{event}").content if event else answer.content

    def files(self) -> list[Path]:
        return [path for path in self.temporary.rglob("*") if path.is_file()]

    def stop(self, how: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(60)


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Running]:
    app = Running(folder, **settings)
    try:
        yield app
    finally:
        app.stop()


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("app")) as app:
        yield app


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> bytes:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speak(seconds=2)).read_bytes()


@pytest.fixture(scope="module")
def long_speech(tmp_path_factory) -> bytes:
    return write_wav(tmp_path_factory.mktemp("speech") / "long.wav", speak(seconds=30)).read_bytes()


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that nobody should ask, and the paths it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        log_message = print

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x.wav", asked
    server.shutdown()
    server.server_close()


def all_paths(routes) -> Iterator[str]:
    for route in routes:
        if hasattr(route, "path"):
            yield route.path
        else:
            yield from all_paths(route.original_router.routes)


# Routes of Gradio's that open addresses or files, run code, or tell what other visitors do.
CLOSED = {
    "/gradio_api/component_server", "/gradio_api/dev/reload", "/gradio_api/file/{path:path}", "/gradio_api/runs",
    "/gradio_api/process_recording", "/gradio_api/proxy={url_path:path}", "/login", "/monitoring",
}  # fmt: skip


def test_of_gradios_paths_only_those_that_the_page_needs_are_open():
    with gradio.Blocks() as page:
        pass
    paths = {path.rstrip("/") for path in all_paths(App.create_app(page).routes)}
    opened = {path for path in paths if is_open(re.sub(r"\{.*?\}", "x", path))}
    parts = {path.removeprefix("/gradio_api").split("/")[1].partition("=")[0] for path in opened if path}
    assert parts <= middleware.PAGE | middleware.API | {"file"}
    assert {"/config", "/gradio_api/queue/join", "/gradio_api/upload", "/static/{path:path}"} <= opened
    assert not opened & CLOSED
    assert len(paths & CLOSED) >= 5  # else Gradio has renamed them: put their new names above


TRAVERSALS = [
    "/etc/passwd", "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2Fetc%2Fpasswd",
    "%252Fetc%252Fpasswd", "....//....//etc/passwd", f"{ROOT}/app.py", "app.py", "./app.py", "/proc/self/environ",
    f"{ROOT}/models/cnn/config.json", "file:///etc/passwd", "C:/windows/win.ini", "//etc/passwd", "/etc/passwd%00.wav",
]  # fmt: skip


@pytest.mark.parametrize(
    "prefix", ["/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/"]
)
def test_no_path_leads_out(prefix, app):
    for path in TRAVERSALS:
        answer = app.ask("GET", prefix + path)
        assert answer.status in (400, 403, 404, 422), path
        assert not re.search("root:|import gradio|HOME=|architectures", answer.content), path


def test_no_address_is_opened_for_a_visitor(app, canary, speech):
    address, asked = canary
    for path in (
        f"/gradio_api/file={address}", f"/gradio_api/file={address.upper()}", f"/gradio_api/proxy={address}",
        f"/gradio_api/file={address.replace(':', '%3A')}", f"/gradio_api/file/{address}", "/gradio_api/file/x", "/gradio_api/run-history/buckets", "/gradio_api/deep_link",
        "/gradio_api/token", "/monitoring", "/gradio_api/vibe-code",
    ):  # fmt: skip
        assert app.ask("GET", path).status in (404, 405), path
    file = {"path": address, "meta": {"_type": "gradio.FileData"}}
    deep = {"path": None, "meta": {"_type": "gradio.FileData"}, "url": {"path": address}}
    config = json.loads(app.ask("GET", "/config").content)
    number = next(each["id"] for each in config["dependencies"] if each["api_name"] == "classify")
    for endpoint, body in (
        ("call/classify", {"data": [file, "cnn"]}),
        ("call/batch", {"data": [[file], "cnn"]}),
        ("call/classify", {"data": [deep, "cnn"]}),
        ("call/v2/classify", {"path": file, "model": "cnn"}),
        ("run/classify", {"data": [file, "cnn"]}),
        ("run/upload", {"data": [file, "cnn"], "fn_index": number}),
        ("call/classify", {"data": [{"url": address, "meta": {"_type": "gradio.FileData"}}, "cnn"]}),
        ("api/classify", {"data": [file, "cnn"]}),
        ("queue/join", {"data": [file, "cnn"], "fn_index": number, "session_hash": "s"}),
    ):
        answer = app.ask("POST", f"/gradio_api/{endpoint}", body)
        assert (answer.status, answer.content) == (
            400, '{"detail":"Send the recording itself: addresses and paths are not opened here."}',
        ), endpoint  # fmt: skip
    escaped = json.dumps({"data": [file, "cnn"]}).replace("http", "\\u0068ttp")
    answer = app.ask("POST", "/gradio_api/call/classify", escaped, **{"Content-Type": "application/json"})
    assert answer.status == 400
    assert asked == []
    assert not app.asked.exists()


@pytest.mark.parametrize("endpoint", ["classify", "timeline", "live", "batch"])
def test_no_path_that_a_visitor_names_is_opened(endpoint, app):
    for path in ("/etc/passwd", f"{ROOT}/README.md", "app.py", f"{ROOT}/models/cnn/report.json", "/dev/zero"):
        file = {"path": path, "orig_name": "a.wav", "meta": {"_type": "gradio.FileData"}}
        answer = app.call(endpoint, [file] if endpoint == "batch" else file)
        assert answer == '{"detail":"Send the recording itself: addresses and paths are not opened here."}', (
            path
        )


def test_a_name_that_leads_elsewhere_stays_in_the_folder(app, speech):
    uploads = next(app.temporary.glob("speech-emotion-*")) / "uploads"
    for name in (
        "../../../evil.wav",
        "/etc/evil.wav",
        "..%2f..%2fevil.wav",
        "..",
        ".",
        "a/../../evil.wav",
        "x" * 500,
    ):
        answer = app.upload(name, speech)
        if answer.status == 200:
            [path] = json.loads(answer.content)
            assert Path(path).resolve().is_relative_to(uploads), name
    assert all(path.resolve().is_relative_to(uploads) for path in app.files())
    assert not Path("/etc/evil.wav").exists()


def test_what_is_too_large_is_refused_and_not_kept(app):
    before = set(app.files())
    answer = app.upload("large.wav", bytes(105_000_000))
    assert (answer.status, "maximum allowed size" in answer.content) == (413, True)
    assert set(app.files()) == before
    for endpoint in ("call/classify", "call/upload", "run/upload"):
        for much in ("x" * 2_100_000, [[]] * 31_000, [1] * 31_000):
            answer = app.ask("POST", f"/gradio_api/{endpoint}", {"data": [much, "cnn"]})
            assert (answer.status, json.loads(answer.content)) == (413, {"detail": middleware.TOO_MUCH})


def test_an_upload_is_of_files_and_a_text_in_it_is_not_kept(app):
    text = b'--m\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + bytes(20_000) + b"\r\n--m--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=m"}
    answer = app.ask("POST", "/gradio_api/upload", text, **kind)
    assert (answer.status, answer.content) == (400, "An upload is of files.")


def test_the_queue_cannot_be_passed_by(app, speech):
    good = given(app.upload("a.wav", speech))
    for endpoint in ("run/classify", "api/classify"):
        assert app.ask("POST", f"/gradio_api/{endpoint}", {"data": [good, "cnn"]}).status == 404, endpoint


def test_a_call_of_what_is_not_there_gets_a_sentence_and_leaves_no_trace(app, speech):
    good = given(app.upload(f"{SECRET}.wav", speech))
    for path in (f"call/{SECRET}", f"call/v2/{SECRET}", "queue/join"):
        body = {"data": [good, "cnn"], "fn_index": 10**6, "session_hash": SECRET}
        answer = app.ask("POST", f"/gradio_api/{path}", body)
        assert (answer.status, json.loads(answer.content)) == (500, {"detail": UNANSWERED}), path
    for path in ("call/classify", "call/v2/classify", f"call/{SECRET}"):
        answer = app.ask("GET", f"/gradio_api/{path}/{SECRET}")
        assert answer.content == 'event: error\ndata: "404: Not Found"\n\n', path
    log = app.log.read_text()
    assert SECRET not in log
    assert "Traceback" not in log
    assert "KeyError in " in log


def test_the_number_of_recordings_classified_at_once_is_limited(app, speech):
    good = given(app.upload("a.wav", speech))
    assert TOO_MANY in app.call("batch", [good] * (MOST_FILES + 1))


def have_free(monkeypatch, size: int) -> None:
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda path: SimpleNamespace(free=size))


def test_an_upload_is_refused_where_it_would_fill_the_disk_and_the_log_says_so(monkeypatch, capsys):
    async def take(scope, receive, send):
        await JSONResponse(["taken"])(scope, receive, send)

    def send() -> tuple[int, object]:
        answer = TestClient(middleware.GuardMiddleware(take)).post(middleware.UPLOAD, content=b"x" * 1000)
        return answer.status_code, answer.json()

    have_free(monkeypatch, uploads.SPARE + 1000)
    assert send() == (200, ["taken"])
    assert capsys.readouterr().out == ""
    have_free(monkeypatch, uploads.SPARE + 999)
    assert send() == (507, {"detail": middleware.NO_ROOM})
    assert "An upload was refused. 100 MB are free in " in capsys.readouterr().out


def test_the_app_warns_of_a_nearly_full_disk_when_it_starts(monkeypatch):
    have_free(monkeypatch, uploads.MOST_UPLOADED + uploads.SPARE)
    assert uploads.warn_of_room() == ""
    have_free(monkeypatch, 400_000_000)
    assert re.match(
        r"400 MB are free in /.*: uploads of more than 300 MB are refused", uploads.warn_of_room()
    )


def test_a_disk_that_fills_during_an_upload_is_reported_as_full(monkeypatch, capsys):
    async def fill(scope, receive, send):
        raise OSError(errno.ENOSPC, "No space left on device")

    have_free(monkeypatch, uploads.MOST_UPLOADED)
    answer = TestClient(middleware.GuardMiddleware(fill)).post(middleware.UPLOAD, content=b"x")
    assert (answer.status_code, answer.json()["detail"]) == (507, middleware.NO_ROOM)
    assert "1000 MB are free in " in capsys.readouterr().out

    async def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gradio.Blocks, "preprocess_data", fail)
    with pytest.raises(gradio.Error, match=middleware.NO_ROOM):
        asyncio.run(middleware.Page().preprocess_data(None, []))


def test_other_pages_cannot_read_the_answers_and_no_header_is_missing(app):
    for path in ("/", "/config", "/gradio_api/info", "/monitoring", "/assets/none.js"):
        answer = app.ask("GET", path, Origin="https://evil.example")
        assert answer.getheader("Access-Control-Allow-Origin") is None, path
        assert {name: answer.getheader(name) for name in middleware.HEADERS} == middleware.HEADERS, path
        assert answer.getheader("X-Frame-Options") is None  # the hub shows a Space in a frame
    policy = middleware.HEADERS["Content-Security-Policy"]
    assert "frame-ancestors 'self' https://huggingface.co https://*.hf.space" in policy


def test_no_file_of_a_visitor_remains_and_requests_under_way_at_the_end_are_answered(
    tmp_path, speech, long_speech
):
    before = {path.name for path in ROOT.iterdir()}
    killed = Running(tmp_path / "app")
    killed.upload(f"{SECRET}.wav", speech)
    killed.stop(signal.SIGKILL)
    assert any(SECRET in str(path) for path in killed.files())
    with running(tmp_path / "app") as app:
        assert not any(SECRET in str(path) for path in app.files())  # it has cleared up after the other
        good = given(app.upload(f"{SECRET}.wav", speech))
        bad = given(app.upload(f"{SECRET}.mp3", b"no sound at all"))
        for endpoint in ("classify", "timeline", "live"):
            assert "event: complete" in app.call(endpoint, good), endpoint
            assert "event: error" in app.call(endpoint, bad), endpoint
        assert SECRET in app.call("batch", [good, bad])
        app.call("classify", good | {"path": f"/{SECRET}.wav"})
        break_off(app, f"{SECRET}-half.wav")
        uploads = next(app.temporary.glob("speech-emotion-*")) / "uploads"
        assert len([path for path in app.files() if SECRET in str(path)]) >= 2
        assert all(path.is_relative_to(uploads) for path in app.files() if SECRET in str(path))
        assert "event: complete" in app.send("classify", [good])  # what has a default may be left out
        for unfit in ([], [good | {"size": SECRET}, "cnn"], [SECRET, "cnn"], [[good, SECRET], "cnn"]):
            assert UNFIT in app.send("classify", unfit), unfit
        assert "not in the list of choices" in app.send("classify", [good, SECRET])
        fill_the_queue_and_end(app, good, given(app.upload(f"{SECRET}-long.wav", long_speech)))
        assert [path for path in app.files() if app.temporary in path.parents] == []
        assert SECRET not in app.log.read_text()
        assert not app.asked.exists(), app.asked.read_text()
    assert {path.name for path in ROOT.iterdir()} == before
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(speech[1000:2000] in path.read_bytes() for path in left)
    assert not any("onnxruntime" in path.name for path in left)  # its reports to its makers


def test_repeated_signals_still_stop_the_app(tmp_path):
    with running(tmp_path / "app") as app:
        deadline = time.monotonic() + 20
        while app.process.poll() is None and time.monotonic() < deadline:
            app.process.send_signal(signal.SIGTERM)
        assert app.process.poll() == 0


def given(answer: http.client.HTTPResponse) -> dict:
    [path] = json.loads(answer.content)
    return {"path": path, "orig_name": Path(path).name, "meta": {"_type": "gradio.FileData"}}


def fill_the_queue_and_end(app: Running, short: dict, long: dict) -> None:
    """Fill the queue: a further visitor is told to try again, and those in it are answered before the app ends."""
    body = {"data": [short, "wav2vec2"]}
    first = json.loads(app.ask("POST", "/gradio_api/call/classify", body).content)["event_id"]
    body = {"data": [long, "wav2vec2"]}  # they must come faster than they are answered
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(app.ask("GET", f"/gradio_api/call/classify/{first}").content)
    )
    waiting.start()
    statuses = []
    while 503 not in statuses and len(statuses) < 400:
        statuses.append(app.ask("POST", "/gradio_api/call/timeline", body).status)
    assert statuses.index(503) >= 40
    app.process.send_signal(signal.SIGTERM)
    waiting.join(60)
    assert "event: complete" in answers[0]
    assert app.stop() == 0


def break_off(app: Running, name: str) -> None:
    head = f'--m\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    with socket.create_connection(("127.0.0.1", app.port)) as line:
        line.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n"
            b"Content-Type: multipart/form-data; boundary=m\r\n\r\n" + head.encode() + bytes(200_000)
        )
        time.sleep(0.5)


def test_old_files_are_swept_and_the_pages_own_stay(tmp_path):
    for name in ("own", "old", "folder/old"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("sound")
    uploads.sweep(tmp_path, {tmp_path / "own"}, 60)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3
    uploads.sweep(tmp_path, {tmp_path / "own"}, -1)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["own"]
    assert not (tmp_path / "folder").exists()
    assert uploads.EVERY_SECONDS + uploads.OLD_SECONDS <= 3600
