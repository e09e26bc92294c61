"""The model folder through transformers' stock pipeline, scored by `evaluate`'s own evaluator."""

from pathlib import Path

import evaluate
import numpy as np
from datasets import Dataset

from speech_emotion.dataset import read_clip, readable
from speech_emotion.evaluation.metrics import EmotionMetric
from speech_emotion.evaluation.scores import score
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.models.loading import window_seconds

MOST_CLIPS = 800  # drawn from a larger test split


def measure_pipeline(folder: Path, rows: Dataset, classifier: EmotionClassifier) -> dict:
    """Score the folder with `evaluate`'s own evaluator through transformers' pipeline, as other projects do.

    The pipeline takes a clip whole, where `EmotionClassifier` finds its utterances and averages windows. So
    the network of the two is compared, on clips that fit into one window: there they agree but for rounding.

    Args:
        folder: the model folder.
        rows: clips of the test split.
        classifier: the same model.

    Returns:
        `max_seconds` and `clips`: which were scored and how many; `accuracy`, `uar`, `macro_f1` and
        `weighted_f1` of the evaluator; `classifier`: ours of the same clips.
    """
    seconds = window_seconds(classifier.model)
    rows = rows.select(np.flatnonzero(np.array(rows["duration"]) <= seconds))
    metric = EmotionMetric(keep_in_memory=True)
    labels = rows.features["emotion"].names
    clips = readable(rows.select_columns(["audio", "emotion"]))
    # The folder's name, not a pipeline: for anything else evaluate looks for transformers' TensorFlow
    # classes, which are gone.
    scores = evaluate.evaluator("audio-classification").compute(
        str(folder),
        clips,
        metric=metric,
        input_column="audio",
        label_column="emotion",
        label_mapping={label: index for index, label in enumerate(labels)},
    )
    logits = np.concatenate([classifier.logits([read_clip(row)]) for row in rows])
    own = score(logits.argmax(axis=1), np.array(rows["emotion"]))
    return {
        "max_seconds": seconds,
        "clips": len(rows),
        **{name: scores[name] for name in own},
        "classifier": own,
    }
