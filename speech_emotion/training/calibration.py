"""Calibration after training: held-out clips as the finished model would answer them, and its temperature."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import FeatureExtractionMixin, PreTrainedModel

from speech_emotion.evaluation.calibration import fit_temperature
from speech_emotion.evaluation.predict import Predictions, draw_rows, predict_rows
from speech_emotion.evaluation.scores import measure
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.machine import describe_machine
from speech_emotion.models.loading import last_linear
from speech_emotion.training.errors import ArgumentsError
from speech_emotion.training.feature_cache import AS_IT_LIES, VOICE, CachedDataset
from speech_emotion.training.fitting import FittedModel

MOST_BYTES = 75_000_000  # of a checkpoint in float32, and of each of its files
LEAST_NUMBERS = 2**16  # of a tensor that is stored in half precision

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


def predict_test(fitted: FittedModel, rows: Dataset, compute_views: bool) -> dict[str, np.ndarray]:
    """Predict test clips cut to the voice, as they are served, and as they lie, as a pipeline gets them.

    Args:
        fitted: a training on cached states.
        rows: the test split.
        compute_views: whether to compute what the cache lacks; else such clips are left out.

    Returns:
        `sha256`, `labels` (class indices), `voice` and `as_it_lies` (logits before any temperature, shape
        [clips, classes]) of the clips.
    """
    cache, views = fitted.inputs.cache, (VOICE, AS_IT_LIES)
    if compute_views:
        cache.add(rows, views)
    for view in views:
        rows = cache.select(rows, [view])
    logits = {view: fitted.trainer.predict_logits(CachedDataset(cache, rows, [view])) for view in views}
    return {"sha256": np.array(rows["sha256"][:]), "labels": np.array(rows["emotion"][:])} | logits


def read_held_out(file: Path) -> Predictions:
    """Read clips that trainings left out whole, as `speech_emotion.evaluation.elsewhere` wrote them.

    Raises:
        ArgumentsError: there are none in the file.
    """
    try:
        with np.load(file) as kept:
            return Predictions(kept[VOICE], kept["labels"], np.zeros(len(kept["labels"]), bool))
    except (OSError, KeyError, ValueError) as error:
        raise ArgumentsError(f"{file} has no clips of trainings that left corpora out.") from error


def read_thresholds(files: Sequence[Path], labels: Sequence[str]) -> dict[str, float] | None:
    """Return the highest threshold that the files state for each label; None where they state none."""
    found: dict[str, float] = {}
    for file in files:
        with np.load(file) as kept:
            found |= {
                label: max(float(kept[label]), found.get(label, 0.0)) for label in labels if label in kept
            }
    return found or None


def report_predictions(
    model: PreTrainedModel, predictions: dict[str, np.ndarray], rows: Dataset, training: dict
) -> dict:
    """Return what `save_summary` needs of a training that is only measured on its test clips."""
    places = {sha256: index for index, sha256 in enumerate(rows["sha256"][:])}
    labels = rows.features["emotion"].names
    measured = rows.select([places[sha256] for sha256 in predictions["sha256"].tolist()])
    return {
        "architecture": type(model).__name__,
        "parameters": model.num_parameters(),
        "labels": labels,
        **measure(predictions[VOICE], predictions["labels"], measured, labels),
        "as_it_lies": measure(predictions[AS_IT_LIES], predictions["labels"], measured, labels)["groups"],
        "training": training,
        "measured_on": describe_machine(),
    }


@torch.no_grad()
def save_calibrated(
    model: PreTrainedModel, extractor: FeatureExtractionMixin, temperature: float, folder: str
) -> None:
    """Save a model folder, the temperature folded into the last layer so that every loader is calibrated."""
    head = last_linear(model)
    head.weight /= temperature
    head.bias /= temperature
    model.save_pretrained(folder, state_dict=halve_weights(model.state_dict()), max_shard_size=MOST_BYTES)
    extractor.save_pretrained(folder)


def halve_weights(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a large checkpoint with its matrices in half precision; loaders make float32 of them again.

    Vectors stay as they are: those of a distilled front end leave the range of half precision.
    """
    if sum(each.nbytes for each in weights.values()) <= MOST_BYTES:
        return weights
    return {name: each.half() if each.numel() > LEAST_NUMBERS else each for name, each in weights.items()}
