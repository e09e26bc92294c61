"""Predictions for rows of the dataset, as they would be served."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset
from sklearn.metrics import balanced_accuracy_score
from tqdm import tqdm

from speech_emotion.audio.decoding import AudioError
from speech_emotion.dataset import read_clip
from speech_emotion.inference.classifier import EmotionClassifier

HELD_OUT = "validation.npz"  # in a refitted model's folder, see `predict_validation`
PREDICTIONS = "predictions.npz"  # in the folder of a model that was trained with --validate false
SEED = 0  # of everything random in a report
LEAST_PROBABILITY = 1e-30  # so that every probability has a logarithm


class Predictions(NamedTuple):
    """A classifier's predictions for clips.

    Attributes:
        logits: logarithms of the probabilities served, float32, shape [clips, classes].
        labels: true class indices, shape [clips].
        refused: True where serving finds no speech and gives no answer, shape [clips]. The logits are then
            those of the whole clip.
    """

    logits: np.ndarray
    labels: np.ndarray
    refused: np.ndarray

    @property
    def uar(self) -> float:
        """Unweighted average recall, 0..1."""
        return float(balanced_accuracy_score(self.labels, self.logits.argmax(axis=1)))


def draw_rows(rows: Dataset, most: int) -> np.ndarray:
    """Draw the numbers of rows at random, in their order; all where there are no more than this."""
    return np.sort(np.random.default_rng(SEED).permutation(len(rows))[:most])


def predict_rows(
    classifier: EmotionClassifier,
    rows: Dataset,
    name: str = "test",
    change: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> Predictions:
    """Predict every row as `EmotionClassifier.predict` serves it.

    Args:
        classifier: the model.
        rows: a split of the dataset.
        name: shown with the progress bar.
        change: changes a clip first, given its samples and the number of its row.
    """
    logits = np.empty((len(rows), len(classifier.labels)), np.float32)
    refused = np.zeros(len(rows), bool)
    for index, row in enumerate(tqdm(rows, desc=name, unit="clip")):
        clip = read_clip(row)
        if change:
            clip = change(clip, index)
        try:
            probabilities = classifier.predict(clip).probabilities
            shares = np.array([probabilities[label] for label in classifier.labels])
            logits[index] = np.log(np.maximum(shares, LEAST_PROBABILITY))
        except AudioError:
            refused[index] = True
            logits[index] = classifier.logits([clip])[0]
    return Predictions(logits, np.array(rows["emotion"], int), refused)


def predict_validation(folder: Path, classifier: EmotionClassifier, rows: Dataset) -> Predictions:
    """Predict clips of speakers that the model was not trained on, to choose its threshold by.

    Args:
        folder: the model's. A refitted model was trained on the validation speakers in the end; its folder
            keeps the predictions of the trainings that held speakers out, divided by the same temperature.
        classifier: the model.
        rows: the validation split, for a model that was not refitted.
    """
    if (folder / HELD_OUT).exists():
        with np.load(folder / HELD_OUT) as kept:
            return Predictions(kept["logits"], kept["labels"], np.zeros(len(kept["labels"]), bool))
    return predict_rows(classifier, rows, "validation")
