"""An archive on disk: three tables in Parquet shards, the list of their recordings, and a manifest.

    DIR/manifest.json                    the input, the model, the columns, the totals once it is complete
    DIR/inputs.parquet                   the recordings in their order, each with the number of its shard
    DIR/recordings/part-000000.parquet   an answer for each recording
    DIR/utterances/part-000000.parquet   an answer for each utterance
    DIR/failed/part-000000.parquet       the recordings without an answer, and why

Each file is written aside and renamed, so it is whole or absent. A shard is done when all three of its files
are there; the next run removes what a killed one left of the others.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from speech_emotion.atomic import atomic_file, atomic_write, check_place
from speech_emotion.inference.archive.inputs import ArchiveError, order
from speech_emotion.inference.archive.tables import COLUMNS, RECORDINGS, TABLES, Rows, schemas

MANIFEST, INPUTS, LOCK = "manifest.json", "inputs.parquet", ".lock"
ORDER = "recordings by the UTF-8 bytes of their names, those that a later run finds after all earlier ones; "
ORDER += "utterances by their start, then by their channel"
TOTALS = b"totals"  # in the metadata of a shard's recordings: what it adds to the archive's totals


@dataclass(frozen=True)
class Shard:
    """A part of each table.

    Attributes:
        number: from 0, which names the files.
        names: of its recordings, in order.
    """

    number: int
    names: list[str]


class Archive:
    """An archive that this process may write.

    Args:
        folder: where it is.
        facts: what makes its answers; a folder with others is another archive.
        labels: the model's, in their order.
    """

    def __init__(self, folder: Path, facts: dict, labels: list[str]):
        self.folder, self.facts, self.schemas = folder, facts, schemas(labels)
        self.totals = Counter()

    def plan(self, names: list[str], size: int) -> list[Shard]:
        """Assign recordings to shards, remove what is left of unfinished ones, and count what is done.

        Args:
            names: of all recordings that there are now; those of earlier runs keep their shards.
            size: the most recordings in a new shard.

        Returns:
            The shards to make.
        """
        shards = self._read_inputs()
        known = {name for shard in shards for name in shard.names}
        fresh = iter(order(set(names) - known))
        while part := list(islice(fresh, size)):
            shards.append(Shard(len(shards), part))
        self._write_inputs(shards)
        return [shard for shard in shards if not self._keep(shard)]

    def write(self, shard: Shard, rows: list[Rows]) -> None:
        """Write a shard's part of each table, from the rows of its recordings in their order."""
        totals = count(rows)
        for table in reversed(TABLES):  # the recordings last
            entries = [row for each in rows for row in getattr(each, table)]
            schema = self.schemas[table]
            if table == RECORDINGS:
                schema = schema.with_metadata({TOTALS: json.dumps(totals)})
            with atomic_file(self._file(table, shard)) as part:
                pq.write_table(pa.Table.from_pylist(entries, schema), part, compression="zstd")
        self.totals.update(totals)

    def write_manifest(self, complete: bool) -> None:
        """Write the manifest; its totals only once the archive is complete."""
        totals = {"complete": complete} | (dict(self.totals) if complete else {})
        text = {**self.facts, "order": ORDER, "columns": COLUMNS, **totals}
        atomic_write(self.folder / MANIFEST, json.dumps(text, indent=1, ensure_ascii=False) + "\n")

    def _file(self, table: str, shard: Shard) -> Path:
        return self.folder / table / f"part-{shard.number:06}.parquet"

    def _keep(self, shard: Shard) -> bool:
        """Count a shard that is done; remove what there is of one that is to be made, perhaps anew."""
        files = [self._file(table, shard) for table in TABLES]
        try:
            found, *_ = [pq.read_metadata(file).metadata for file in files]
            totals = json.loads(found[TOTALS])
        except (OSError, pa.ArrowException, KeyError):  # absent, or cut off when the machine lost its power
            totals = None
        if totals and not totals["try_again"]:
            self.totals.update(totals)
            return True
        for file in files:
            file.unlink(missing_ok=True)
        return False

    def _read_inputs(self) -> list[Shard]:
        file = self.folder / INPUTS
        if not file.exists():
            return []
        shards: list[Shard] = []
        for batch in pq.ParquetFile(file).iter_batches(columns=["shard", "name"]):
            for number, name in zip(*(batch.column(key).to_pylist() for key in range(2)), strict=True):
                if number == len(shards):
                    shards.append(Shard(number, []))
                shards[number].names.append(os.fsdecode(name))
        return shards

    def _write_inputs(self, shards: list[Shard]) -> None:
        columns = {
            "shard": pa.array([shard.number for shard in shards for _ in shard.names], pa.int32()),
            "name": pa.array([os.fsencode(name) for shard in shards for name in shard.names], pa.binary()),
        }
        with atomic_file(self.folder / INPUTS) as part:
            pq.write_table(pa.table(columns), part, compression="zstd")


@contextmanager
def open_archive(folder: Path, facts: dict, labels: list[str]) -> Iterator[Archive]:
    """Yield the archive in a folder, for one process at a time.

    Args:
        folder: may be absent or empty.
        facts: as in `Archive`.
        labels: likewise.

    Raises:
        ArchiveError: the folder holds something else, or another archive, or another process writes to it.
        OSError: it cannot be written.
    """
    archive = Archive(folder, facts, labels)
    try:
        check_place(folder, MANIFEST)
    except (FileExistsError, NotADirectoryError) as error:
        raise ArchiveError(
            f"{folder} is not an archive, and it is not empty: choose another folder."
        ) from error
    if (folder / MANIFEST).exists():
        check_facts(folder, facts)
    else:
        archive.write_manifest(complete=False)
    try:
        with FileLock(folder / LOCK, timeout=0):
            for part in folder.glob("**/.*.part"):
                part.unlink()
            yield archive
    except Timeout as error:
        raise ArchiveError(f"Another process is writing to {folder}.") from error


def check_facts(folder: Path, facts: dict) -> None:
    """Raise an ArchiveError where the archive in a folder has other facts."""
    found = json.loads((folder / MANIFEST).read_text("utf-8"))
    for name, value in facts.items():
        if found.get(name) != value:
            raise ArchiveError(
                f"{folder} is an archive with another {name} ({found.get(name)}, not {value}): "
                "choose another folder, or delete it."
            )


def count(rows: list[Rows]) -> dict:
    """Return what the rows of recordings add to an archive's totals."""
    return {
        "files": len(rows),
        "seconds": round(sum(each.seconds for each in rows), 2),
        "utterances": sum(len(each.utterances) for each in rows),
        "failed": sum(len(each.failed) for each in rows),
        "try_again": sum(row["try_again"] for each in rows for row in each.failed),
    }
