"""The real app in a real browser: what a visitor and a program get."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, voice, write_wav
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Page, expect, sync_playwright

from data_prep.corpora.ravdess import EMOTIONS
from speech_emotion import SCHEMES, EmotionClassifier
from speech_emotion.hub import publish_folder

CHROMIUM = shutil.which("chromium")
FAKE_MICROPHONE = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
SECONDS = 1000  # Playwright counts in milliseconds


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    """A clip that the browser uploads and that its fake microphone plays."""
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", voice(180, seconds=3))


@contextmanager
def served(**settings: str) -> Iterator[str]:
    """Run the app as `make app` does, and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings |= {"GRADIO_SERVER_PORT": str(port)}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings)
    address = f"http://127.0.0.1:{port}/"
    try:
        wait_for(address, app)
        yield address
    finally:
        app.terminate()
        app.wait(10)


@pytest.fixture(scope="module")
def url(cnn_folder) -> Iterator[str]:
    """The app with a folder of ours on offer beside the shipped models."""
    with served(MODEL_ID=f"{cnn_folder}, {cnn_folder}-gone") as address:
        yield address


def wait_for(address: str, app: subprocess.Popen) -> None:
    for _ in range(240):  # a busy machine takes its time to import torch
        assert app.poll() is None, "the app ended at its start"
        try:
            return urllib.request.urlopen(address).close()
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(address)


@pytest.fixture
def page(url, speech) -> Iterator[Page]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: install the package chromium to run the web tests")
    microphone = f"--use-file-for-fake-audio-capture={speech}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_MICROPHONE, microphone]
        )
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("#answer .hint")).to_be_visible(timeout=30 * SECONDS)
        yield page
        browser.close()


def upload(page: Page, file: Path) -> None:
    page.get_by_label("Upload file").click()
    page.locator("#voice input[type=file]").set_input_files(file)


def choose(page: Page, model: str) -> None:
    page.get_by_label("Model").click()
    page.get_by_role("option", name=model, exact=True).click()


@pytest.mark.parametrize("model", ["wav2vec2", "cnn"])
def test_an_uploaded_recording_gets_the_label_the_model_gives_it(page, speech, model):
    choose(page, model)
    upload(page, speech)
    prediction = EmotionClassifier.from_pretrained(ROOT / "models" / model).predict(speech)
    expect(page.locator("#answer .label")).to_have_text(prediction.label, timeout=30 * SECONDS)
    assert page.locator("#answer dt").all_inner_texts() == list(SCHEMES["core8"])
    shares = [int(share.strip("%")) for share in page.locator("#answer .percent").all_inner_texts()]
    np.testing.assert_allclose(
        shares, [100 * share for share in prediction.probabilities.values()], atol=0.51
    )
    expect(page.locator("#picture img")).to_be_visible(timeout=10 * SECONDS)


def test_the_microphone_records_and_is_answered(page):
    choose(page, "wav2vec2")
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2.5 * SECONDS)
    page.get_by_role("button", name="Stop", exact=True).first.click()
    label = page.locator("#answer .label")
    expect(label).to_be_visible(timeout=30 * SECONDS)
    assert label.inner_text() in SCHEMES["core8"]
    judged = float(page.locator("#answer .note").inner_text().split(" s of sound")[0])
    assert 1 < judged < 4


def test_another_model_answers_for_the_same_recording(page, speech, cnn_folder):
    upload(page, speech)
    expect(page.locator("#answer dt")).to_have_text(["happy", "sad"], timeout=30 * SECONDS)
    expect(page.locator("#answer .note")).to_contain_text("has not been measured")
    choose(page, "wav2vec2")
    expect(page.locator("#answer dt")).to_have_text(list(SCHEMES["core8"]), timeout=30 * SECONDS)
    expect(page.locator("#answer .note")).to_contain_text("its confidence was off by")


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.zeros(32_000), "only silence"),
        (voice(seconds=0.3), "at least 0.5 s is needed"),
        (b"no audio at all", "This file is not audio"),
        (voice(seconds=61), "longer than 60 seconds"),
    ],
    ids=["silence", "short", "text", "long"],
)
def test_what_cannot_be_judged_gets_a_sentence_in_place_of_a_result(page, samples, sentence, tmp_path):
    file = tmp_path / "clip.wav"
    if isinstance(samples, bytes):
        file.write_bytes(samples)
    else:
        write_wav(file, samples)
    upload(page, file)
    expect(page.locator("#answer .refusal")).to_contain_text(sentence, timeout=30 * SECONDS)
    expect(page.locator("#answer .label")).to_have_count(0)


def test_clearing_the_recording_clears_the_answer(page, speech):
    upload(page, speech)
    expect(page.locator("#answer .label")).to_be_visible(timeout=30 * SECONDS)
    page.locator("#voice").get_by_label("Clear").click()
    expect(page.locator("#answer .hint")).to_be_visible(timeout=10 * SECONDS)
    expect(page.locator("#picture")).to_be_hidden()


def test_a_model_that_cannot_be_loaded_says_so_and_the_others_serve(page, speech, cnn_folder):
    choose(page, f"{cnn_folder}-gone")
    upload(page, speech)
    expect(page.locator("#answer .refusal")).to_contain_text("cannot be loaded", timeout=60 * SECONDS)
    choose(page, "cnn")
    expect(page.locator("#answer .label")).to_be_visible(timeout=30 * SECONDS)


def test_programs_call_classify(url, speech):
    client = Client(url, verbose=False)
    answer = client.predict(handle_file(speech), "wav2vec2", api_name="/classify")
    expected = EmotionClassifier.from_pretrained(ROOT / "models" / "wav2vec2").predict(speech)
    assert answer["label"] == expected.label
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
    assert answer["seconds"] == pytest.approx(expected.seconds)


def test_a_model_published_on_the_hub_answers_by_its_id(hub, cnn_folder, speech, tmp_path, monkeypatch):
    hub.adopt(monkeypatch)
    publish_folder(cnn_folder, "you/cnn")
    with served(MODEL_ID="you/cnn", **hub.environment(tmp_path / "home", token="")) as address:
        answer = Client(address, verbose=False).predict(handle_file(speech), api_name="/classify")
    expected = EmotionClassifier.from_pretrained(cnn_folder).predict(speech)
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)


def test_programs_get_the_same_sentences(url, tmp_path):
    client = Client(url, verbose=False)
    silence = write_wav(tmp_path / "silence.wav", np.zeros(32_000))
    with pytest.raises(AppError, match="only silence"):
        client.predict(handle_file(silence), "cnn", api_name="/classify")
    with pytest.raises(AppError, match="not in the list of choices"):
        client.predict(handle_file(silence), "/etc", api_name="/classify")


def test_classify_is_the_only_public_endpoint(url):
    assert set(Client(url, verbose=False).view_api(return_format="dict")["named_endpoints"]) == {"/classify"}


def test_real_recordings_of_new_voices_are_heard_well_over_chance(url, corpora):
    client = Client(url, verbose=False)
    right = []
    for actor in ("01", "11", "20", "21"):  # of the test split
        for code, emotion in EMOTIONS.items():
            clip = corpora / "RAVDESS" / f"Actor_{actor}" / f"03-01-{code}-01-01-01-{actor}.wav"
            answer = client.predict(handle_file(clip), "wav2vec2", api_name="/classify")
            right.append(answer["label"] == emotion)
    assert len(right) == 32
    assert sum(right) >= 16  # chance is 4
