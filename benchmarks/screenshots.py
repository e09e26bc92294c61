"""Take the README's pictures of the app, in real Chromium, with clips of the prepared dataset's test split.

    python benchmarks/screenshots.py --data data/emotion

Needs `make dev` and Debian's package chromium. Writes docs/*.png.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from app import serve  # noqa: E402
from speech_emotion.audio.decoding import SAMPLE_RATE  # noqa: E402
from speech_emotion.dataset import open_dataset, read_clip  # noqa: E402

DOCS = ROOT / "docs"
CLIPS = 30  # or a few more, of one speaker, one after another: the longer recording
DESK, PHONE = {"width": 1280, "height": 820}, {"width": 390, "height": 844}


def main() -> None:
    """Serve the app, visit its screens, and take a picture of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    options = parser.parse_args()
    DOCS.mkdir(exist_ok=True)
    address = serve(quiet=True).local_url
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        clip, call = write_recordings(options.data, Path(folder))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, recording, viewport, theme in (
            ("clip", clip, DESK, "light"),
            ("timeline", call, DESK, "light"),
            ("phone", clip, PHONE, "dark"),
        ):
            page = browser.new_page(viewport=viewport)
            page.goto(f"{address}?__theme={theme}&lang=en")
            take(page, recording, DOCS / f"{name}.png")
        browser.close()


def write_recordings(data: str, folder: Path) -> tuple[Path, Path]:
    """Write one clip, and several of its speaker with pauses between them."""
    rows = open_dataset(data)["test"]
    speakers = rows["speaker"][:]
    shareable = [name for name in speakers if name.startswith("ravdess")] or speakers
    [(speaker, count)] = Counter(shareable).most_common(1)
    own = [index for index, name in enumerate(speakers) if name == speaker][:: count // CLIPS]
    clips = [read_clip(rows[index]) for index in own]
    pause = np.zeros(SAMPLE_RATE, np.float32)
    paths = folder / "clip.wav", folder / "call.wav"
    soundfile.write(paths[0], clips[0], SAMPLE_RATE)
    soundfile.write(paths[1], np.concatenate([part for clip in clips for part in (pause, clip)]), SAMPLE_RATE)
    return paths


def take(page: Page, recording: Path, picture: Path) -> None:
    """Upload a recording, wait for its answer, and take a picture of the page."""
    page.locator("#answer .welcome").wait_for()
    page.locator("#upload-input").set_input_files(recording)
    page.locator("#answer .label").first.wait_for(timeout=120_000)
    page.locator("#answer .progress").wait_for(state="detached", timeout=120_000)
    page.wait_for_timeout(2000)  # the player draws its waveform
    page.screenshot(path=picture, full_page=page.viewport_size == DESK)


if __name__ == "__main__":
    main()
