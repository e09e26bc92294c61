"""The models that the app offers: it serves those it can load, names the others, and tries them again."""

import os
import subprocess
import sys
import threading

import pytest
from conftest import ROOT

from speech_emotion.hub import publish_folder

pytestmark = pytest.mark.slow

SCRIPT = """
import sys, time
from speech_emotion.ui import registry
from speech_emotion import ModelError

registry.AGAIN_SECONDS = 0.5
for name in registry.SHIPPED:  # which takes its time, more on a busy machine
    registry.classifier(name)
start = time.monotonic()
registry.load_all()
print(round(time.monotonic() - start), registry.serving(), registry.missing(), sep="|", flush=True)
try:
    registry.classifier("you/cnn")
except ModelError as error:
    print(error, flush=True)
while "wait" in sys.argv and "still being loaded" in registry.missing()[0]:
    time.sleep(0.1)
print(registry.missing(), flush=True)
while "you/cnn" not in registry.serving() and time.monotonic() < start + 60:
    time.sleep(0.1)
print(registry.serving(), registry.missing(), registry.classifier("you/cnn").labels, sep="|", flush=True)
"""


@pytest.mark.parametrize("slow", [False, True], ids=["not there", "slow"])
def test_a_model_that_arrives_late_is_named_as_missing_and_then_served(
    slow, hub, cnn_folder, tmp_path, monkeypatch
):
    hub.adopt(monkeypatch)
    answer, awake = hub.answer, threading.Event()
    if slow:
        publish_folder(cnn_folder, "you/cnn")
        monkeypatch.setattr(hub, "answer", lambda request: awake.wait(60) and answer(request))
    environment = os.environ | hub.environment(tmp_path / "home", token="") | {"MODEL_ID": "you/cnn"}
    command = [sys.executable, "-c", SCRIPT, "" if slow else "wait"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE) as process:
        waited, serving, missing = process.stdout.readline().strip().split("|")
        said, tried = process.stdout.readline(), process.stdout.readline()
        awake.set()
        if not slow:
            publish_folder(cnn_folder, "you/cnn")
        served = process.stdout.readline().strip()
    assert int(waited) <= 2
    assert serving == "['wav2vec2', 'cnn']"
    reason = "is still being loaded." if slow else "cannot be loaded: you/cnn is not "
    assert "The model 'you/cnn' " in missing
    assert said.startswith("The model 'you/cnn' ")
    assert f"The model 'you/cnn' {reason}" in tried
    assert served == "['you/cnn', 'wav2vec2', 'cnn']|[]|['happy', 'sad']"
    assert process.returncode == 0


def test_without_the_hub_the_shipped_models_are_served(tmp_path):
    script = SCRIPT.partition("while")[0]
    settings = {"MODEL_ID": "you/cnn", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | settings, capture_output=True, text=True
    )
    assert "|['wav2vec2', 'cnn']|" in result.stdout, result.stderr
    assert "The model 'you/cnn' " in result.stdout
