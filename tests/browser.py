"""A real browser for the tests of pages: Chromium whose microphone plays a file, and axe-core to check a page."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT
from playwright.sync_api import Browser, Page, sync_playwright

SECONDS = 1000  # Playwright counts in milliseconds
AXE = ROOT / "tests" / "node_modules" / "axe-core" / "axe.min.js"
TARGET = 24  # CSS pixels that a target needs at least, by WCAG 2.2
FIND_SMALL = """(least) => [...document.querySelectorAll('button, a[href], input:not([type=file]), select, summary')]
  .filter((each) => each.offsetParent && !each.closest('.segments, p') && !each.disabled)
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([, box]) => box.width && (box.width < least || box.height < least))
  .map(([each, box]) => `${each.outerHTML.slice(0, 80)} ${box.width} x ${box.height}`)"""


@contextmanager
def launch_chromium(recording: Path) -> Iterator[Browser]:
    """Run Chromium, which grants every page a microphone that plays a recording; skip the test without one."""
    if not (chromium := shutil.which("chromium")):
        pytest.skip("no Chromium on this machine: install the package chromium to run the web tests")
    options = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


def read_axe() -> str:
    """Return the source of axe-core, installed where it is not there yet; skip the test without it."""
    if not AXE.is_file() and shutil.which("npm"):
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=ROOT / "tests", check=False)
    if not AXE.is_file():
        pytest.skip("no axe-core on this machine: run npm ci in tests/ to check the page's accessibility")
    return AXE.read_text()


def check_accessibility(page: Page, screen: str) -> None:
    """Run axe-core over what is shown, and measure the targets."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(read_axe())
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
