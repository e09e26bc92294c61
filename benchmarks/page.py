"""Measure how long a visitor waits: from choosing a file of three seconds to its answer on the page.

    python benchmarks/page.py --data data/emotion

The real app runs in real Chromium on the same machine, after a few visits to warm up; each visit sends
another clip. Needs both `make dev` and Debian's package chromium. Writes results/page.json.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import soundfile
from playwright.sync_api import Page, sync_playwright
from record import RESULTS, save_result

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from app import serve  # noqa: E402
from speech_emotion.audio.decoding import SAMPLE_RATE  # noqa: E402
from speech_emotion.dataset import open_dataset, read_clip  # noqa: E402
from speech_emotion.ui.registry import DEFAULT  # noqa: E402

SECONDS = 3.0
VISITS, WARM_UP = 20, 3


def main() -> None:
    """Serve the app, visit it and save the waits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    options = parser.parse_args()
    address = serve(quiet=True).local_url
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        clips = write_clips(options.data, Path(folder))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.get_by_label("Upload file").first.click()
        waits = [visit(page, clip) for clip in clips][WARM_UP:]
        browser.close()
    figures = {
        "model": DEFAULT,
        "clip_seconds": SECONDS,
        "visits": len(waits),
        "median_seconds": round(statistics.median(waits), 3),
        "p95_seconds": round(statistics.quantiles(waits, n=20)[-1], 3),
    }
    save_result(RESULTS / "page.json", figures, ["gradio", "torch", "transformers", "playwright"])
    print(figures)


def write_clips(data: str, folder: Path) -> list[Path]:
    """Write the first three seconds of test clips that are long enough."""
    rows = open_dataset(data)["test"]
    long = [index for index, seconds in enumerate(rows["duration"]) if seconds >= SECONDS]
    if len(long) < VISITS + WARM_UP:
        raise SystemExit(f"{VISITS + WARM_UP} test clips of {SECONDS:g} s are needed; there are {len(long)}.")
    paths = [folder / f"{number}.wav" for number in range(VISITS + WARM_UP)]
    for path, index in zip(paths, long, strict=False):
        soundfile.write(path, read_clip(rows[index])[: int(SECONDS * SAMPLE_RATE)], SAMPLE_RATE)
    return paths


def visit(page: Page, clip: Path) -> float:
    """Choose a file; return the seconds until its answer is there."""
    chosen = page.locator("#voice input[type=file]")
    chosen.wait_for(state="attached")
    start = time.perf_counter()
    chosen.set_input_files(clip)
    page.locator("#answer .note", has_text=f"{clip.name}:").wait_for()
    wait = time.perf_counter() - start
    page.locator("#voice").get_by_label("Clear").first.click()  # twice there while it redraws
    page.locator("#answer .hint").wait_for()
    return wait


if __name__ == "__main__":
    main()
