"""axe-core finds nothing wrong on any screen, in light and in dark, on a phone and on a desk."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, pause, speak, write_wav
from entrances import served
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = pytest.mark.serial

CHROMIUM = shutil.which("chromium")
AXE = ROOT / "tests" / "node_modules" / "axe-core" / "axe.min.js"
SECONDS = 1000
TARGET = 24  # CSS pixels that a target needs at least, by WCAG 2.2
FIND_SMALL = """(least) => [...document.querySelectorAll('button, a[href], input:not([type=file]), select, summary')]
  .filter((each) => each.offsetParent && !each.closest('.segments, p') && !each.disabled)
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([, box]) => box.width && (box.width < least || box.height < least))
  .map(([each, box]) => `${each.outerHTML.slice(0, 80)} ${box.width} x ${box.height}`)"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, installed where it is not there yet."""
    if not AXE.is_file() and shutil.which("npm"):
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=ROOT / "tests", check=False)
    if not AXE.is_file():
        pytest.skip("no axe-core on this machine: run npm ci in tests/ to check the page's accessibility")
    return AXE.read_text()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> dict[str, Path]:
    """A short clip, and one of several utterances."""
    folder = tmp_path_factory.mktemp("recordings")
    parts = [part for number in range(3) for part in (pause(1.5), speak(110 + 50 * number, 3, seed=number))]
    return {
        "clip": write_wav(folder / "clip.wav", speak(180, seconds=3)),
        "call": write_wav(folder / "call.wav", np.concatenate(parts)),
    }


@pytest.fixture(scope="module")
def browser(recordings) -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: install the package chromium to run the web tests")
    with sync_playwright() as playwright:
        microphone = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        microphone.append(f"--use-file-for-fake-audio-capture={recordings['call']}")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *microphone])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as (address, _):
        yield address


@pytest.fixture(scope="module")
def url_with_head(folder_with_head) -> Iterator[str]:
    with served(MODEL_ID=str(folder_with_head)) as (address, _):
        yield address


def check(page: Page, axe: str, screen: str) -> None:
    """Run axe-core over what is shown, and measure the targets."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((each) => each.violations)")
    words = [
        f"{screen}: {each['id']} ({each['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found
        for node in each["nodes"][:3]
    ]
    assert not words, "\n".join(words)
    assert page.evaluate(FIND_SMALL, TARGET) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        f"{screen} is wider than the window"
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_on_any_screen(browser, url, axe, recordings, theme, width):
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(f"{url}?__theme={theme}&lang=en")
    expect(page.locator("#answer .welcome")).to_be_visible(timeout=60 * SECONDS)
    expect(page.locator("body.dark")).to_have_count(int(theme == "dark"))
    check(page, axe, "first")

    page.locator("#upload-input").set_input_files(recordings["clip"])
    expect(page.locator("#answer .answer")).to_be_visible(timeout=60 * SECONDS)
    page.locator("#answer .all summary").click()
    check(page, axe, "answer")
    page.get_by_role("button", name="Compare the models").click()
    expect(page.locator("#comparison .cost")).to_have_count(2, timeout=60 * SECONDS)
    check(page, axe, "compare")
    page.get_by_role("tab", name="How it hears").click()
    page.get_by_role("button", name="Show how the model hears it").click()
    expect(page.locator("#hearing .hears")).to_be_visible(timeout=60 * SECONDS)
    check(page, axe, "how it hears")

    page.locator("#upload-input").set_input_files(recordings["call"])
    expect(page.locator("#answer .call .downloads")).to_be_visible(timeout=60 * SECONDS)
    expect(page.locator("#answer .progress")).to_have_count(0, timeout=60 * SECONDS)
    check(page, axe, "call")

    page.get_by_role("tab", name="Many files").click()
    check(page, axe, "many files, empty")
    page.locator("#files-input").set_input_files([recordings["clip"], Path(__file__)])
    expect(page.locator("#batch-state .batch-note")).to_be_visible(timeout=60 * SECONDS)
    check(page, axe, "many files")
    for name, part in (
        ("Live", "#live-card"),
        ("Practice", "#practice-voice-recorder"),
        ("About", "#card h2, #card h1"),
        ("For programs", "#example-python"),
    ):
        page.get_by_role("tab", name=name, exact=True).click()
        expect(page.locator(part).first).to_be_visible(timeout=30 * SECONDS)
        check(page, axe, name)
    page.get_by_role("tab", name="Live", exact=True).click()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#live .label[data-label]:not([data-label=''])")).to_be_visible(timeout=60 * SECONDS)
    check(page, axe, "Live, answering")
    page.close()


@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("dark", 1280)])
def test_axe_finds_nothing_where_a_voice_is_compared_with_itself(
    browser, url_with_head, axe, recordings, theme, width
):
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(f"{url_with_head}?__theme={theme}&lang=en")
    expect(page.locator("#answer .welcome")).to_be_visible(timeout=60 * SECONDS)
    page.locator("#upload-input").set_input_files(recordings["call"])
    expect(page.locator("#answer .own-line")).to_be_visible(timeout=60 * SECONDS)
    page.locator("#answer .own-voice summary").click()
    check(page, axe, "the offer")
    page.locator("#plain-input").set_input_files(recordings["clip"])
    expect(page.locator("#answer .own-voice.known")).to_be_visible(timeout=60 * SECONDS)
    check(page, axe, "a known voice")
    page.close()
