"""Answers as columns of a Hugging Face dataset."""

import os
from dataclasses import dataclass
from pathlib import Path

from datasets import Audio, Dataset, Features, IterableDataset, List, Value

from speech_emotion.audio.decoding import AudioError, File, NamedBytes
from speech_emotion.inference.archive.answers import answer_channel, answer_columns, attempt, load, locate
from speech_emotion.inference.archive.inputs import Source


@dataclass(frozen=True)
class Annotator:
    """The function that `Dataset.map` applies to each row; it can be sent to another process.

    Attributes:
        model: folder or hub id.
        column: with the recordings.
        place: of the files that rows name by a relative path.
    """

    model: str
    column: str
    place: Source

    def __call__(self, row: dict) -> dict:
        """Return the new columns of a row."""
        classifier = load(self.model, None, os.getpid())
        timeline = attempt(answer_channel, classifier, self._read(row[self.column]))
        nothing = dict.fromkeys(make_features(classifier.labels))
        if isinstance(timeline, AudioError):
            return nothing | {"prediction_error": str(timeline)}
        prediction = timeline.prediction(classifier)
        utterances = [locate(each) for each in prediction.utterances]
        answer = {**answer_columns(prediction), "mixed": prediction.mixed, "utterances": utterances}
        return nothing | {f"predicted_{name}": value for name, value in answer.items()}

    def _read(self, value: dict | str | bytes | None) -> File | AudioError:
        if isinstance(value, dict):  # of a column of the type Audio, left encoded
            content, path = value["bytes"], value["path"]
            value = path if content is None else NamedBytes(content, path or "")
        if value is None:
            return AudioError("There is no recording in this row.")
        try:
            return value if isinstance(value, bytes | NamedBytes) else self.place.read(value)
        except AudioError as error:
            return error


def annotate(
    dataset: Dataset | IterableDataset, model: str, column: str = "audio", processes: int | None = None
) -> Dataset | IterableDataset:
    """Add a classifier's answers to a dataset of recordings, through its own `map`.

    >>> rows = load_dataset("audiofolder", data_dir="calls", split="train", streaming=True)  # doctest: +SKIP
    >>> next(iter(annotate(rows, "models/wav2vec2")))["predicted_emotion"]  # doctest: +SKIP
    'happy'

    Args:
        dataset: one split, streamed or not.
        model: folder or hub id.
        column: the recordings: of the type `Audio`, or with paths, addresses or contents of files.
        processes: how many work at once; for a dataset that is not streamed.

    Returns:
        The dataset with `predicted_emotion`, `predicted_confidence`, `predicted_sure`, `predicted_mixed`,
        `predicted_probabilities`, `predicted_utterances` and `prediction_error`, a sentence where there is no
        answer. `docs/archive.md` describes them.

    Raises:
        ModelError: the model cannot be used.
        ValueError: there is no such column.
    """
    labels = load(model, None, os.getpid()).labels
    annotator = Annotator(str(model), column, Source(str(Path.cwd())))
    if dataset.features is None:  # a stream that does not know its columns before its first row
        return dataset.map(annotator)
    if column not in dataset.features:
        raise ValueError(f"The dataset has no column {column!r}; it has {', '.join(dataset.features)}.")
    sound = dataset.features[column]
    if isinstance(sound, Audio):  # datasets would need torchcodec and FFmpeg to decode it
        dataset = dataset.cast_column(column, Audio(decode=False))
    features = Features({**dataset.features, **make_features(labels)})
    options = {"num_proc": processes} if isinstance(dataset, Dataset) else {}
    annotated = dataset.map(annotator, features=features, **options)
    return annotated.cast_column(column, sound) if isinstance(sound, Audio) else annotated


def make_features(labels: list[str]) -> Features:
    """Return the types of the new columns, for a model's labels."""
    answer = {
        "emotion": Value("string"),
        "confidence": Value("float32"),
        "sure": Value("bool"),
        "probabilities": {label: Value("float32") for label in labels},
    }
    utterance = {"start": Value("float64"), "end": Value("float64"), **answer}
    columns = {**answer, "mixed": Value("bool"), "utterances": List(utterance)}
    return Features(
        {f"predicted_{name}": kind for name, kind in columns.items()} | {"prediction_error": Value("string")}
    )
