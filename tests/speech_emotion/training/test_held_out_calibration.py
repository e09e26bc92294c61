"""The temperature is fitted on what is served."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import pause, speak
from datasets import Dataset

from data_prep.checks import pack
from speech_emotion.audio.decoding import to_pcm
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.models.loading import load_classifier, new_classifier
from speech_emotion.training import calibration
from speech_emotion.training.calibration import pool, predict_held_out, save_calibrated, temperatures


@pytest.fixture
def fitted():
    """A training that has run: an untrained CNN whose answers differ from clip to clip."""
    torch.manual_seed(0)
    model, extractor, _ = new_classifier("cnn", ["happy", "neutral", "sad"], {"widths": [8, 8]})
    torch.nn.init.normal_(model.classifier.weight)
    return SimpleNamespace(model=model.eval(), extractor=extractor)


@pytest.fixture
def rows() -> Dataset:
    """A clip of 9 s, which is longer than a window, and one with silence around the voice."""
    clips = [speak(seconds=9.0), np.concatenate([pause(1.5), speak(210, seconds=2.0, seed=1), pause(1.5)])]
    stored = [pack(to_pcm(clip)) for clip in clips]
    audio = [{"bytes": each.flac, "path": None} for each in stored]
    return Dataset.from_dict({"audio": audio, "emotion": [0, 2], "sha256": [each.sha256 for each in stored]})


def test_held_out_clips_are_predicted_as_they_are_served(fitted, rows):
    predictions = predict_held_out(fitted, rows)
    assert predictions.labels.tolist() == [0, 2]
    classifier = EmotionClassifier(fitted.model, fitted.extractor)
    for row, logits in zip(rows, predictions.logits, strict=True):
        served = classifier.predict(row["audio"]["bytes"]).probabilities
        np.testing.assert_allclose(np.exp(logits), list(served.values()), rtol=1e-3)
    first_window = classifier.logits([speak(seconds=9.0)[:80_000]])[0]
    shift = predictions.logits[0] - first_window
    assert np.ptp(shift) > 1e-2  # not those of the first five seconds, which differ by no constant alone


def test_a_random_draw_of_a_large_split_is_predicted(fitted, rows, monkeypatch):
    monkeypatch.setattr(calibration, "MOST_CLIPS", 1)
    assert len(predict_held_out(fitted, rows).labels) == 1


def test_the_saved_model_serves_calibrated_probabilities(fitted, rows, tmp_path):
    held_out = [predict_held_out(fitted, rows)]
    temperature, each = temperatures([*held_out, *held_out])
    assert each == [pytest.approx(temperature, rel=1e-3)] * 2
    save_calibrated(fitted.model, fitted.extractor, temperature, tmp_path)
    after = predict_held_out(
        SimpleNamespace(model=load_classifier(tmp_path)[0], extractor=fitted.extractor), rows
    )
    clip = after.logits[1] - after.logits[1].mean()  # of one utterance, so its logits are divided exactly
    before = held_out[0].logits[1] - held_out[0].logits[1].mean()
    np.testing.assert_allclose(clip, before / temperature, rtol=1e-2, atol=1e-3)
    assert len(pool([after, after]).labels) == 4
