"""axe-core finds nothing wrong on any screen, in light and in dark, on a phone and on a desk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import SECONDS, check_accessibility, launch_chromium
from conftest import speak, speak_utterances, write_wav
from entrances import served
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.serial


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> dict[str, Path]:
    """A short clip, and one of several utterances."""
    folder = tmp_path_factory.mktemp("recordings")
    return {
        "clip": write_wav(folder / "clip.wav", speak(180, seconds=3)),
        "call": write_wav(folder / "call.wav", speak_utterances()),
    }


@pytest.fixture(scope="module")
def browser(recordings) -> Iterator[Browser]:
    with launch_chromium(recordings["call"]) as browser:
        yield browser


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as (address, _):
        yield address


@pytest.fixture(scope="module")
def url_with_head(folder_with_head) -> Iterator[str]:
    with served(MODEL_ID=str(folder_with_head)) as (address, _):
        yield address


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_on_any_screen(browser, url, recordings, theme, width):
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(f"{url}?__theme={theme}&lang=en")
    expect(page.locator("#answer .welcome")).to_be_visible(timeout=60 * SECONDS)
    expect(page.locator("body.dark")).to_have_count(int(theme == "dark"))
    check_accessibility(page, "first")

    page.locator("#upload-input").set_input_files(recordings["clip"])
    expect(page.locator("#answer .answer")).to_be_visible(timeout=60 * SECONDS)
    page.locator("#answer .all summary").click()
    check_accessibility(page, "answer")
    page.get_by_role("button", name="Compare the models").click()
    expect(page.locator("#comparison .cost")).to_have_count(2, timeout=60 * SECONDS)
    check_accessibility(page, "compare")
    page.get_by_role("tab", name="How it hears").click()
    page.get_by_role("button", name="Show how the model hears it").click()
    expect(page.locator("#explanation .hears")).to_be_visible(timeout=60 * SECONDS)
    check_accessibility(page, "how it hears")

    page.locator("#upload-input").set_input_files(recordings["call"])
    expect(page.locator("#answer .call .downloads")).to_be_visible(timeout=60 * SECONDS)
    expect(page.locator("#answer .progress")).to_have_count(0, timeout=60 * SECONDS)
    check_accessibility(page, "call")

    page.get_by_role("tab", name="Many files").click()
    check_accessibility(page, "many files, empty")
    page.locator("#files-input").set_input_files([recordings["clip"], Path(__file__)])
    expect(page.locator("#batch-state .batch-note")).to_be_visible(timeout=60 * SECONDS)
    check_accessibility(page, "many files")
    for name, part in (
        ("Live", "#live-card"),
        ("Practice", "#practice-voice-recorder"),
        ("About", "#card h2, #card h1"),
        ("For programs", "#example-python"),
    ):
        page.get_by_role("tab", name=name, exact=True).click()
        expect(page.locator(part).first).to_be_visible(timeout=30 * SECONDS)
        check_accessibility(page, name)
    page.get_by_role("tab", name="Live", exact=True).click()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#live .label[data-label]:not([data-label=''])")).to_be_visible(timeout=60 * SECONDS)
    check_accessibility(page, "Live, answering")
    page.close()


@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("dark", 1280)])
def test_axe_finds_nothing_where_a_voice_is_compared_with_itself(
    browser, url_with_head, recordings, theme, width
):
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(f"{url_with_head}?__theme={theme}&lang=en")
    expect(page.locator("#answer .welcome")).to_be_visible(timeout=60 * SECONDS)
    page.locator("#upload-input").set_input_files(recordings["call"])
    expect(page.locator("#answer .own-line")).to_be_visible(timeout=60 * SECONDS)
    page.locator("#answer .own-voice summary").click()
    check_accessibility(page, "the offer")
    page.locator("#plain-input").set_input_files(recordings["clip"])
    expect(page.locator("#answer .own-voice.known")).to_be_visible(timeout=60 * SECONDS)
    check_accessibility(page, "a known voice")
    page.close()
