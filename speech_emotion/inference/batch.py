"""Many recordings at once: a row for each, and one that cannot be judged never stops the rest."""

import csv
import io
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from speech_emotion.audio.decoding import AudioError
from speech_emotion.inference.classifier import EmotionClassifier

logger = logging.getLogger(__name__)

SUFFIXES = frozenset(
    (".aac", ".aif", ".aiff", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mov", ".mp3", ".mp4", ".oga", ".ogg",
     ".opus", ".wav", ".webm", ".wma")
)  # fmt: skip


def printable(name: str) -> str:
    """Put a mark in place of every character of a file's name that no terminal should be sent."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)


def is_recording(path: Path) -> bool:
    """Say whether a file is named like audio."""
    return path.suffix.lower() in SUFFIXES


def find_recordings(folder: Path) -> list[Path]:
    """List what is named like audio in a folder and those inside it, in the order of the names."""
    return sorted(path for path in folder.rglob("*") if is_recording(path) and path.is_file())


def classify_files(
    classifier: EmotionClassifier, files: Iterable[tuple[str, Path]]
) -> Iterator[dict[str, str | bool | float | None]]:
    """Classify recordings of up to a minute, one after another.

    Args:
        classifier: who judges.
        files: name and path of each.

    Yields:
        A flat row for each: `file`, its printable name, the prediction's own row, `seconds` of sound, and
        `error`, the sentence that says why there is no prediction; what does not apply is None.
    """
    nothing = dict.fromkeys(["emotion", "sure", "confidence", *classifier.labels, "seconds", "error"])
    for name, path in files:
        row = {"file": printable(name)} | nothing
        try:
            prediction = classifier.predict(path)
        except AudioError as error:
            yield row | {"error": str(error)}
        except Exception as error:  # one file never loses the others
            logger.debug("%s", row["file"], exc_info=True)
            yield row | {"error": str(AudioError.unexpected(error))}
        else:
            yield row | prediction.row() | {"seconds": round(prediction.seconds, 2)}


def to_csv(rows: list[dict]) -> str:
    """Write rows of one kind as CSV with a header; a name that a spreadsheet would calculate is quoted."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [])
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    return out.getvalue()


def _harmless(value):
    return (
        f"'{value}"
        if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        else value
    )
