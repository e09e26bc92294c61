"""The tools of the Model Context Protocol, asked by its official client."""

import asyncio
import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, pause, speak, write_wav
from entrances import served
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from speech_emotion import EmotionClassifier
from speech_emotion.ui.endpoints import timeline

pytestmark = pytest.mark.serial


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(EXAMPLES_DATA="/none") as (address, _):
        yield address


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speak(180, seconds=3))


def encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def call(url: str, *calls: tuple[str, dict]) -> list[CallToolResult]:
    """Make calls one after another in one session."""

    async def make() -> list[CallToolResult]:
        async with (
            streamable_http_client(f"{url}gradio_api/mcp/") as (reader, writer, _),
            ClientSession(reader, writer) as session,
        ):
            await session.initialize()
            return [await session.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(make())


def test_the_tools_say_what_they_take_and_it_is_true(url):
    async def list_tools() -> list:
        async with (
            streamable_http_client(f"{url}gradio_api/mcp/") as (reader, writer, _),
            ClientSession(reader, writer) as session,
        ):
            await session.initialize()
            return (await session.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(list_tools())}
    assert set(tools) == {"classify", "timeline"}
    for tool in tools.values():
        assert "not what a person feels" in tool.description
        assert tool.inputSchema["required"] == ["recording"]
        recording, model = (
            tool.inputSchema["properties"][name]["description"] for name in ("recording", "model")
        )
        assert "in base64" in recording
        assert "/gradio_api/upload" in recording
        assert "wav2vec2, cnn" in model
        assert "compares the voice with itself" in tool.inputSchema["properties"]["reference"]["description"]


def test_a_recording_in_base64_or_uploaded_gets_a_structured_answer(url, speech):
    boundary = "----part"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="clip.wav"\r\n\r\n'.encode()
    )
    body += speech.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    [uploaded] = json.load(
        urllib.request.urlopen(urllib.request.Request(f"{url}gradio_api/upload", body, kind))
    )
    expected = EmotionClassifier.from_pretrained(ROOT / "models" / "cnn").predict(speech)
    sent = [encode(speech), f"data:audio/wav;base64,{encode(speech)}", uploaded]
    for answer in call(url, *(("classify", {"recording": each, "model": "cnn"}) for each in sent)):
        assert not answer.isError
        assert answer.structuredContent["label"] == expected.label
        assert answer.structuredContent["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
        assert json.loads(answer.content[0].text) == answer.structuredContent


def test_an_assistant_sends_how_a_voice_usually_sounds_or_has_utterances_compared(url, speech, tmp_path):
    classifier = EmotionClassifier.from_pretrained(ROOT / "models" / "wav2vec2")
    plain = write_wav(tmp_path / "plain.wav", speak(120, seconds=3, seed=1))
    parts = [part for number in range(3) for part in (pause(1.5), speak(110 + 50 * number, 3, seed=number))]
    long = write_wav(tmp_path / "call.wav", np.concatenate(parts))
    sent = {"recording": encode(speech), "reference": encode(plain), "model": "wav2vec2"}
    known, refused, compared = call(
        url,
        ("classify", sent),
        ("classify", sent | {"model": "cnn"}),
        ("timeline", {"recording": encode(long), "model": "wav2vec2", "own_voice": True}),
    )
    expected = classifier.predict(speech, reference=classifier.enroll([plain]))
    assert known.structuredContent["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
    assert refused.isError
    assert "it has no reference head" in refused.content[0].text
    assert compared.structuredContent == json.loads(json.dumps(timeline(str(long), "wav2vec2", None, True)))
    assert compared.structuredContent != json.loads(json.dumps(timeline(str(long), "wav2vec2")))


def test_a_recording_of_ten_minutes_is_heard(url, tmp_path):
    parts = [part for number in range(60) for part in (speak(110 + number, 4, seed=number), pause(6))]
    long = write_wav(tmp_path / "long.wav", np.concatenate(parts))
    assert long.stat().st_size > 19_000_000
    [answer] = call(url, ("timeline", {"recording": encode(long), "model": "cnn"}))
    assert not answer.isError, answer.content
    assert answer.structuredContent == json.loads(json.dumps(timeline(str(long), "cnn")))
    assert answer.structuredContent["seconds"] == pytest.approx(600, abs=1)


def test_what_has_no_answer_is_a_tools_error_and_the_session_goes_on(url, speech, tmp_path):
    silence = write_wav(tmp_path / "silence.wav", pause(2))
    refused = {
        "addresses and paths are not opened": [
            "https://127.0.0.1/clip.wav",
            "clip.wav",
            "/etc/passwd",
            "../app.py",
        ],
        "only silence": [encode(silence)],
        "not audio": [base64.b64encode(b"words").decode(), "/etc/pass123"],
        "Send a recording": [""],
    }
    cases = [(sentence, {"recording": each}) for sentence, sent in refused.items() for each in sent]
    cases += [("no model 'gone' here, but wav2vec2, cnn", {"recording": encode(speech), "model": "gone"})]
    *answers, last = call(
        url, *(("classify", arguments) for _, arguments in cases), ("classify", {"recording": encode(speech)})
    )
    for (sentence, arguments), answer in zip(cases, answers, strict=True):
        assert answer.isError, arguments
        assert sentence in answer.content[0].text
    assert not last.isError
    assert set(last.structuredContent) >= {"label", "probabilities", "sure", "seconds", "utterances"}
