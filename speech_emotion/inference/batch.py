"""Classify many recordings: a row for each; one without an answer never stops the rest."""

import csv
import io
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from speech_emotion.audio.decoding import AudioError
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.reference import Reference

logger = logging.getLogger(__name__)

SUFFIXES = frozenset(
    (".3gp", ".aac", ".ac3", ".aif", ".aiff", ".alaw", ".amr", ".ape", ".asf", ".au", ".avi", ".caf", ".dts",
     ".eac3", ".flac", ".flv", ".g722", ".g726", ".gsm", ".m4a", ".mka", ".mkv", ".mov", ".mp2", ".mp3",
     ".mp4", ".mpeg", ".mpg", ".oga", ".ogg", ".ogv", ".opus", ".raw", ".sln", ".sph", ".spx", ".ts", ".tta",
     ".ulaw", ".voc", ".w64", ".wav", ".webm", ".wma", ".wv")
)  # fmt: skip


def printable(name: str) -> str:
    """Return a file's name with a mark in place of each character that no terminal should receive."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)


def is_recording(path: Path) -> bool:
    """Return whether a file is named like audio."""
    return path.suffix.lower() in SUFFIXES


def find_recordings(folder: Path) -> list[Path]:
    """Return the files named like audio in a folder and the folders inside it, sorted by name."""
    return sorted(path for path in folder.rglob("*") if is_recording(path) and path.is_file())


def classify_files(
    classifier: EmotionClassifier, files: Iterable[tuple[str, Path]], reference: Reference | None = None
) -> Iterator[dict[str, str | bool | float | None]]:
    """Classify recordings one after another.

    Args:
        classifier: answers them.
        files: name and path of each.
        reference: of the one speaker whose recordings they are, if anything.

    Yields:
        A flat row for each: `file`, its printable name; the prediction's own row; `mixed`; the number of
        `utterances`; `seconds` of speech; `damage`, a sentence on what could not be read of it; and `error`,
        the sentence that says why there is no prediction. What does not apply is None.
    """
    columns = ["emotion", "sure", "confidence", *classifier.labels]
    columns += ["mixed", "utterances", "seconds", "damage", "error"]
    nothing = dict.fromkeys(columns)
    for name, path in files:
        row = {"file": printable(name)} | nothing
        try:
            prediction = classifier.predict(path, reference=reference)
        except AudioError as error:
            yield row | {"error": str(error)}
        except Exception as error:  # one file never loses the others
            logger.debug("%s", row["file"], exc_info=True)
            yield row | {"error": str(AudioError.unexpected(error))}
        else:
            facts = {
                "mixed": prediction.mixed,
                "utterances": len(prediction.utterances),
                "seconds": round(prediction.seconds, 2),
                "damage": prediction.damage or None,
            }
            yield row | prediction.row() | facts


def to_csv(rows: list[dict]) -> str:
    """Return rows of one kind as CSV with a header; text that a spreadsheet would calculate is quoted."""
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
