"""Calibration after training: held-out clips as the finished model would answer them, and its temperature."""

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import FeatureExtractionMixin, PreTrainedModel

from speech_emotion.evaluation.calibration import fit_temperature
from speech_emotion.evaluation.predict import Predictions, draw_rows, predict_rows
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.models.loading import last_linear
from speech_emotion.training.fitting import FittedModel

MOST_CLIPS = 1000  # of one training: enough for a temperature and a threshold


def predict_held_out(fitted: FittedModel, rows: Dataset) -> Predictions:
    """Predict validation clips of a training as they will be served: utterances found, windows averaged.

    Args:
        fitted: the training. Every process calls this together and predicts a share.
        rows: its validation split; of a large one a draw is predicted.
    """
    rows = rows.select(draw_rows(rows, MOST_CLIPS))
    classifier = EmotionClassifier(fitted.model, fitted.extractor)
    with PartialState().split_between_processes(list(range(len(rows)))) as share:
        predicted = [predict_rows(classifier, rows.select(share), "held-out clips")]
    return pool(gather_object(predicted))


def pool(predictions: Sequence[Predictions]) -> Predictions:
    """Concatenate predictions."""
    return Predictions(*(np.concatenate(parts) for parts in zip(*predictions, strict=True)))


def temperatures(held_out: Sequence[Predictions]) -> tuple[float, list[float]]:
    """Return the temperature of all held-out clips, and those of each training's alone."""
    pooled = pool(held_out)
    each = [fit_temperature(own.logits, own.labels) for own in held_out]
    return fit_temperature(pooled.logits, pooled.labels), each


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
