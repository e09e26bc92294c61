"""The tables of an archive: their columns, and the rows that one recording adds to them."""

import os
from dataclasses import dataclass, field

import pyarrow as pa

RECORDINGS, UTTERANCES, FAILED = TABLES = ("recordings", "utterances", "failed")

COLUMNS = {
    RECORDINGS: {
        "recording": "its path below the input, or its line in the list",
        "channel": "`left` or `right` in a stereo call with a person on each; empty in any other recording",
        "seconds": "length of the recording",
        "speech_seconds": "length of its utterances in all",
        "utterances": "number of utterances",
        "emotion": "the most probable class",
        "confidence": "its probability, 0 to 1",
        "sure": "whether the confidence reaches the model's threshold and the answer is not mixed",
        "mixed": "whether the utterances differ and no emotion leads",
        "probabilities": "of every class, 0 to 1; they sum to 1",
        "engine": "what computed the answer",
    },
    UTTERANCES: {
        "recording": "as above",
        "channel": "as above",
        "utterance": "its number in the recording, from 1",
        "start": "in seconds from the recording's beginning",
        "end": "likewise",
        "emotion": "as above, of this utterance",
        "confidence": "likewise",
        "sure": "likewise",
        "probabilities": "likewise",
    },
    FAILED: {
        "recording": "as above",
        "reason": "a sentence that says why there is no answer",
        "try_again": "whether the storage, not the recording, was the reason: the next run tries again",
    },
}


@dataclass
class Rows:
    """The rows that one recording adds to the tables.

    Attributes:
        recordings: a row; in a stereo call, a row for each channel.
        utterances: a row for each utterance, by their start, then by channel.
        failed: a row if there is no answer.
        seconds: of sound that was classified.
    """

    recordings: list[dict] = field(default_factory=list)
    utterances: list[dict] = field(default_factory=list)
    failed: list[dict] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def failure(cls, name: str, reason: str, try_again: bool = False) -> "Rows":
        """Return the row for a recording without an answer; its columns are described in `COLUMNS`."""
        return cls(failed=[{"recording": readable(name), "reason": reason, "try_again": try_again}])


def readable(name: str) -> str:
    """Return a name as Parquet can store it, in UTF-8; a byte that is none is replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def schemas(labels: list[str]) -> dict[str, pa.Schema]:
    """Return the Arrow schema of each table, for a model's labels in their order."""
    kinds = {
        "seconds": pa.float64(), "speech_seconds": pa.float64(),
        "utterances": pa.int32(), "utterance": pa.int32(), "start": pa.float64(), "end": pa.float64(),
        "confidence": pa.float32(), "sure": pa.bool_(), "mixed": pa.bool_(), "try_again": pa.bool_(),
        "probabilities": pa.struct([(label, pa.float32()) for label in labels]),
    }  # fmt: skip
    return {
        table: pa.schema(
            [
                pa.field(name, kinds.get(name, pa.string()), metadata={"description": text})
                for name, text in columns.items()
            ]
        )
        for table, columns in COLUMNS.items()
    }
