"""Publish a prepared dataset: sharded Parquet, its card, and how it was prepared.

A public dataset has no audio of a corpus that nobody may pass on, and none of recordings of your own, of
whose licence nothing is known; their rows are there all the same.
"""

import json
import tempfile
from math import ceil
from pathlib import Path
from string import Template

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, load_from_disk
from datasets.table import InMemoryTable

from data_prep.build import REPORT
from data_prep.corpora import CORPORA
from data_prep.languages import LANGUAGES
from data_prep.licences import licence_of, licence_row
from speech_emotion.hub import publish_folder
from speech_emotion.labels import OWN, POLICY

CARD_TEMPLATE = Path(__file__).parent / "dataset_card.md"
SHARD_BYTES = 400_000_000  # what a shard holds before compression
ROW_GROUP = 100  # rows that a reader who streams takes at once, some megabytes
NO_LABEL = -1
SIZE_CATEGORIES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K"}


def publish(source: Path, name: str, private: bool) -> str:
    """Publish the dataset in a folder.

    Args:
        source: the folder that `build_dataset` made.
        name: its id on the hub.
        private: whether only its owner sees it; only then does every row have its audio.

    Returns:
        Its address.

    Raises:
        PublishError: the hub cannot be reached or refuses it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return publish_folder(stage(source, Path(scratch), name, private), name, "dataset", private)


def stage(source: Path, folder: Path, name: str, private: bool) -> Path:
    """Write what is published to disk: `data/*.parquet`, `README.md` and `preparation.json`.

    The same dataset always becomes the same bytes.

    Args:
        source: the folder that `build_dataset` made.
        folder: an empty folder.
        name: the dataset's id on the hub, for its card.
        private: keep the audio of every corpus.

    Returns:
        The folder.
    """
    dataset = load_from_disk(source)
    (folder / "data").mkdir()
    for split, rows in dataset.items():
        shards = ceil(rows.data.nbytes / SHARD_BYTES)
        for index in range(shards):
            shard = rows.shard(shards, index, contiguous=True)
            shard = shard if private else withhold_audio(shard)
            path = folder / "data" / f"{split}-{index:05d}-of-{shards:05d}.parquet"
            shard.to_parquet(path, batch_size=ROW_GROUP)
    report = (source / REPORT).read_text()
    (folder / REPORT).write_text(report)
    (folder / "README.md").write_text(fill_card(dataset, json.loads(report), name, private))
    return folder


def may_be_passed_on(corpus: str) -> bool:
    """Return whether anyone may publish a corpus's clips as they are in the dataset."""
    return licence_of(corpus).redistributable


def withhold_audio(rows: Dataset) -> Dataset:
    """Return the rows, with null for the audio that may not be passed on."""
    table = rows.with_format("arrow")[:]
    allowed = pa.array([may_be_passed_on(corpus) for corpus in table["corpus"].to_pylist()])
    audio = pc.if_else(allowed, table["audio"], pa.scalar(None, table["audio"].type))
    table = table.set_column(table.column_names.index("audio"), "audio", audio)
    return Dataset(InMemoryTable(table), info=rows.info)


def fill_card(dataset: DatasetDict, report: dict, name: str, private: bool) -> str:
    """Fill the card's template from the dataset and from how it was prepared."""
    clips = pd.concat(
        rows.remove_columns("audio").to_pandas().assign(split=split) for split, rows in dataset.items()
    )
    labels = next(iter(dataset.values())).features["emotion"].names
    present = sorted(set(clips["corpus"]), key=lambda corpus: (corpus not in CORPORA, corpus))
    notes = [note for corpus in present if (note := licence_of(corpus).note)]
    return Template(CARD_TEMPLATE.read_text()).substitute(
        name=name,
        size_category=next(
            (word for most, word in SIZE_CATEGORIES.items() if len(clips) < most), "100K<n<1M"
        ),
        languages="\n".join(f"  - {code}" for code in sorted(_languages(clips))),
        data_files="\n".join(f"      - split: {split}\n        path: data/{split}-*" for split in dataset),
        clips=f"{len(clips):,}",
        hours=f"{clips['duration'].sum() / 3600:.1f}",
        speakers=clips["speaker"].nunique(),
        trimmed="silence at both ends trimmed" if report["trim_db"] else "silence left in",
        corpora=", ".join(map(_title, present)),
        scheme=report["scheme"],
        labels=", ".join(labels),
        language_list=", ".join(_languages(clips).values()),
        counts=_table(["corpus", "split", *labels, "no label", "all"], _count(clips, present, labels)),
        notes="\n".join(f"- {note}" for note in [*notes, *report.get("warnings", [])]),
        policy=_table(["corpus's word", report["scheme"], "why"], _policy(report["scheme"], clips, labels)),
        heard=(
            "For CREMA-D the word is what most listeners heard, not what the actor meant."
            if report.get("crema_d_label") == "perceived"
            else ""
        ),
        splits=_describe_splits(report),
        licences=_table(
            ["corpus", "licence", "it allows", "audio in a public copy"],
            [licence_row(each) for each in present],
        ),
        withheld=_describe_audio(present, private),
        citations="\n\n".join(CORPORA[corpus].CITATION for corpus in present if corpus in CORPORA),
    )


def _title(corpus: str) -> str:
    return licence_of(corpus).title


def _languages(clips: pd.DataFrame) -> dict[str, str]:
    """Return the languages by code, without the codes for several, unknown and none."""
    codes = sorted({str(tag).partition("-")[0] for tag in clips["language"].dropna()})
    return {code: LANGUAGES.get(code, code) for code in codes if code not in ("mul", "und", "zxx")}


def _count(clips: pd.DataFrame, corpora: list[str], labels: list[str]) -> list[list]:
    rows = []
    for corpus in corpora:
        for split, some in clips[clips["corpus"] == corpus].groupby("split", sort=False):
            counts = some["emotion"].value_counts()
            each = [counts.get(index, 0) for index in (*range(len(labels)), NO_LABEL)]
            rows.append([_title(corpus), split, *each, len(some)])
    return rows


def _policy(scheme: str, clips: pd.DataFrame, labels: list[str]) -> list[list[str]]:
    if scheme == OWN:
        pairs = clips[clips["emotion"] != NO_LABEL][["source_emotion", "emotion"]].drop_duplicates()
        return [
            [word, labels[index], "as its publisher says"] for word, index in sorted(pairs.values.tolist())
        ]
    words = set(clips["source_emotion"])
    for corpus in set(clips["corpus"]) & set(CORPORA):
        words |= set(CORPORA[corpus].EMOTIONS.values())  # also those that are left out
    rules = (rule for rule in POLICY.values() if rule.word in words)
    return [[rule.word, getattr(rule, scheme) or "left out", rule.why] for rule in rules]


def _describe_audio(corpora: list[str], private: bool) -> str:
    withheld = [_title(corpus) for corpus in corpora if not may_be_passed_on(corpus)]
    if not withheld:
        return "This copy has the audio of every row."
    if private:
        return "This copy has the audio of every row. Do not make it public: the table says no."
    return (
        f"In this copy the rows of {', '.join(withheld)} have no audio (`null`). Whoever has the recordings "
        "can make the whole dataset with `python -m data_prep`."
    )


def _describe_splits(report: dict) -> str:
    protocol = report.get("protocol")
    made = f"Made by the protocol `{protocol}`. " if protocol else ""
    if report.get("leaks_speakers"):
        return (
            f"{made}**Speakers leak**: the same voices are in training and test, so figures measured on "
            "these splits are too good, and say nothing about voices that a model has not heard."
        )
    return (
        f"{made}No speaker is in two of training, validation and test. A split `aside`, where there is one, "
        "neither trains nor tests: it holds clips without a label and corpora with nearly one label."
    )


def _table(head: list[str], rows: list[list]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
