"""One plain sentence, and the page knows a voice: in Chromium, with the microphone and with a file; for programs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import SECONDS, launch_chromium
from conftest import pause, speak, speak_utterances, write_wav
from entrances import served
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Page, expect

from speech_emotion import EmotionClassifier
from speech_emotion.inference.events import describe_recording
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.ui.wording import PHRASES

pytestmark = pytest.mark.serial


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    return {
        "clip": write_wav(folder / "clip.wav", speak(220, seconds=3)),
        "plain": write_wav(folder / "plain.wav", speak(120, seconds=3, seed=1)),
        "silence": write_wav(folder / "silence.wav", pause(3)),
        "call": write_wav(folder / "call.wav", speak_utterances()),
    }


@pytest.fixture(scope="module")
def url(folder_with_head) -> Iterator[str]:
    with served(MODEL_ID=str(folder_with_head)) as (address, _):
        yield address


@pytest.fixture
def page(url, recordings) -> Iterator[Page]:
    with launch_chromium(recordings["plain"]) as browser:
        page = browser.new_page()
        page.goto(f"{url}?lang=en")
        expect(page.locator("#answer .welcome")).to_be_visible(timeout=60 * SECONDS)
        yield page


def read_shares(page: Page) -> dict[str, int]:
    """Return the percentages of the answer by emotion."""
    rows = page.locator("#answer .answer .row").all()
    return {
        row.get_attribute("data-label"): int(re.sub(r"\D", "", row.locator(".percent").inner_text()))
        for row in rows
    }


def test_a_file_of_a_plain_sentence_changes_the_answer_until_it_is_forgotten(
    page, recordings, folder_with_head
):
    page.locator("#upload-input").set_input_files(recordings["clip"])
    offer = page.locator("#answer details.own-voice")
    expect(offer).to_be_visible(timeout=60 * SECONDS)
    before = read_shares(page)
    offer.locator("summary").click()
    expect(offer.locator(".sentence")).to_have_text(PHRASES["en"]["plain"])
    page.locator("#plain-input").set_input_files(recordings["silence"])
    expect(offer.locator(".refusal")).to_contain_text("Nobody speaks", timeout=60 * SECONDS)
    assert read_shares(page) == before
    page.locator("#plain-input").set_input_files(recordings["plain"])
    chip = page.locator("#answer").get_by_role("button", name="Knows your voice · Forget")
    expect(chip).to_be_visible(timeout=60 * SECONDS)
    classifier = EmotionClassifier.from_pretrained(folder_with_head)
    reference = classifier.enroll([recordings["plain"]])
    expected = classifier.predict(recordings["clip"], reference=reference).probabilities
    known = read_shares(page)
    assert known == pytest.approx({name: 100 * share for name, share in expected.items()}, abs=0.51)
    assert known != before
    chip.click()
    expect(page.locator("#answer details.own-voice")).to_be_visible(timeout=60 * SECONDS)
    expect(chip).to_have_count(0)
    assert read_shares(page) == before


def test_a_plain_sentence_may_be_read_to_the_microphone(page, recordings):
    page.locator("#upload-input").set_input_files(recordings["clip"])
    page.locator("#answer details.own-voice summary").click(timeout=60 * SECONDS)
    recorder = page.locator("#plain-voice-recorder")
    recorder.get_by_role("button", name="Record", exact=True).click()
    expect(recorder.locator(".timer")).to_have_text("0:03", timeout=30 * SECONDS)
    recorder.get_by_role("button", name="Stop", exact=True).click()
    chip = page.locator("#answer").get_by_role("button", name="Knows your voice · Forget")
    expect(chip).to_be_visible(timeout=60 * SECONDS)


def test_a_call_says_what_it_compares_and_that_can_be_switched_off(page, recordings):
    page.locator("#upload-input").set_input_files(recordings["call"])
    line = page.locator("#answer .call .own-line")
    expect(line).to_contain_text("Each utterance is compared with the others.", timeout=60 * SECONDS)
    words = "each => each.map((one) => one.dataset.words)"
    compared = page.locator("#answer .segment").evaluate_all(words)
    line.get_by_role("button", name="Switch off").click()
    expect(line).to_contain_text("No utterance is compared", timeout=60 * SECONDS)
    assert page.locator("#answer .segment").evaluate_all(words) != compared
    line.get_by_role("button", name="Switch on").click()
    expect(line).to_contain_text("Each utterance is compared with the others.", timeout=60 * SECONDS)
    assert page.locator("#answer .segment").evaluate_all(words) == compared


def test_a_model_that_cannot_compare_offers_nothing(page, recordings):
    page.locator("#recorder-card details summary").click()
    page.get_by_label("Model", exact=True).select_option("cnn")
    page.locator("#upload-input").set_input_files(recordings["clip"])
    expect(page.locator("#answer .answer")).to_be_visible(timeout=60 * SECONDS)
    expect(page.locator(".own-voice")).to_have_count(0)


def test_programs_send_a_reference_or_compare_a_recordings_own_utterances(url, recordings, folder_with_head):
    client, model = Client(url, verbose=False), str(folder_with_head)
    clip, plain, call = (handle_file(recordings[name]) for name in ("clip", "plain", "call"))
    classifier = EmotionClassifier.from_pretrained(folder_with_head)
    reference = classifier.enroll([recordings["plain"]])
    answer = client.predict(clip, model, reference=plain, api_name="/classify")
    expected = classifier.predict(recordings["clip"], reference=reference)
    assert answer["probabilities"] == pytest.approx(expected.probabilities)
    for given, own in (({"reference": plain}, reference), ({"own_voice": True}, "self"), ({}, None)):
        course = client.predict(call, model, api_name="/timeline", **given)
        [*_, timeline] = iter_timeline(classifier, recordings["call"], reference=own)
        said = describe_recording(timeline)["segments"]
        assert [each["label"] for each in course["segments"]] == [each["label"] for each in said]
        shares = [each["probabilities"]["happy"] for each in course["segments"]]
        assert shares == pytest.approx([each["probabilities"]["happy"] for each in said])
    with pytest.raises(AppError, match="it has no reference head"):
        client.predict(clip, "cnn", reference=plain, api_name="/classify")
