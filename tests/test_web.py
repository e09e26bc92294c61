"""The published model in transformers.js, in Node and on the page that runs in a visitor's own browser."""

import functools
import json
import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import SECONDS, check_accessibility, launch_chromium
from conftest import ROOT, pause, speak, voice, write_wav
from entrances import served
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from scipy.special import softmax

from speech_emotion import SCHEMES, EmotionClassifier, load_audio
from speech_emotion.ui.avatar import draw_icons

WEB, MODEL = ROOT / "web", ROOT / "models" / "wav2vec2"
MODULES = WEB / "node_modules"
VERSION = json.loads((WEB / "package.json").read_text())["dependencies"]["@huggingface/transformers"]
STYLES = re.compile(r"^(?::root|\.dark|\.e-).*?\}$", re.MULTILINE | re.DOTALL)


def make_clips() -> list[np.ndarray]:
    """Twenty clips of 0.4 to 8 seconds: vowels and hisses, wavering tones, one very quiet, one clipped."""
    clips = [speak(90 + 25 * number, 0.4 + 0.7 * number, seed=number) for number in range(10)]
    clips += [voice(100 + 30 * number, 0.5 + 0.5 * number, seed=number) for number in range(8)]
    return [*clips, 0.01 * speak(200, 3), np.clip(20 * speak(140, 3), -1, 1)]


@pytest.fixture(scope="module")
def library() -> None:
    """transformers.js in web/node_modules, installed where it is not there yet."""
    if not MODULES.is_dir() and shutil.which("npm"):
        npm = ["npm", "ci", "--no-audit", "--no-fund"]
        without = os.environ | {"ONNXRUNTIME_NODE_INSTALL_CUDA": "skip"}
        subprocess.run(npm, cwd=WEB, env=without, check=False)
    if not MODULES.is_dir() or not shutil.which("node"):
        pytest.skip("no transformers.js on this machine: run npm ci in web/ to test it")


@pytest.mark.slow
def test_transformers_js_opens_the_published_folder_and_gives_pythons_answers(library, tmp_path):
    clips, files = make_clips(), []
    for number, clip in enumerate(clips):
        files.append(str(tmp_path / f"{number}.f32"))
        clip.astype(np.float32).tofile(files[-1])
    script = ["node", ROOT / "tests" / "web.mjs", MODEL, json.dumps(files)]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    classifier = EmotionClassifier.from_pretrained(MODEL)
    assert classifier.engine.name == "ONNX Runtime"
    whole = [softmax(classifier.engine.run([clip])[0]) for clip in clips]
    in_windows = softmax(classifier.logits(clips), axis=1)
    for answer, once, mean in zip(answers, whole, in_windows, strict=True):
        heard = [(each["label"], each["score"]) for each in answer["pipeline"]]
        for given, expected in ((heard, once), (answer["hear"], mean)):
            assert given[0][0] == classifier.labels[expected.argmax()]
            assert dict(given) == pytest.approx(
                dict(zip(classifier.labels, expected.tolist(), strict=True)), abs=1e-3
            )


def test_the_page_has_the_apps_colours_and_faces_and_the_librarys_version():
    app, page = (
        STYLES.findall(path.read_text()) for path in (ROOT / "speech_emotion/ui/style.css", WEB / "style.css")
    )
    assert [re.sub(r", \.(?:dark )?\.?gradio-container", "", rule) for rule in app][: len(page)] == page
    assert draw_icons() + "\n" == (WEB / "faces.svg").read_text(), (
        "write draw_icons() into web/faces.svg anew"
    )
    assert f'VERSION = "{VERSION}"' in (WEB / "page.js").read_text()
    faces = re.search(r"FACES = (\[.*?\])", (WEB / "page.js").read_text())[1]
    assert json.loads(faces) == list(SCHEMES["core8"])


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A static host of the repository, as any: the page is at its /web/."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=ROOT))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speak(180, seconds=3))


@pytest.fixture(scope="module")
def browser(speech) -> Iterator[Browser]:
    """Chromium, whose microphone plays `speech`."""
    with launch_chromium(speech) as browser:
        yield browser


@pytest.fixture
def visit(browser, host, speech) -> Iterator[BrowserContext]:
    """A visitor whose network reaches the host alone; `sent` has what was asked for and sent anywhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.sent, context.speech = [], speech
    context.on("request", lambda request: context.sent.append((request.method, request.url)))
    context.route(lambda url: not url.startswith((host, "blob:", "data:")), lambda route: route.abort())
    yield context
    context.close()


def ask(page: Page, file: Path) -> None:
    page.locator("#file").set_input_files(file)


def read_answer(page: Page) -> tuple[str, dict[str, int]]:
    """Wait for an answer; return its label and the percent of every label."""
    label = page.locator("#answer .label")
    expect(label).to_be_visible(timeout=120 * SECONDS)
    rows = page.locator("#answer .row").all()
    shares = {row.get_attribute("data-label"): row.locator(".percent").inner_text() for row in rows}
    return label.get_attribute("data-label"), {
        name: int(share.strip("\xa0 %")) for name, share in shares.items()
    }


@pytest.mark.serial
def test_the_page_answers_as_python_does_and_sends_nothing(library, visit, host, speech, tmp_path):
    page = visit.new_page()
    page.goto(f"{host}web/")
    size = round((MODEL / "onnx" / "model.onnx").stat().st_size / 1e6)
    expect(page.locator("#size")).to_have_text(f"The model, {size} MB,")
    classifier = EmotionClassifier.from_pretrained(MODEL)
    for number, clip in enumerate([speak(180, seconds=3), speak(120, seconds=12), voice(300, seconds=1.3)]):
        file = write_wav(tmp_path / f"clip {number}.wav", clip)
        ask(page, file)
        expect(page.locator("#answer .note")).to_contain_text(f"clip {number}.wav", timeout=120 * SECONDS)
        label, shares = read_answer(page)
        expected = softmax(classifier.logits([load_audio(file)])[0])
        assert label == classifier.labels[expected.argmax()]
        assert shares == pytest.approx(dict(zip(classifier.labels, 100 * expected, strict=True)), abs=0.6)
        assert set(shares) == set(SCHEMES["core8"])
    assert {method for method, _ in visit.sent} <= {"GET", "HEAD"}
    assert all(url.startswith((host, "blob:")) for _, url in visit.sent)


@pytest.mark.serial
def test_the_microphone_is_recorded_and_released(library, visit, host):
    page = visit.new_page()
    page.goto(f"{host}web/")
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#recorder")).to_have_attribute("data-state", "recording")
    expect(page.locator(".timer")).to_have_text(re.compile("0:0[2-9]|0:[1-5]"), timeout=20 * SECONDS)
    page.get_by_role("button", name="Stop", exact=True).click()
    label, shares = read_answer(page)
    assert label in SCHEMES["core8"]
    assert sum(shares.values()) == pytest.approx(100, abs=4)
    expect(page.locator("#answer .note")).to_contain_text("recording")
    expect(page.locator("#recorder")).to_have_attribute("data-state", "idle")


@pytest.mark.serial
def test_what_cannot_be_heard_gets_a_sentence(library, visit, host, tmp_path):
    page = visit.new_page()
    page.goto(f"{host}web/")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound at all")
    for file, sentence in (
        (broken, "not audio or video"),
        (write_wav(tmp_path / "silent.wav", pause(2)), "only silence"),
        (write_wav(tmp_path / "short.wav", speak(seconds=0.1)), "too short"),
    ):
        ask(page, file)
        expect(page.get_by_role("alert")).to_contain_text(sentence, timeout=60 * SECONDS)
    opposite = speak(180, seconds=3)
    ask(page, write_wav(tmp_path / "opposite.wav", np.stack([opposite, -opposite], axis=1)))
    expected = EmotionClassifier.from_pretrained(MODEL).logits([opposite])[0].argmax()
    assert read_answer(page)[0] == list(SCHEMES["core8"])[expected]
    visit.route(f"{host}models/**", lambda route: route.abort())
    page.reload()
    ask(page, write_wav(tmp_path / "fine.wav", opposite))
    expect(page.get_by_role("alert")).to_contain_text("cannot be loaded", timeout=60 * SECONDS)


@pytest.mark.serial
def test_without_a_local_library_the_page_takes_the_same_version_from_a_cdn(library, visit, host, speech):
    asked = []

    def answer(route: Route) -> None:
        name, version, path = re.fullmatch(
            r"https://cdn\.jsdelivr\.net/npm/((?:@\w+/)?[\w-]+)@([^/]+)(.*)", route.request.url
        ).groups()
        package = json.loads((MODULES / name / "package.json").read_text())
        asked.append((name, version == package["version"]))
        route.fulfill(
            path=MODULES / name / (path.lstrip("/") or package["jsdelivr"]),
            headers={"Access-Control-Allow-Origin": "*"},
        )

    visit.route("https://cdn.jsdelivr.net/**", answer)
    visit.route(f"{host}web/node_modules/**", lambda route: route.fulfill(status=404))
    page = visit.new_page()
    page.goto(f"{host}web/")
    ask(page, speech)
    assert read_answer(page)[0] in SCHEMES["core8"]
    assert set(asked) == {("@huggingface/transformers", True), ("onnxruntime-web", True)}


@pytest.mark.serial
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_on_the_page(library, browser, host, speech, theme, width):
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=theme)
    page.goto(f"{host}web/")
    expect(page.locator("#answer .welcome")).to_be_visible()
    check_accessibility(page, "first")
    ask(page, speech)
    read_answer(page)
    check_accessibility(page, "answer")
    if pictures := os.environ.get("PICTURES"):
        page.screenshot(path=f"{pictures}/web-{width}-{theme}.png", full_page=True)
    page.close()


@pytest.mark.serial
def test_the_app_serves_the_page_under_a_policy_that_lets_it_run(library, visit):
    with served(EXAMPLES_DATA="/none") as (address, _):
        visit.unroute_all()
        page = visit.new_page()
        page.goto(address)
        page.get_by_role("tab", name="About", exact=True).click()
        with visit.expect_page() as opened:
            page.locator("#screen-about a[href='web/']").click()
        ask(opened.value, visit.speech)
        assert read_answer(opened.value)[0] in SCHEMES["core8"]
        said = urllib.request.urlopen(f"{address}web/").headers["Content-Security-Policy"]
        assert "unsafe-eval' " not in said.replace("wasm-unsafe-eval", "")
        for private in ("web/../app.py", "models/../app.py", "web/%2e%2e/app.py"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{address}{private}")
