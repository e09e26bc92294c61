"""Writes rows as the folder that `datasets.load_from_disk` opens; the same rows give the same bytes.

The rows stream into one Arrow file per split. `Dataset.from_generator` and `save_to_disk` would write them
twice, map the whole dataset into memory in between, and stamp it with random fingerprints.
"""

import hashlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, DatasetDict, Features
from datasets.table import InMemoryTable

BATCH = 100  # rows per record batch, as datasets chooses for audio


def write_dataset(folder: Path, splits: dict[str, Iterable[dict]], columns: Features) -> None:
    """Write splits, one after another.

    Args:
        folder: the new folder; must not exist.
        splits: rows by split, in the form in which Arrow stores each column.
        columns: the columns of every split.
    """
    folder.mkdir()
    tables, layout = {}, {}
    for split, rows in splits.items():
        tables[split] = folder / f"{split}.arrow"
        _write_table(tables[split], rows, columns.arrow_schema)
        nothing = InMemoryTable(columns.arrow_schema.empty_table())
        layout[split] = Dataset(nothing, split=split, fingerprint=_fingerprint(tables[split]))
    # datasets makes the folder, with empty splits.
    DatasetDict(layout).save_to_disk(folder, num_shards=dict.fromkeys(layout, 1))
    for split, table in tables.items():
        table.rename(folder / split / "data-00000-of-00001.arrow")


def _write_table(path: Path, rows: Iterable[dict], schema: pa.Schema) -> None:
    rows = iter(rows)
    with path.open("wb") as file, pa.ipc.new_stream(file, schema) as writer:
        while batch := list(islice(rows, BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


def _fingerprint(path: Path) -> str:
    # datasets caches derived data under the fingerprint, so other rows must have another one.
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
