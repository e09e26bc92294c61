import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, speak, write_wav
from hub import TOKEN

from speech_emotion import EmotionClassifier
from speech_emotion.hub import PublishError, publish_folder

LOAD = """
import sys
from transformers import pipeline
from speech_emotion import EmotionClassifier, load_audio

classifier, clip = EmotionClassifier.from_pretrained("you/cnn"), load_audio(sys.argv[1])
[whole] = classifier.classify_segments([clip])  # the pipeline, too, takes the clip as it lies
answers = {each["label"]: each["score"] for each in pipeline("audio-classification", model="you/cnn")(clip)}
assert max(abs(answers[label] - share) for label, share in zip(classifier.labels, whole)) < 1e-5
print(classifier.predict(sys.argv[1]).probabilities["happy"])
"""


@pytest.mark.slow
def test_a_published_model_is_loaded_by_its_id(hub, cnn_folder, tmp_path, monkeypatch):
    hub.adopt(monkeypatch)
    assert publish_folder(cnn_folder, "you/cnn") == f"{hub.url}/you/cnn"
    published = hub.repositories["models/you/cnn"]
    assert published.files == {path.name: path.read_bytes() for path in cnn_folder.iterdir()}
    clip = write_wav(tmp_path / "clip.wav", speak())
    environment = os.environ | hub.environment(tmp_path / "home", token="")
    command = [sys.executable, "-c", LOAD, str(clip)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    expected = EmotionClassifier.from_pretrained(cnn_folder).predict(clip).probabilities["happy"]
    assert float(result.stdout) == pytest.approx(expected, abs=1e-4)


LOAD_ALONE = """
from speech_emotion import EmotionClassifier

print(EmotionClassifier.from_pretrained("you/cnn").model.name_or_path)
"""


def load(environment: dict[str, str]) -> Path:
    """Load the published model in a process of its own, and give the folder that it was read from."""
    command = [sys.executable, "-c", LOAD_ALONE]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=120)
    assert result.returncode == 0, result.stderr[-3000:]
    return Path(result.stdout.strip())


@pytest.mark.slow
def test_the_files_loaded_are_of_the_commit_that_was_checked(hub, cnn_folder, tmp_path, monkeypatch):
    hub.adopt(monkeypatch)
    publish_folder(cnn_folder, "you/cnn")
    repository = hub.repositories["models/you/cnn"]
    honest, commit, answer, asked = dict(repository.files), repository.sha, hub.answer, []

    def change_after_the_first(request):
        asked.append(request.path)
        answer(request)
        if "/resolve/" in request.path and request.command == "GET":
            repository.files = dict.fromkeys(honest, b"{}")

    monkeypatch.setattr(hub, "answer", change_after_the_first)
    folder = load(os.environ | hub.environment(tmp_path / "home", token=""))
    assert folder.name == commit
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == honest
    assert {path for path in asked if "/resolve/main/" in path} == {"/you/cnn/resolve/main/config.json"}
    assert repository.files != honest


@pytest.mark.slow
@pytest.mark.parametrize("how", ["not there", "silent", "offline"])
def test_a_model_that_was_loaded_before_is_loaded_without_the_hub(
    how, hub, cnn_folder, tmp_path, monkeypatch
):
    hub.adopt(monkeypatch)
    publish_folder(cnn_folder, "you/cnn")
    environment = os.environ | hub.environment(tmp_path / "home", token="")
    folder = load(environment)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections and says nothing
        port = silent.getsockname()[1] if how == "silent" else 9
        environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{port}"} if how != "offline" else {}
        environment |= {"HF_HUB_OFFLINE": "1"} if how == "offline" else {}
        assert load(environment) == folder


def test_publishing_again_replaces_the_earlier_version(hub, tmp_path, monkeypatch):
    hub.adopt(monkeypatch)
    for number in ("one", "two"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "README.md").write_text(number)
        (tmp_path / number / f"{number}.safetensors").write_bytes(number.encode())
        publish_folder(tmp_path / number, "you/model")
    assert hub.repositories["models/you/model"].files == {"README.md": b"two", "two.safetensors": b"two"}


@pytest.mark.parametrize(
    ("token", "url", "name", "sentence"),
    [
        (
            "hf_forgotten",
            None,
            "you/cnn",
            r"who publishes you/cnn: log in with hf auth login, or set HF_TOKEN\.",
        ),
        (TOKEN, "http://127.0.0.1:9", "you/cnn", r"there is no way to http://127\.0\.0\.1:9"),
        (TOKEN, None, "you/cnn/3", r"'you/cnn/3' is no name for the hub"),
        (TOKEN, None, "them/cnn", r"The hub does not take them/cnn: .*rights"),
    ],
    ids=["unknown", "unreachable", "name", "forbidden"],
)
def test_a_refusal_to_publish_is_a_sentence(token, url, name, sentence, hub, cnn_folder, monkeypatch):
    hub.url = url or hub.url
    hub.adopt(monkeypatch, token)
    with pytest.raises(PublishError, match=sentence):
        publish_folder(cnn_folder, name)


def test_a_process_killed_while_publishing_leaves_the_earlier_version(hub, cnn_folder, tmp_path, monkeypatch):
    hub.adopt(monkeypatch)
    publish_folder(cnn_folder, "you/cnn")
    before = dict(hub.repositories["models/you/cnn"].files)
    (tmp_path / "new").mkdir()
    for file in cnn_folder.iterdir():
        (tmp_path / "new" / file.name).write_bytes(file.read_bytes() + b" ")
    after = {file.name: file.read_bytes() for file in (tmp_path / "new").iterdir()}
    answer = hub.answer

    def die(request):
        if "/commit/" in request.path:
            raise ConnectionAbortedError  # nobody hears the end of it
        answer(request)

    monkeypatch.setattr(hub, "answer", die)
    monkeypatch.setattr(hub.server, "handle_error", lambda *_: None)
    with pytest.raises(PublishError, match="is not published"):
        publish_folder(tmp_path / "new", "you/cnn")
    assert hub.repositories["models/you/cnn"].files == before
    monkeypatch.setattr(hub, "answer", answer)
    publish_folder(tmp_path / "new", "you/cnn")
    assert hub.repositories["models/you/cnn"].files == after
