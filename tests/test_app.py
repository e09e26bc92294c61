"""The real app in a real browser: what a visitor and a program get."""

import base64
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from browser import SECONDS, launch_chromium
from conftest import ROOT, pause, speak, speak_utterances, write_wav
from entrances import served
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Page, expect

from data_prep.corpora.ravdess import EMOTIONS
from speech_emotion import SCHEMES, EmotionClassifier
from speech_emotion.audio.decoding import MAX_BYTES
from speech_emotion.hub import publish_folder
from speech_emotion.inference.events import describe_recording, find_events
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.ui.api_docs import CURL, JAVASCRIPT, PYTHON, fill
from speech_emotion.ui.render import clock
from speech_emotion.ui.wording import PHRASES, TEXTS, emotion_name

pytestmark = pytest.mark.serial


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    """A clip that the browser uploads and that its fake microphone plays."""
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speak(180, seconds=3))


@pytest.fixture(scope="module")
def call(tmp_path_factory) -> Path:
    """A recording of three utterances, longer than what gets a single answer."""
    sound = np.concatenate([speak_utterances(), pause(2)])
    return write_wav(tmp_path_factory.mktemp("call") / "call.wav", sound)


@pytest.fixture(scope="module")
def url(cnn_folder, tmp_path_factory) -> Iterator[str]:
    """The app offers a folder of ours and the shipped models; its ffmpeg must get no upload."""
    tools = tmp_path_factory.mktemp("tools")
    for name in ("ffmpeg", "ffprobe"):
        (tools / name).write_text(f'#!/bin/sh\necho "$0 $@" >> {tools / "called"}\nexit 1\n')
        (tools / name).chmod(0o755)
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    with served(MODEL_ID=f"{cnn_folder}, {cnn_folder}-gone", PATH=path) as (address, _):
        yield address
    called = tools / "called"
    assert not called.exists() or "uploads" not in called.read_text()


@pytest.fixture
def page(url, speech) -> Iterator[Page]:
    with launch_chromium(speech) as browser:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("#answer .welcome")).to_be_visible(timeout=30 * SECONDS)
        yield page


def upload(page: Page, file: Path) -> None:
    page.locator("#upload-input").set_input_files(file)


def clear(page: Page) -> None:
    page.get_by_role("button", name="Clear", exact=True).click()


def choose(page: Page, model: str) -> None:
    details = page.locator("#recorder-card details")
    if not details.evaluate("each => each.open"):
        details.locator("summary").click()
    page.get_by_label("Model", exact=True).select_option(model)


@pytest.mark.parametrize("model", ["wav2vec2", "cnn"])
def test_an_uploaded_recording_gets_the_label_the_model_gives_it(page, speech, model):
    choose(page, model)
    upload(page, speech)
    prediction = EmotionClassifier.from_pretrained(ROOT / "models" / model).predict(speech)
    title = f"Sounds {emotion_name(prediction.label)}" if prediction.sure else "Not sure"
    expect(page.locator("#answer .label")).to_have_text(title, timeout=30 * SECONDS)
    expect(page.locator("#answer .label")).to_have_attribute("data-label", prediction.label)
    page.locator("#answer .all summary").click()
    rows = page.locator("#answer .row")
    order = sorted(prediction.probabilities, key=prediction.probabilities.get, reverse=True)
    assert [row.get_attribute("data-label") for row in rows.all()] == order
    assert set(order) == set(SCHEMES["core8"])
    shares = [int(share.strip("%\xa0 ")) for share in page.locator("#answer .percent").all_inner_texts()]
    np.testing.assert_allclose(shares, [100 * prediction.probabilities[each] for each in order], atol=0.51)
    expect(page.locator("#answer .facts")).to_contain_text("speech.wav")
    expect(page.locator("#answer .facts")).to_contain_text(f"{prediction.seconds:.1f} s of speech")
    alt = emotion_name(prediction.label) if prediction.sure else "not sure"
    expect(page.locator("#answer [role=img]")).to_have_attribute("aria-label", re.compile(alt))


def film(file: Path, sound: Path) -> Path:
    """Write a video in black, 16 by 16, with a recording's sound."""
    with av.open(file, "w") as video, av.open(sound) as recording:
        picture, track = video.add_stream("mpeg4", 1), video.add_stream("flac", 16_000)
        picture.width = picture.height = 16
        for _ in range(3):
            video.mux(picture.encode(av.VideoFrame(16, 16, "yuv420p")))
        for frame in recording.decode(audio=0):
            video.mux(track.encode(frame))
        for stream in (picture, track):
            video.mux(stream.encode(None))
    return file


def test_a_videos_sound_is_heard_and_what_has_none_gets_a_sentence(page, speech, tmp_path):
    choose(page, "wav2vec2")
    upload(page, film(tmp_path / "film.mkv", speech))
    prediction = EmotionClassifier.from_pretrained(ROOT / "models" / "wav2vec2").predict(speech)
    expect(page.locator("#answer .label")).to_have_attribute(
        "data-label", prediction.label, timeout=30 * SECONDS
    )
    expect(page.locator("#answer .facts")).to_contain_text("film.mkv")
    expect(page.locator("#answer .facts")).to_contain_text(f"{prediction.seconds:.1f} s of speech")
    (tmp_path / "film.txt").write_text("no sound at all")
    upload(page, tmp_path / "film.txt")
    expect(page.locator("#answer .refusal")).to_contain_text("is not audio", timeout=30 * SECONDS)


def test_the_microphone_records_and_is_answered(page):
    choose(page, "wav2vec2")
    recorder = page.locator("#recorder-card")
    recorder.get_by_role("button", name="Record", exact=True).click()
    expect(recorder).to_have_attribute("data-state", "recording", timeout=10 * SECONDS)
    expect(recorder.locator(".timer")).to_have_text("0:02", timeout=20 * SECONDS)
    recorder.get_by_role("button", name="Stop", exact=True).click()
    label = page.locator("#answer .label")
    expect(label).to_be_visible(timeout=30 * SECONDS)
    assert label.get_attribute("data-label") in SCHEMES["core8"]
    page.locator("#answer .all summary").click()
    seconds = float(re.search(r"([\d.]+) s of speech", page.locator("#answer .facts").inner_text())[1])
    assert 1 < seconds < 5


def test_another_model_answers_for_the_same_recording(page, speech, cnn_folder):
    upload(page, speech)
    rows = page.locator("#answer .row")
    expect(rows).to_have_count(2, timeout=30 * SECONDS)
    assert {row.get_attribute("data-label") for row in rows.all()} == {"happy", "sad"}
    expect(page.locator("#answer .facts")).to_contain_text("has not been measured")
    choose(page, "wav2vec2")
    expect(rows).to_have_count(8, timeout=30 * SECONDS)
    assert {row.get_attribute("data-label") for row in rows.all()} == set(SCHEMES["core8"])
    expect(page.locator("#answer .facts")).to_contain_text("its confidence was off by")


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.zeros(32_000), "only silence"),
        (b"no audio at all", "This file is not audio"),
    ],
    ids=["silence", "text"],
)
def test_a_file_that_cannot_be_classified_gets_a_sentence_in_place_of_a_result(
    page, samples, sentence, tmp_path
):
    file = tmp_path / "clip.wav"
    if isinstance(samples, bytes):
        file.write_bytes(samples)
    else:
        write_wav(file, samples)
    upload(page, file)
    expect(page.locator("#answer .refusal")).to_contain_text(sentence, timeout=30 * SECONDS)
    expect(page.locator("#answer .label")).to_have_count(0)


def test_a_longer_recording_gets_a_timeline_to_play_and_to_save(page, call):
    choose(page, "wav2vec2")
    upload(page, call)
    segments = page.locator("#timeline .segment")
    save = page.get_by_text("Save for Excel (CSV)")
    expect(save).to_be_visible(timeout=60 * SECONDS)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0, timeout=30 * SECONDS)
    classifier = EmotionClassifier.from_pretrained(ROOT / "models" / "wav2vec2")
    *_, expected = iter_timeline(classifier, call, reference="self")  # as the page compares them
    expect(segments).to_have_count(len(expected.segments))
    names = [segment.get_attribute("data-name") for segment in segments.all()]
    assert names == [each.name for each in expected.segments]

    segments.first.focus()
    page.keyboard.press("End")  # the arrow keys move within the timeline, which has one tab stop
    expect(segments.last).to_be_focused()
    assert [each.get_attribute("tabindex") for each in segments.all()].count("0") == 1
    page.keyboard.press("Enter")
    at = clock(expected.segments[-1].start)
    expect(page.locator("#player-time")).to_contain_text(at, timeout=10 * SECONDS)
    expect(page.locator("#player-bar").get_by_label("Pause")).to_be_visible(timeout=10 * SECONDS)  # it plays
    expect(segments.last).to_have_class(re.compile("lit"), timeout=10 * SECONDS)
    box = page.locator("#player-bar").bounding_box()
    assert 0 <= box["y"] < page.viewport_size["height"]  # the player is in view

    with page.expect_download() as saved:
        save.click()
    assert saved.value.suggested_filename == "call.csv"
    rows = list(csv.DictReader(Path(saved.value.path()).read_text().splitlines()))
    assert [row["emotion"] for row in rows] == [each.label for each in expected.segments]
    assert rows[-1]["from"] == at
    with page.expect_download() as saved:
        page.get_by_role("button", name="JSON", exact=True).click()
    assert json.loads(Path(saved.value.path()).read_text()) == json.loads(
        json.dumps(describe_recording(expected))
    )
    for words, ending, start in (
        ("Subtitles (SRT)", "srt", "1\n00:00:"),
        ("Subtitles (VTT)", "vtt", "WEBVTT\n\n00:00:"),
        ("Report", "html", "<!doctype html>"),
    ):
        with page.expect_download() as saved:
            page.get_by_role("button", name=words, exact=True).click()
        assert saved.value.suggested_filename == f"call.{ending}"
        assert Path(saved.value.path()).read_text().startswith(start)


def test_the_whole_timeline_fits_the_page_and_can_be_zoomed(page, call):
    choose(page, "cnn")
    page.set_viewport_size({"width": 390, "height": 844})
    upload(page, call)
    expect(page.get_by_text("Save for Excel (CSV)")).to_be_visible(timeout=60 * SECONDS)
    whole = page.locator("#timeline .whole")
    width = whole.bounding_box()["width"]
    assert width <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Zoom in").click()
    assert whole.bounding_box()["width"] == pytest.approx(2 * width, rel=0.05)
    page.get_by_role("button", name="Whole recording").click()
    assert whole.bounding_box()["width"] == pytest.approx(width, rel=0.05)


def test_listening_to_a_long_recording_can_be_stopped_and_what_was_heard_is_kept(page, call, tmp_path):
    samples = np.tile(soundfile.read(call)[0], 60)
    choose(page, "wav2vec2")
    upload(page, write_wav(tmp_path / "long.wav", samples))
    expect(page.locator("#answer .call")).to_be_visible(timeout=60 * SECONDS)
    page.locator("#answer").get_by_role("button", name="Stop", exact=True).click(timeout=30 * SECONDS)
    note = page.locator("#answer .note", has_text="Stopped after")
    expect(note).to_contain_text(f"of {clock(len(samples) / 16_000)}", timeout=20 * SECONDS)
    heard = note.inner_text()
    page.wait_for_timeout(3 * SECONDS)
    assert note.inner_text() == heard
    expect(page.locator("#answer .progress")).to_have_count(0)
    with page.expect_download() as saved:
        page.get_by_text("Save for Excel (CSV)").click()
    assert len(Path(saved.value.path()).read_text().splitlines()) > 1
    clear(page)
    expect(page.locator("#answer .welcome")).to_be_visible(timeout=10 * SECONDS)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_the_page_comes_in_two_languages(page, speech):
    choose(page, "wav2vec2")
    upload(page, speech)
    advice = page.locator("#answer .advice")
    expect(advice).to_have_attribute("lang", "en", timeout=30 * SECONDS)
    expect(page.locator("#answer .care")).to_contain_text("A voice alone does not tell how somebody feels")
    page.get_by_role("button", name="Deutsch", exact=True).click()
    expect(advice).to_have_attribute("lang", "de", timeout=10 * SECONDS)
    expect(advice.get_by_role("heading", name="Du könntest sagen")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page).to_have_title(TEXTS["de"]["title"])
    expect(page.get_by_role("heading", level=1)).to_have_text(TEXTS["de"]["title"])
    expect(page.get_by_role("tab", name="Viele Dateien")).to_be_visible()


def test_a_refusal_is_german_on_a_german_page(page, tmp_path):
    page.get_by_role("button", name="Deutsch", exact=True).click()
    upload(page, write_wav(tmp_path / "silence.wav", np.zeros(32_000)))
    expect(page.locator("#answer .refusal")).to_have_text(
        PHRASES["de"]["refusals"]["silent"], timeout=30 * SECONDS
    )


def test_models_are_compared_on_the_same_clip(page, speech, cnn_folder):
    upload(page, speech)
    open_tab(page, "Compare models")
    page.get_by_role("button", name="Compare the models").click()
    heads = page.locator("#comparison th.model")
    expect(heads).to_have_count(4, timeout=60 * SECONDS)  # ours, one that is gone, two shipped
    costs = page.locator("#comparison .cost")
    expect(costs).to_have_count(4)
    expect(costs.nth(1)).to_contain_text("cannot be loaded")
    names = heads.all_inner_texts()
    for name in ("wav2vec2", "cnn"):
        column = names.index(name)
        prediction = EmotionClassifier.from_pretrained(ROOT / "models" / name).predict(speech)
        answer = page.locator("#comparison td.label").nth(column).locator("[data-label]")
        expect(answer).to_have_attribute("data-label", prediction.label)
        assert float(re.search(r"([\d.]+) ms", costs.nth(column).inner_text())[1]) > 0


def test_how_a_model_hears_a_clip_is_drawn_in_the_page_and_can_be_heard(page, speech):
    choose(page, "cnn")
    upload(page, speech)
    expect(page.locator("#answer .label")).to_be_visible(timeout=30 * SECONDS)
    open_tab(page, "How it hears")
    page.get_by_role("button", name="Show how the model hears it").click()
    expect(page.locator("#explanation img.mel")).to_be_visible(timeout=60 * SECONDS)
    moments = page.locator("#explanation .segment")
    assert moments.count() > 10
    moments.nth(5).click()
    expect(page.locator("#player-bar").get_by_label("Pause")).to_be_visible(timeout=10 * SECONDS)


def test_the_live_screen_follows_the_microphone_stops_and_starts_again(page):
    choose(page, "cnn")
    open_tab(page, "Live")
    button, answer = page.locator("#live-button"), page.locator("#live .label")
    for _ in range(2):
        button.click()
        expect(button).to_have_text("Stop")
        expect(answer).to_have_attribute("data-label", re.compile("."), timeout=30 * SECONDS)
        expect(page.locator("#live .note")).to_contain_text("Answered in")
        button.click()
        expect(button).to_have_text("Start")
        expect(page.locator("#live-words")).to_contain_text("The microphone is off")


def test_pressing_start_at_once_on_a_slow_machine_works(page, url):
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
    page.goto("about:blank")
    page.goto(f"{url}#live")
    page.locator("#live-button").click(timeout=30 * SECONDS)
    expect(page.locator("#live .label")).to_have_attribute(
        "data-label", re.compile("."), timeout=30 * SECONDS
    )


SILENT_MICROPHONE = """() => {
  navigator.mediaDevices.getUserMedia = async () => {
    const context = new AudioContext(), sound = context.createConstantSource();
    const microphone = context.createMediaStreamDestination();
    sound.offset.value = 0;
    sound.connect(microphone);
    sound.start();
    return microphone.stream;
  };
}"""


def test_the_live_screen_goes_on_through_pure_silence(page):
    page.evaluate(SILENT_MICROPHONE)
    open_tab(page, "Live")
    page.locator("#live-button").click()
    for _ in range(4):
        answer = page.locator("#live-card").get_attribute("data-live")
        expect(page.locator("#live-card")).not_to_have_attribute("data-live", answer, timeout=3 * SECONDS)
    expect(page.locator("#live .label")).to_have_text("Silence")


TRACKS = """() => {
  window.tracks = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
}"""


def test_leaving_the_live_screen_releases_the_microphone(page):
    page.evaluate(TRACKS)
    open_tab(page, "Live")
    page.locator("#live-button").click()
    page.wait_for_function("window.tracks.length && window.tracks[0].readyState === 'live'")
    open_tab(page, "Listen")
    page.wait_for_function("window.tracks.every((each) => each.readyState === 'ended')")


@pytest.mark.parametrize(
    ("tab", "words"), [("Listen", "#recorder-card .recorder-words"), ("Live", "#live-words")]
)
def test_a_refused_microphone_is_explained_and_nothing_is_said_before(page, tab, words):
    open_tab(page, tab)
    assert "microphone found" not in page.locator("body").inner_text()
    assert "does not allow" not in page.locator(words).inner_text()
    refuse = "async () => { throw new DOMException('', 'NotAllowedError'); }"
    page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {refuse}; }}")
    page.locator("#recorder-card .dot" if tab == "Listen" else "#live-button").click()
    expect(page.locator(words)).to_contain_text("does not allow the microphone")


def test_many_files_become_a_table_and_one_bad_one_stops_nothing(page, speech, tmp_path):
    (tmp_path / "broken.mp3").write_bytes(b"no sound at all")
    choose(page, "cnn")
    open_tab(page, "Many files")
    page.locator("#files-input").set_input_files([tmp_path / "broken.mp3", speech])
    expect(page.locator("#batch-state .batch-note")).to_have_text(
        "1 of 2 recordings have an answer. 1 could not be answered.", timeout=60 * SECONDS
    )
    table = page.locator("#batch-table")
    expect(table).to_contain_text("not audio")
    expected = EmotionClassifier.from_pretrained(ROOT / "models" / "cnn").predict(speech)
    kind = expected.label if expected.sure else "not sure"  # an unsure answer counts as no emotion
    expect(page.locator("#batch-state .row")).to_have_attribute("data-label", kind)
    expect(table).to_contain_text(f"{100 * expected.confidence:.0f} %")
    with page.expect_download() as saved:
        page.locator("#batch-state").get_by_text("Save for Excel (CSV)").click()
    rows = list(csv.DictReader(Path(saved.value.path()).read_text().splitlines()))
    assert [row["emotion"] for row in rows] == ["", expected.label]
    page.get_by_role("button", name="Hear speech.wav").click()
    page.wait_for_function("!document.querySelector('#row-player').paused")
    page.get_by_label("Filter").select_option("none")
    expect(table.locator("tbody tr:visible")).to_have_count(1)


def test_the_files_chosen_last_are_answered(page, speech, tmp_path):
    many = [shutil.copy(speech, tmp_path / f"{number:02}.wav") for number in range(40)]
    choose(page, "wav2vec2")
    open_tab(page, "Many files")
    page.locator("#files-input").set_input_files(many)
    expect(page.locator("#batch-table")).to_contain_text("01.wav", timeout=60 * SECONDS)
    page.locator("#files-input").set_input_files([speech])
    expect(page.locator("#batch-state .batch-note")).to_have_text(
        "1 of 1 recordings have an answer.", timeout=60 * SECONDS
    )
    page.wait_for_timeout(3 * SECONDS)
    expect(page.locator("#batch-table .file")).to_have_text(["speech.wav"])


def test_a_folders_recordings_are_classified_in_their_order_and_can_be_sorted(page, tmp_path):
    for number, seconds in enumerate((3, 1.5, 2)):
        write_wav(tmp_path / "calls" / f"{number}.wav", speak(seconds=seconds))
    (tmp_path / "calls" / "notes.txt").write_text("not asked for")
    choose(page, "cnn")
    open_tab(page, "Many files")
    page.locator("#folder-input").set_input_files(tmp_path / "calls")
    expect(page.locator("#batch-state .batch-note")).to_have_text(
        "3 of 3 recordings have an answer.", timeout=60 * SECONDS
    )
    names = page.locator("#batch-table .file")
    assert names.all_inner_texts() == ["0.wav", "1.wav", "2.wav"]
    page.get_by_role("button", name="Length", exact=True).click()
    assert names.all_inner_texts() == ["1.wav", "2.wav", "0.wav"]
    page.get_by_role("button", name="Length", exact=True).click()
    assert names.all_inner_texts() == ["0.wav", "2.wav", "1.wav"]


def test_a_models_card_is_shown_with_its_pictures(page, cnn_folder):
    choose(page, "wav2vec2")
    open_tab(page, "About")
    card = page.locator("#card")
    expect(card).to_contain_text("Groups it works worse for", timeout=30 * SECONDS)
    pictures = card.locator("img")
    expect(pictures).to_have_count(3)
    for picture in pictures.all():
        assert picture.evaluate("image => image.naturalWidth") > 300
    choose_again = page.get_by_role("tab", name="Listen", exact=True)
    choose_again.click()
    choose(page, str(cnn_folder))
    open_tab(page, "About")
    expect(card).to_contain_text("has no card", timeout=10 * SECONDS)


def test_clearing_the_recording_clears_the_answer(page, speech):
    upload(page, speech)
    expect(page.locator("#answer .label")).to_be_visible(timeout=30 * SECONDS)
    clear(page)
    expect(page.locator("#answer .welcome")).to_be_visible(timeout=10 * SECONDS)


def test_nothing_of_the_last_recording_stands_under_the_new_one(page, speech, tmp_path):
    upload(page, speech)
    expect(page.locator("#answer .advice")).to_be_visible(timeout=30 * SECONDS)
    clear(page)
    upload(page, write_wav(tmp_path / "silence.wav", np.zeros(32_000)))
    expect(page.locator("#answer .refusal")).to_contain_text("only silence", timeout=30 * SECONDS)
    expect(page.locator(".advice")).to_have_count(0)
    upload(page, speech)
    expect(page.locator("#answer .advice")).to_be_visible(timeout=30 * SECONDS)
    expect(page.locator("#answer .refusal")).to_have_count(0)


def test_the_recording_sent_last_is_answered(page, speech, call, tmp_path):
    long = write_wav(tmp_path / "long.wav", np.tile(soundfile.read(call)[0], 20))
    for first in (speech, long):
        upload(page, first)
        if first is long:
            expect(page.locator("#answer .call")).to_be_visible(timeout=60 * SECONDS)
        upload(page, shutil.copy(speech, tmp_path / "last.wav"))
        expect(page.locator("#answer .facts")).to_contain_text("last.wav", timeout=30 * SECONDS)
        page.wait_for_timeout(3 * SECONDS)
        expect(page.locator("#answer .facts")).to_contain_text("last.wav")


def test_clearing_again_and_again_is_no_error(page, speech):
    for _ in range(8):
        upload(page, speech)
        expect(page.locator("#answer .label")).to_be_visible(timeout=30 * SECONDS)
        clear(page)
        page.wait_for_timeout(1 * SECONDS)
        assert page.locator("#answer").inner_text().strip() == TEXTS["en"]["invitation"]
        assert not page.get_by_text("Error", exact=True).filter(visible=True).count()


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(page, tmp_path):
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    sent = []
    page.on("request", lambda request: sent.append(request.url) if "upload" in request.url else None)
    upload(page, large)
    expect(page.locator("#recorder-card .recorder-words")).to_contain_text(
        "has 101 MB, and the limit is 100 MB", timeout=30 * SECONDS
    )
    assert sent == []
    page.get_by_role("button", name="Deutsch", exact=True).click()
    expect(page.locator("#recorder-card .recorder-words")).to_contain_text("101 MB", timeout=10 * SECONDS)
    expect(page.locator("#recorder-card .recorder-words")).not_to_contain_text("limit is")


def test_on_a_phone_the_answer_comes_into_view(page, speech):
    page.set_viewport_size({"width": 390, "height": 844})
    upload(page, speech)
    label = page.locator("#answer .label")
    expect(label).to_be_visible(timeout=30 * SECONDS)
    page.wait_for_timeout(500)
    assert 0 <= label.bounding_box()["y"] < 400
    expect(page.locator("#recorder-card")).to_be_hidden()
    expect(page.get_by_role("button", name="Record again")).to_be_visible()


def test_a_screen_reader_is_told_the_answer(page, speech):
    choose(page, "wav2vec2")
    upload(page, speech)
    expect(page.locator("#answer .label")).to_be_visible(timeout=30 * SECONDS)
    title = page.locator("#answer .label").inner_text()
    expect(page.locator("#said")).to_contain_text(title)
    expect(page.locator("#said")).to_have_attribute("aria-live", "polite")


def test_tabs_follow_the_arrow_keys_and_the_address(page, url):
    page.get_by_role("tab", name="Listen", exact=True).focus()
    page.keyboard.press("ArrowRight")
    live = page.get_by_role("tab", name="Live", exact=True)
    expect(live).to_be_focused()
    expect(live).to_have_attribute("aria-selected", "true")
    assert page.url.endswith("#live")
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="For programs")).to_be_focused()
    page.goto(f"{url}#practice")
    page.reload()
    expect(page.locator("#screen-practice")).to_be_visible(timeout=30 * SECONDS)


def test_practice_says_how_near_a_voice_came(page):
    choose(page, "cnn")
    open_tab(page, "Practice")
    page.locator("#screen-practice").get_by_role("button", name="sad", exact=True).click()
    before = page.locator(".sentence").inner_text()
    page.get_by_role("button", name="Another sentence").click()
    expect(page.locator(".sentence")).not_to_have_text(before)
    recorder = page.locator("#practice-voice-recorder")
    recorder.locator(".dot").click()
    expect(recorder.locator(".timer")).to_have_text("0:02", timeout=20 * SECONDS)
    recorder.locator(".dot").click()
    expect(page.locator("#practice .label")).to_contain_text(
        re.compile("(across|Nearly|Not yet): sad"), timeout=30 * SECONDS
    )


def test_a_shared_link_shows_this_page_and_not_gradio(url):
    page = urllib.request.urlopen(url).read().decode()
    head = page.partition("</head>")[0]
    tags = "\n".join(re.findall(r"<meta[^>]+>", head))
    assert "radio-app" not in tags and "@Gradio" not in tags and 'content="Gradio"' not in tags
    assert f'property="og:title" content="{TEXTS["en"]["title"]}"' in tags
    picture = re.search(r'property="og:image" content="([^"]+)"', tags)[1]
    assert picture.startswith(url)
    assert urllib.request.urlopen(picture).read().startswith(b"\x89PNG")
    assert urllib.request.urlopen(f"{url}favicon.ico").status == 200


def test_a_model_that_cannot_be_loaded_says_so_and_the_others_serve(page, speech, cnn_folder):
    expect(page.locator("#notice")).to_contain_text(
        f"The model '{cnn_folder}-gone' cannot be loaded: there is no such folder."
    )
    offered = page.locator("#model-choice option")
    expect(offered).to_have_text([str(cnn_folder), "wav2vec2", "cnn"])
    upload(page, speech)
    expect(page.locator("#answer .label")).to_be_visible(timeout=30 * SECONDS)
    with pytest.raises(AppError, match="there is no such folder"):
        Client(page.url, verbose=False).predict(
            handle_file(speech), f"{cnn_folder}-gone", api_name="/classify"
        )


HOSTILE = "<img src=x onerror=window.pwned=1>&<script>window.pwned=1<"


def test_a_file_name_is_never_html(page, speech, call, tmp_path):
    choose(page, "cnn")
    short = shutil.copy(speech, tmp_path / f"{HOSTILE}.wav")
    upload(page, short)
    expect(page.locator("#answer .facts")).to_contain_text(".wav", timeout=30 * SECONDS)
    page.get_by_role("button", name="Compare the models").click()
    expect(page.locator("#comparison th.model").first).to_be_visible(timeout=30 * SECONDS)
    open_tab(page, "Many files")
    page.locator("#files-input").set_input_files([short])
    expect(page.locator("#batch-table")).to_contain_text(".wav", timeout=30 * SECONDS)
    open_tab(page, "Listen")
    clear(page)
    long = shutil.copy(call, tmp_path / f"long{HOSTILE}.wav")
    upload(page, long)
    save = page.locator("#answer").get_by_text("Save for Excel (CSV)")
    expect(save).to_be_visible(timeout=60 * SECONDS)
    with page.expect_download() as saved:
        save.click()
    assert saved.value.suggested_filename.startswith("long")
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("window.pwned") is None


def test_programs_call_classify(url, speech):
    client = Client(url, verbose=False)
    answer = client.predict(handle_file(speech), "wav2vec2", api_name="/classify")
    expected = EmotionClassifier.from_pretrained(ROOT / "models" / "wav2vec2").predict(speech)
    assert answer["label"] == expected.label
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
    assert answer["seconds"] == pytest.approx(expected.seconds)


def test_programs_call_batch_and_one_bad_file_stops_nothing(url, speech, tmp_path):
    (tmp_path / "broken.mp3").write_bytes(b"no sound at all")
    files = [handle_file(tmp_path / "broken.mp3"), handle_file(speech)]
    bad, good = Client(url, verbose=False).predict(files, "cnn", api_name="/batch")
    expected = EmotionClassifier.from_pretrained(ROOT / "models" / "cnn").predict(speech)
    assert (bad["file"], bad["emotion"]) == ("broken.mp3", None)
    assert "not audio" in bad["error"]
    assert (good["file"], good["emotion"], good["error"]) == ("speech.wav", expected.label, None)


def test_a_game_follows_a_voice_and_another_game_another(url, tmp_path):
    sounds = {"speaker": speak(180, seconds=3), "silent": pause(3)}
    games = {name: Client(url, verbose=False) for name in sounds}
    for at in range(0, 48_000, 8_000):
        for name, sound in sounds.items():
            piece = write_wav(tmp_path / f"{name}.wav", sound[at : at + 8_000])
            answer = games[name].predict(handle_file(piece), "cnn", api_name="/live")
            if name == "silent":
                assert answer["label"] is None
                quiet = answer["face"]
    answer = games["speaker"].predict(handle_file(piece), "cnn", api_name="/live")
    assert answer["label"] in SCHEMES["core8"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert answer["face"].keys() == quiet.keys()
    assert answer["face"] != quiet


def test_the_examples_for_programs_work_as_they_are_printed(page, url, speech, call, tmp_path):
    open_tab(page, "For programs")
    expect(page.locator("#example-python")).to_contain_text(f'Client("{url}")', timeout=10 * SECONDS)
    shutil.copy(speech, tmp_path / "clip.wav")
    soundfile.write(tmp_path / "call.mp3", *soundfile.read(call))
    expected = EmotionClassifier.from_pretrained(ROOT / "models" / "cnn").predict(speech)
    python = [sys.executable, "-c", fill(PYTHON, url, "cnn")]
    said = subprocess.run(python, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f"\n{expected.label} " in f"\n{said}"
    said = subprocess.run(
        ["bash", "-c", fill(CURL, url, "cnn")], cwd=tmp_path, capture_output=True, text=True
    )
    answer = json.loads(said.stdout.split("data: ")[-1])[0]
    assert answer["label"] == expected.label
    sound = base64.b64encode(speech.read_bytes()).decode()
    answer = page.evaluate(
        f"async () => {{ {fill(JAVASCRIPT, url, 'cnn')}\n"
        f"return classify(await (await fetch('data:audio/wav;base64,{sound}')).blob()); }}"
    )
    assert answer["label"] == expected.label


def test_a_model_published_on_the_hub_answers_by_its_id(hub, cnn_folder, speech, tmp_path, monkeypatch):
    hub.adopt(monkeypatch)
    publish_folder(cnn_folder, "you/cnn")
    with served(MODEL_ID="you/cnn", **hub.environment(tmp_path / "home", token="")) as (address, _):
        client = Client(address, verbose=False)
        for _ in range(120):  # it is fetched in the background
            try:
                answer = client.predict(handle_file(speech), "you/cnn", api_name="/classify")
                break
            except AppError as error:
                assert "still being loaded" in str(error)
                time.sleep(0.5)
    expected = EmotionClassifier.from_pretrained(cnn_folder).predict(speech)
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)


def test_programs_get_the_same_sentences(url, tmp_path):
    client = Client(url, verbose=False)
    silence = write_wav(tmp_path / "silence.wav", np.zeros(32_000))
    with pytest.raises(AppError, match="only silence"):
        client.predict(handle_file(silence), "cnn", api_name="/classify")
    with pytest.raises(AppError, match="not in the list of choices"):
        client.predict(handle_file(silence), "/etc", api_name="/classify")


def test_the_public_endpoints_are_these(url):
    endpoints = Client(url, verbose=False).view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/batch", "/classify", "/live", "/timeline"}


def test_programs_call_timeline(url, call):
    answer = Client(url, verbose=False).predict(handle_file(call), "wav2vec2", api_name="/timeline")
    *_, expected = iter_timeline(EmotionClassifier.from_pretrained(ROOT / "models" / "wav2vec2"), call)
    assert [each["label"] for each in answer["segments"]] == [each.label for each in expected.segments]
    assert answer["shares"] == pytest.approx(expected.to_dict()["shares"], abs=1e-3)
    assert [each["kind"] for each in answer["events"]] == [each.kind for each in find_events(expected)]


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
