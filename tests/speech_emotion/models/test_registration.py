import subprocess
import sys

import pytest
from conftest import ROOT

import speech_emotion

CODE = """
import sys, numpy
import speech_emotion
assert "torch" not in sys.modules and "transformers" not in sys.modules
{register}
from transformers import pipeline
answers = pipeline("audio-classification", model=sys.argv[1])(numpy.zeros(16_000, "float32"), top_k=None)
print(sorted(answer["label"] for answer in answers))
"""


def run(folder, register: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", CODE.format(register=register), folder]
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)


def test_a_fresh_process_opens_a_cnn_in_a_pipeline_after_registering(cnn_folder):
    done = run(cnn_folder, "speech_emotion.register(); speech_emotion.register()")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['happy', 'sad']"


def test_without_registering_transformers_does_not_know_the_architecture(cnn_folder):
    done = run(cnn_folder, "")
    assert done.returncode == 1
    assert "spectrogram-cnn" in done.stderr


def test_our_own_loader_registers(cnn_folder):
    code = (
        "import sys; from speech_emotion.models.loading import load_classifier\n"
        "print(type(load_classifier(sys.argv[1])[0]).__name__)"
    )
    command = [sys.executable, "-c", code, str(cnn_folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "SpectrogramCNN"


def test_the_package_offers_register():
    assert "register" in speech_emotion.__all__
    with pytest.raises(AttributeError):
        speech_emotion.registre  # noqa: B018
