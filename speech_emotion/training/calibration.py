"""Calibration after training: held-out clips as the finished model would answer them, and its temperature."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from sklearn.metrics import balanced_accuracy_score
from transformers import FeatureExtractionMixin, PreTrainedModel

from speech_emotion.evaluation.metrics import fit_temperature
from speech_emotion.evaluation.report import predict_rows
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.models.loading import last_linear, window_seconds
from speech_emotion.training.fitting import FittedModel


class HeldOut(NamedTuple):
    """Clips of speakers that a training did not hear.

    Attributes:
        logits: float32, shape [clips, classes].
        labels: class indices, shape [clips].
    """

    logits: np.ndarray
    labels: np.ndarray

    @property
    def uar(self) -> float:
        """Unweighted average recall, 0..1."""
        return float(balanced_accuracy_score(self.labels, self.logits.argmax(axis=1)))


def predict_held_out(fitted: FittedModel, rows: Dataset) -> HeldOut:
    """Predict the validation clips of a training as they will be served.

    A clip that fits into one window is served as it was validated. Of a longer one, validation hears the
    first window, and serving the mean over all windows.

    Args:
        fitted: the training. Every process calls this together.
        rows: its validation split.
    """
    logits = fitted.trainer.predict_logits(fitted.inputs.validation)
    long = np.flatnonzero(np.array(rows["duration"]) > window_seconds(fitted.model))
    if long.size:
        classifier = EmotionClassifier(fitted.model, fitted.extractor)
        with PartialState().split_between_processes(long.tolist()) as share:
            served = [predict_rows(classifier, rows.select(share), "long validation clips")]
        logits[long] = np.concatenate(gather_object(served))
    return HeldOut(logits, np.array(rows["emotion"]))


def pool(held_out: Sequence[HeldOut]) -> HeldOut:
    """Concatenate the held-out clips of several trainings."""
    return HeldOut(*(np.concatenate(parts) for parts in zip(*held_out, strict=True)))


def temperatures(held_out: Sequence[HeldOut]) -> tuple[float, list[float]]:
    """Return the temperature of all held-out clips, and those of each training's alone."""
    return fit_temperature(*pool(held_out)), [fit_temperature(*each) for each in held_out]


@torch.no_grad()
def save_calibrated(
    model: PreTrainedModel, extractor: FeatureExtractionMixin, temperature: float, folder: str
) -> None:
    """Save a model folder, the temperature folded into the last layer so that every loader is calibrated."""
    head = last_linear(model)
    head.weight /= temperature
    head.bias /= temperature
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
