"""Recordings of your own: a table, folders named after emotions, or any dataset with audio and labels.

A table is CSV or JSON Lines (`.jsonl`), one recording a row, paths from the table's folder:

    path,emotion,speaker,gender,language
    clips/0001.wav,angry,anna,female,en

`path` and `emotion` must be there. The other facts of a `Clip` may be: `speaker`, `source_emotion` (the
published word, where `emotion` is already a label), `gender`, `age`, `language`, `channel`, `statement`,
`dialogue` and so on. Columns of other names are kept together in the dataset's column `extra`. In a folder,
the name `angry/0001.wav` states the emotion and nothing else. An emotion is a word or a label of the label
policy (`speech_emotion/labels.py`), or any word with `--scheme own` or a table of labels.

`NAME=TABLE` names the corpus; otherwise the table or folder does. A table without emotions comes in as
unlabelled: its clips have the label -1 and the split `aside`, so that plain talk can be used to count false
alarms.

Where no speakers are named, nobody can tell whether two clips are of one person. Beside other corpora all of
them test, and alone they are split at random, which leaks speakers (`data_prep/splits.py`).
"""

import csv
import io
import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass, fields
from pathlib import Path

from datasets import Audio, ClassLabel, Features, load_dataset
from datasets.exceptions import DatasetGenerationError

from data_prep.corpora import CORPORA
from data_prep.find import find_recordings
from data_prep.schema import Clip, Rejected
from data_prep.splits import UNKNOWN
from speech_emotion.labels import OWN, POLICY, SCHEMES, Scheme

# A label counts as the first word that becomes it: a table may say bored as well as boredom.
WORDS = {rule.extended: rule.word for rule in reversed(POLICY.values())} | {word: word for word in POLICY}
SPECIAL = {"path", "id", "corpus", "speaker", "source_emotion", "dialogue", "extra", "policy_word"}
FACTS = {field.name for field in fields(Clip)} - SPECIAL
KNOWN = FACTS | {"path", "emotion", "speaker", "source_emotion", "dialogue"}
NUMBERS = {"age": lambda text: int(float(text)), "agreement": float}
GENDERS = {"f": "female", "m": "male"}
SEPARATORS = ",;\t"  # of a CSV file; spreadsheets write the second where commas stand in numbers
CHANNELS = ("speech", "song", "nonspeech")


@dataclass(frozen=True)
class Source:
    """A table or folder of recordings, and the name of its corpus.

    Attributes:
        path: a `.csv` or `.jsonl` file, or a folder.
        name: of the corpus, in lower case.
        labelled: whether its recordings have emotions.
        facts: values by column, for rows that leave the column empty.
    """

    path: Path
    name: str
    labelled: bool = True
    facts: tuple[tuple[str, str], ...] = ()


def parse_source(text: str, labelled: bool = True, facts: tuple[tuple[str, str], ...] = ()) -> Source:
    """Read `NAME=TABLE` or `TABLE`.

    Raises:
        ValueError: the name is that of a published corpus, whose folds and rules would apply.
    """
    name, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        path = text
        name = Path(text).stem if Path(text).is_file() else Path(text).resolve().name
    name = _plain(name)
    if name in CORPORA:
        raise ValueError(
            f"{text} cannot be called {name}, the name of a published corpus: give it another name."
        )
    return Source(Path(path), name, labelled, facts)


def read_source(source: Source) -> list[tuple[Path, dict[str, str]]]:
    """List the recordings of a table or of folders named after emotions.

    Returns:
        For each recording its path and the columns of its row, lower-case names and stripped text.

    Raises:
        ValueError: no such file, no table in it, or a table without `path` or `emotion`.
    """
    if source.path.is_dir():
        found = ((path, {"emotion": path.parent.name}) for path in find_recordings(source.path))
        return [(path, dict(source.facts) | row) for path, row in found]
    if not source.path.is_file():
        raise ValueError(f"There is no table or folder {source.path}.")
    rows = [
        {
            str(name).strip().lower(): "" if value is None else str(value).strip()
            for name, value in row.items()
        }
        for row in _read_table(source.path)
    ]
    columns = dict.fromkeys(name for row in rows for name in row)
    needed = ("path", "emotion") if source.labelled else ("path",)
    if missing := [name for name in needed if name not in columns]:
        hint = " A table without emotions comes in with --unlabelled." if missing == ["emotion"] else ""
        raise ValueError(
            f"{source.path} has no column {' and no '.join(missing)}, only {', '.join(columns)}.{hint}"
        )
    empty = dict.fromkeys(columns, "")
    return [(source.path.parent / row["path"], _fill(empty | row, source.facts)) for row in rows]


def parse_row(path: Path, row: dict[str, str], source: Source, number: int, any_word: bool = False) -> Clip:
    """Read the facts of one recording from its row.

    Args:
        path: the recording.
        row: its columns.
        source: the table or folder.
        number: of its row, which makes its id unique.
        any_word: whether its emotion may be a word that the label policy does not know.

    Raises:
        Rejected: no emotion, one that is no word of the label policy, no speaker where others have one, or a
            fact that has no such value.
    """
    corpus = source.name
    word = read_word(row.get("emotion", ""))
    if source.labelled and any_word and not word:
        raise Rejected("its row names no emotion, while others do")
    if source.labelled and not any_word and word not in WORDS:
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
    if facts.get("channel", "speech") not in CHANNELS:
        raise Rejected(f"its channel {facts['channel']!r} is none of {', '.join(CHANNELS)}")
    extra = {name: value for name, value in row.items() if name not in KNOWN and value}
    policy_word = (word if any_word else WORDS[word]) if source.labelled else None
    return Clip(
        path=path,
        id=f"{corpus}-{number}-{path.stem}",
        corpus=corpus,
        speaker=f"{corpus}-{_without(speaker, corpus)}",
        source_emotion=row.get("source_emotion") or policy_word,
        dialogue=f"{corpus}-{row['dialogue']}" if row.get("dialogue") else None,
        extra=json.dumps(extra, ensure_ascii=False) if extra else None,
        policy_word=policy_word,
        **facts,
    )


def read_word(text: str) -> str:
    """Return an emotion as words are compared: in lower case, without underscores."""
    return text.strip().lower().replace("_", " ")


def read_scheme(text: str) -> Scheme:
    """Read a label scheme: its name, or a table with the columns `word` and `label`.

    Returns:
        The name, or labels by word. A word with an empty label, or without a row, is left out.

    Raises:
        ValueError: there is no such scheme or table, or it lacks a column.
    """
    if text in (*SCHEMES, OWN):
        return text
    if not Path(text).is_file():
        raise ValueError(
            f"There is no label scheme and no table {text!r}; there are {', '.join(SCHEMES)} and {OWN}."
        )
    rows = _read_table(Path(text))
    if not rows or not {"word", "label"} <= set(rows[0]):
        raise ValueError(f"{text} has no columns word and label.")
    return {read_word(row["word"] or ""): read_word(row["label"] or "") for row in rows}


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _without(speaker: str, corpus: str) -> str:
    """Return a speaker's name without the name of the corpus before it, as in `MELD-joey`."""
    start, rest = _plain(speaker[: len(corpus) + 1]), speaker[len(corpus) + 1 :]
    return rest if start == f"{corpus}_" and rest else speaker


def _fill(row: dict[str, str], facts: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return row | {name: value for name, value in facts if not row.get(name)}


def export_dataset(
    name: str,
    folder: Path,
    audio_column: str | None = None,
    label_column: str | None = None,
    speaker_column: str | None = None,
) -> Path:
    """Write the recordings of all splits of a dataset of the hub, and a table of them.

    Args:
        name: hub id, or a local folder that `datasets.load_dataset` opens.
        folder: receives the recordings and the table.
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
    named = {"path": audio_column, "emotion": label_column, "speaker": speaker_column}
    columns = _choose_columns(name, next(iter(splits.values())).features, named)
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
    content = source.read_bytes()
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        lines = content.decode(encoding)
        if source.suffix.lower() == ".csv":
            head = lines.partition("\n")[0]
            separator = max(SEPARATORS, key=head.count)
            rows = csv.DictReader(io.StringIO(lines, newline=""), delimiter=separator)
            return [{k: v for k, v in row.items() if k is not None} for row in rows]
        if source.suffix.lower() == ".jsonl":
            return [dict(json.loads(line)) for line in lines.split("\n") if line.strip()]
    except (csv.Error, TypeError, ValueError) as error:
        raise ValueError(f"{source} is not a table that can be read: {error}") from error
    raise ValueError(f"{source} is neither a .csv nor a .jsonl table.")


def _choose_columns(name: str, features: Features, named: dict[str, str | None]) -> dict[str, str]:
    """Return the column of each fact: the audio as `path`, `emotion`, and columns with the names of facts."""
    audio = [column for column, feature in features.items() if isinstance(feature, Audio)]
    guesses = {"path": audio, "emotion": ["emotion", "label"], "speaker": ["speaker"]}
    columns = {fact: fact for fact in FACTS if fact in features}
    for fact, guessed in guesses.items():
        wanted = [named[fact]] if named[fact] else guessed
        found = [column for column in wanted if column in features]
        if found:
            columns[fact] = found[0]
        elif named[fact] or fact != "speaker":
            what = named[fact] or {"path": "of audio", "emotion": "emotion or label"}[fact]
            raise ValueError(f"The dataset {name!r} has no column {what}, only {', '.join(features)}.")
    return columns


def _text(feature, value) -> str:
    if value is None or (isinstance(feature, ClassLabel) and value < 0):  # -1: not labelled
        return ""
    return feature.int2str(value) if isinstance(feature, ClassLabel) else str(value)


def _write_audio(audio: dict | None, path: Path) -> Path:
    """Write a recording in its encoding; a missing one is not written, and decoding then reports it."""
    audio = audio or {"bytes": None, "path": None}
    source = Path(audio["path"] or path.name)
    path = path.with_name(path.name + source.suffix)
    if audio["bytes"] is not None:
        path.write_bytes(audio["bytes"])
    elif source.is_file():
        path.symlink_to(source.resolve())
    return path
