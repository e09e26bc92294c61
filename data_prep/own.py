"""Recordings of your own: a table, folders named after emotions, or any dataset with audio and labels.

A table is CSV or JSON Lines (`.jsonl`), one recording a row, paths from the table's folder:

    path,emotion,speaker,gender
    clips/0001.wav,angry,anna,female

`path` and `emotion` must be there; `speaker` and the other facts of a `Clip` may. In a folder, the name
`angry/0001.wav` says the emotion and nothing else. An emotion is a word of the label policy
(`speech_emotion/labels.py`). The name of the table, folder or dataset becomes the name of the corpus.

Where no speakers are named, nobody can tell whether two clips are of one person. All of them count as one
unknown person's, so the default split puts them whole into training.
"""

import csv
import json
from dataclasses import fields
from pathlib import Path

from datasets import Audio, ClassLabel, Features, load_dataset
from datasets.exceptions import DatasetGenerationError

from data_prep.corpora import CORPORA
from data_prep.schema import EXTENSIONS, Clip, Rejected
from speech_emotion.labels import POLICY

# A label counts as the first word that becomes it: a table may say bored as well as boredom.
WORDS = {rule.extended: rule.word for rule in reversed(POLICY.values())} | {word: word for word in POLICY}
FACTS = {field.name for field in fields(Clip)} - {"path", "id", "corpus", "speaker", "source_emotion"}
NUMBERS = {"age": lambda text: int(float(text)), "agreement": float}
GENDERS = {"f": "female", "m": "male"}
UNKNOWN = "unknown"  # the speaker of all clips where none are named


def corpus_name(source: Path) -> str:
    """Name the corpus after a table or folder.

    Raises:
        ValueError: the name is that of one of the six corpora, whose folds and rules would apply.
    """
    name = (source.stem if source.is_file() else source.resolve().name).lower()
    if name in CORPORA:
        raise ValueError(f"{source} cannot be called {name}, the name of a published corpus: rename it.")
    return name


def read_source(source: Path) -> list[tuple[Path, dict[str, str]]]:
    """List the recordings of a table or of folders named after emotions.

    Args:
        source: a `.csv` or `.jsonl` file, or a folder.

    Returns:
        For each recording its path and the columns of its row, lower-case names and stripped text.

    Raises:
        ValueError: no such file, no table in it, or a table without `path` or `emotion`.
    """
    if source.is_dir():
        files = (path for path in source.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
        return [(path, {"emotion": path.parent.name}) for path in sorted(files)]
    if not source.is_file():
        raise ValueError(f"There is no table or folder {source}.")
    rows = [
        {
            str(name).strip().lower(): "" if value is None else str(value).strip()
            for name, value in row.items()
        }
        for row in _read_table(source)
    ]
    columns = dict.fromkeys(name for row in rows for name in row)
    if missing := [name for name in ("path", "emotion") if name not in columns]:
        raise ValueError(f"{source} has no column {' and no '.join(missing)}, only {', '.join(columns)}.")
    return [(source.parent / row["path"], dict.fromkeys(columns, "") | row) for row in rows]


def describe(path: Path, row: dict[str, str], corpus: str, number: int) -> Clip:
    """Read the facts of one recording from its row.

    Args:
        path: the recording.
        row: its columns.
        corpus: the name of its corpus.
        number: of its row, which makes its id unique.

    Raises:
        Rejected: an emotion that is no word of the label policy, no speaker where others have one, or a fact
            that should be a number and is not.
    """
    word = row["emotion"].lower().replace("_", " ")
    if word not in WORDS:
        raise Rejected(f"the label policy has no word {row['emotion']!r}")
    speaker = row.get("speaker", UNKNOWN)
    if not speaker:
        raise Rejected("its row names no speaker, while others do")
    facts = {name: row[name] for name in FACTS if row.get(name)}
    for name, number_of in NUMBERS.items():
        try:
            facts |= {name: number_of(facts[name])} if name in facts else {}
        except ValueError as error:
            raise Rejected(f"its {name} {facts[name]!r} is not a number") from error
    if gender := facts.get("gender", "").lower():
        facts["gender"] = GENDERS.get(gender, gender)
    return Clip(
        path=path,
        id=f"{corpus}-{number}-{path.stem}",
        corpus=corpus,
        speaker=f"{corpus}-{speaker}",
        source_emotion=WORDS[word],
        **facts,
    )


def export_dataset(
    name: str,
    folder: Path,
    audio_column: str | None = None,
    label_column: str | None = None,
    speaker_column: str | None = None,
) -> Path:
    """Write the recordings of a dataset of the hub, all splits together, and a table of them.

    Args:
        name: hub id, or a local folder that `datasets.load_dataset` opens.
        folder: where to write.
        audio_column: by default the column of audio.
        label_column: by default `emotion` or `label`.
        speaker_column: by default `speaker`, where there is one.

    Returns:
        The table, as `read_source` reads it.

    Raises:
        ValueError: no such dataset or column, or no way to the hub.
    """
    try:
        splits = load_dataset(name)
    except (OSError, ValueError, RuntimeError, DatasetGenerationError) as error:
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) else error
        reason = next(iter(str(cause).splitlines()), type(cause).__name__)
        raise ValueError(f"The dataset {name!r} cannot be opened: {reason}") from error
    asked = {"path": audio_column, "emotion": label_column, "speaker": speaker_column}
    columns = _choose_columns(name, next(iter(splits.values())).features, asked)
    recordings = folder / Path(name).name
    recordings.mkdir(parents=True)
    table = recordings.with_name(f"{recordings.name}.jsonl")
    with table.open("w") as file:
        for split, rows in splits.items():
            encoded = rows.select_columns(list(columns.values()))
            encoded = encoded.cast_column(columns["path"], Audio(decode=False))
            for index, row in enumerate(encoded):
                facts = {
                    fact: _text(rows.features[column], row[column])
                    for fact, column in columns.items()
                    if fact != "path"
                }
                path = _write_audio(row[columns["path"]], recordings / f"{split}-{index}")
                file.write(json.dumps({"path": str(path.relative_to(folder))} | facts) + "\n")
    return table


def _read_table(source: Path) -> list[dict]:
    with source.open(newline="", encoding="utf-8-sig") as file:
        try:
            if source.suffix.lower() == ".csv":
                return [{k: v for k, v in row.items() if k is not None} for row in csv.DictReader(file)]
            if source.suffix.lower() == ".jsonl":
                return [dict(json.loads(line)) for line in file if line.strip()]
        except (csv.Error, TypeError, ValueError) as error:
            raise ValueError(f"{source} is not a table that can be read: {error}") from error
    raise ValueError(f"{source} is neither a .csv nor a .jsonl table.")


def _choose_columns(name: str, features: Features, asked: dict[str, str | None]) -> dict[str, str]:
    """Say which column holds what: the audio as `path`, `emotion`, and the facts whose names are known."""
    audio = [column for column, feature in features.items() if isinstance(feature, Audio)]
    guesses = {"path": audio, "emotion": ["emotion", "label"], "speaker": ["speaker"]}
    columns = {fact: fact for fact in FACTS if fact in features}
    for fact, guessed in guesses.items():
        wanted = [asked[fact]] if asked[fact] else guessed
        found = [column for column in wanted if column in features]
        if found:
            columns[fact] = found[0]
        elif asked[fact] or fact != "speaker":
            what = asked[fact] or {"path": "of audio", "emotion": "emotion or label"}[fact]
            raise ValueError(f"The dataset {name!r} has no column {what}, only {', '.join(features)}.")
    return columns


def _text(feature, value) -> str:
    if value is None or (isinstance(feature, ClassLabel) and value < 0):  # -1: not labelled
        return ""
    return feature.int2str(value) if isinstance(feature, ClassLabel) else str(value)


def _write_audio(audio: dict | None, path: Path) -> Path:
    """Write a recording as it is encoded; nothing where it is missing, which its decoding then says."""
    audio = audio or {"bytes": None, "path": None}
    source = Path(audio["path"] or path.name)
    path = path.with_name(path.name + source.suffix)
    if audio["bytes"] is not None:
        path.write_bytes(audio["bytes"])
    elif source.is_file():
        path.symlink_to(source.resolve())
    return path
