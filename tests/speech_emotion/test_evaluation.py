"""The whole report of a model, on the miniature dataset."""

import json
import re

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from speech_emotion import EmotionClassifier
from speech_emotion.data import open_dataset
from speech_emotion.evaluation import evaluate_folder, measure, predict_rows
from speech_emotion.metrics import answer_rate, choose_threshold
from speech_emotion.models import new_classifier

TRAINING = {
    "command": "accelerate launch train.py --model cnn",
    "base": "cnn",
    "distillation": None,
    "data": "8 clips of 2 speakers (ravdess)",
    "speakers": ["ravdess-03", "ravdess-06"],
    "seed": 1,
    "temperature": 2.0,
}


@pytest.fixture(scope="module")
def dataset(small_dataset):
    return open_dataset(str(small_dataset))


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory):
    """An untrained CNN of all eight classes."""
    folder = tmp_path_factory.mktemp("models") / "measured"
    labels = dataset["test"].features["emotion"].names
    model, extractor, _ = new_classifier("cnn", labels, {"widths": [8, 8]})
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def report(folder, dataset):
    return evaluate_folder(folder, dataset, TRAINING)


@pytest.fixture(scope="module")
def card(report, folder):
    return (folder / "README.md").read_text()


def test_the_report_on_disk_is_what_was_returned(report, folder):
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["split"] == "test"
    assert report["clips"] == len(report["speakers"]) * 0 + sum(map(sum, report["confusion_matrix"]))
