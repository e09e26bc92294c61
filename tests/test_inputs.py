"""Any file at any entrance: a result or a sentence, soon, in bounded memory, and nothing left behind.

The benchmark `benchmarks/inputs.py` sends every file through every entrance; here each entrance gets its share.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import entrances
import httpx
import numpy as np
import pytest
from bad_audio import ANY, NAMES, SOUND, encode, make_inputs, playlists, references
from conftest import ROOT, SAMPLE_RATE, speak, write_wav
from scipy.signal import correlate

from data_prep.build import build_dataset
from speech_emotion import AudioError, load_audio
from speech_emotion.audio.decoding import MAX_BYTES, MAX_SECONDS, header_duration, limit_ffmpeg_memory
from speech_emotion.inference.batch import classify_files
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.ui.registry import load_all

pytestmark = pytest.mark.serial

INPUTS = make_inputs()
FUNCTIONS = (
    "load_audio", "stream_audio", "predict", "iter_timeline", "classify_files", "screen Listen", "screen Compare",
    "screen How it hears", "screen Live", "screen Many files", "command line", "command line, timeline",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def limited():
    """Limit what FFmpeg may allocate, as every program here does at its start."""
    limit_ffmpeg_memory()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("inputs")
    for each in INPUTS:
        (folder / each.name).write_bytes(each.content)
    return [folder / each.name for each in INPUTS]


@pytest.fixture(scope="module")
def functions(cnn_folder) -> dict[str, entrances.Ask]:
    load_all()  # as the app does at its start: a model's own memory is not the file's
    return entrances.functions(cnn_folder)


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[tuple[str, int]]:
    """The app, whose every temporary file lies in one folder; nothing may be in it when it has ended."""
    scratch = tmp_path_factory.mktemp("scratch")
    with entrances.served(TMPDIR=str(scratch)) as served:
        yield served
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("each", INPUTS, ids=lambda each: each.name)
def test_the_decoder_gives_samples_within_the_contract_or_the_reason(each):
    try:
        audio = load_audio(each.content)
    except AudioError as error:
        assert entrances.SENTENCE.fullmatch(str(error))
        assert each.says is ANY or (each.says and each.says in str(error))
    else:
        assert each.says in (ANY, SOUND)
        assert (audio.dtype, audio.ndim) == (np.float32, 1)
        assert 0 < audio.size <= MAX_SECONDS * SAMPLE_RATE
        assert np.isfinite(audio).all()
        assert header_duration(each.content) is None or header_duration(each.content) >= 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_answers_whatever_comes(name, functions, files):
    share = 16 if name == "screen How it hears" else 4  # that one draws
    losses = find_losses(functions[name], files[FUNCTIONS.index(name) % share :: share], os.getpid())
    assert losses == {}


@pytest.mark.parametrize("name", ["/classify", "/timeline", "/batch", "/live"])
def test_an_endpoint_answers_whatever_comes(name, app, files):
    address, process = app
    asks = entrances.endpoints(address)
    losses = find_losses(asks[name], files[list(asks).index(name) :: 12], process)
    assert losses == {}


def test_a_dataset_is_made_of_what_is_whole_and_says_what_is_not(files, tmp_path):
    for ask in entrances.preparations(files, tmp_path).values():
        assert find_losses(ask, files, os.getpid()) == {}
        assert "empty" in ask(files[0])


def find_losses(ask: entrances.Ask, paths: list[Path], process: int) -> dict[str, str]:
    losses = {path.name: entrances.find_loss(ask, path, process) for path in paths}
    return {name: loss for name, loss in losses.items() if loss}


def test_a_loss_is_detected(tmp_path):
    def fail(path):
        raise KeyError(path)

    def fill(path):
        return str(np.ones(50_000_000).max())[:0]

    path, process = tmp_path / "a.wav", os.getpid()
    assert "KeyError" in entrances.find_loss(fail, path, process)
    assert "no sentence" in entrances.find_loss(
        lambda path: "Traceback (most recent call last)", path, process
    )
    assert "MB" in entrances.find_loss(fill, path, process)
    assert entrances.find_loss(lambda path: "", path, process) is None


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_a_name_is_a_name_wherever_it_goes(name, app, functions, cnn_folder, tmp_path):
    """Nothing outside is opened by it, and where the system takes it, the recording has its answer."""
    path = tmp_path / name
    sound = encode(speak(seconds=1))
    with suppress(OSError, ValueError):  # no file can have that name
        if path.parent == tmp_path:
            path.write_bytes(sound)
    there = "\0" not in name and len(os.fsencode(name)) < 256 and path.is_file()
    folder = name in ("..", "/")  # which the command line classifies as a whole
    for entrance in ("load_audio", "iter_timeline", "classify_files", "command line")[
        : -1 if folder else None
    ]:
        said = functions[entrance](path)
        assert bool(said) != there
        assert not said or entrances.SENTENCE.fullmatch(said)
    address, _ = app
    sent = httpx.post(f"{address}gradio_api/upload", files={"files": (name, sound)}, timeout=10)
    if sent.status_code == 200:
        [stored] = sent.json()
        assert Path(stored).parent.parent.name == "uploads"
        assert '"label"' in classify(address, stored)
    else:
        assert sent.status_code in (400, 422)


def test_rows_with_odd_names_are_left_out_with_their_reasons(tmp_path):
    write_wav(tmp_path / "whole.wav", speak(seconds=1))
    names = [name for name in NAMES if "\n" not in name and '"' not in name and not Path(name).is_absolute()]
    lines = ["path,emotion", "whole.wav,happy", *(f'"{name}",happy' for name in names)]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    dataset, skipped = build_dataset(
        None, tmp_path / "out", custom_sources=[tmp_path / "mine.csv"], workers=1
    )
    assert len(dataset["train"]) == 1
    assert len(skipped) == len(names)
    assert all("cannot be read" in skip.reason or "is not a file" in skip.reason for skip in skipped)


def test_a_name_is_printed_without_what_commands_a_terminal(cnn_folder, tmp_path):
    path = tmp_path / "a\x1b[31m\n\udcff.wav"
    path.write_bytes(encode(speak(seconds=1)))
    [row] = classify_files(EmotionClassifier.from_pretrained(cnn_folder), [(path.name, path)])
    assert row["file"] == "a\ufffd[31m\ufffd\ufffd.wav"
    assert row["emotion"]


@contextmanager
def watched() -> Iterator[tuple[str, list]]:
    """Listen at an address of this machine; give it, and who has called when it is over."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/clip.wav", calls
        with suppress(BlockingIOError):
            calls.append(server.accept())


def test_nothing_that_a_file_names_is_opened(tmp_path):
    secret = speak(240, seconds=1, seed=7)
    place = write_wav(tmp_path / "secret.wav", secret)
    with watched() as (address, calls):
        for name, content, _ in [*playlists(str(place), address), *references(str(place), address)]:
            (tmp_path / name).write_bytes(content)
            for source in (content, tmp_path / name):
                with suppress(AudioError):
                    audio = load_audio(source)
                    likeness = np.abs(correlate(audio, secret)).max() / np.linalg.norm(secret)
                    assert likeness < 0.2 * np.linalg.norm(audio), name
    assert calls == []


def classify(address: str, path: str) -> str:
    """Ask a running app about a file that it is said to have, without gradio's client, which would upload it."""
    call = f"{address}gradio_api/call/classify"
    recording = {"path": path, "meta": {"_type": "gradio.FileData"}}
    event = httpx.post(call, json={"data": [recording, "cnn"]}, timeout=10).json()["event_id"]
    return httpx.get(f"{call}/{event}", timeout=10).text


def test_no_library_reports_to_its_maker(tmp_path):
    code = "import numpy; from speech_emotion.audio.vad import detect_speech; detect_speech(numpy.ones(16_000, 'f'))"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment | {"TMPDIR": str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []  # onnxruntime would keep its session's number here


def test_a_larger_file_is_refused_by_the_server_whoever_sends_it(app):
    sent = httpx.post(
        f"{app[0]}gradio_api/upload", files={"files": ("a.wav", bytes(MAX_BYTES + 1))}, timeout=30
    )
    assert sent.status_code == 413


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", tmp_path, Path("/dev/zero")):
        with pytest.raises(AudioError, match="is not a file"):
            load_audio(path)
