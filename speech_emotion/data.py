"""The prepared dataset as training and evaluation read it."""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from datasets import Audio, Dataset, DatasetDict, concatenate_datasets, load_dataset, load_from_disk
from sklearn.model_selection import StratifiedGroupKFold

from speech_emotion.audio import SAMPLE_RATE, load_audio


def open_dataset(name: str, splits: Sequence[str] = ("train", "validation", "test")) -> DatasetDict:
    """Open what `data_prep` made: a folder on disk, or the id of a dataset on the hub.

    Args:
        name: folder or hub id.
        splits: those that must be there.

    Returns:
        The splits, their audio left encoded: datasets would need torchcodec and FFmpeg to decode it. Rows
        that were published without audio are left out.

    Raises:
        FileNotFoundError: there is no such dataset, or no way to the hub.
        ValueError: it is damaged, lacks one of those splits, or is a split itself.
    """
    try:
        dataset = load_from_disk(name) if Path(name).is_dir() else load_dataset(name)
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's are ValueErrors or KeyErrors
        if Path(name).is_dir() and any(Path(name).iterdir()):
            reason = str(error).partition("\n")[0].rstrip(".")
            raise ValueError(
                f"The dataset {name!r} is damaged: {reason}. Make it again with python -m data_prep."
            ) from error
        raise FileNotFoundError(
            f"There is no dataset {name!r}. Make it with python -m data_prep, or give its id on the hub."
        ) from error
    if isinstance(dataset, Dataset):
        raise ValueError(f"{name!r} is one split of a dataset; give the folder above it.")
    if missing := set(splits) - set(dataset):
        raise ValueError(f"The dataset {name!r} lacks {', '.join(sorted(missing))}: it has too few speakers.")
    dataset = dataset.cast_column("audio", Audio(decode=False))
    return DatasetDict({split: _with_audio(rows) for split, rows in dataset.items()})


def _with_audio(rows: Dataset) -> Dataset:
    there = rows.data["audio"].is_valid().to_numpy()
    return rows if there.all() else rows.select(np.flatnonzero(there))


def choose_corpora(dataset: DatasetDict, names: Sequence[str]) -> DatasetDict:
    """Keep the clips of some corpora, named as `savee` or, speech and song apart, `ravdess speech`.

    Args:
        dataset: as `open_dataset` gives it.
        names: none keeps all.

    Raises:
        ValueError: one of them is not in the dataset.
    """

    def choose(rows: Dataset) -> Dataset:
        groups = list(zip(rows["corpus"], rows["channel"], strict=True))
        found.update(name for corpus, channel in groups for name in (corpus, f"{corpus} {channel}"))
        return rows.select(
            [i for i, (corpus, channel) in enumerate(groups) if {corpus, f"{corpus} {channel}"} & set(names)]
        )

    if not names:
        return dataset
    found = set()
    chosen = DatasetDict({split: choose(rows) for split, rows in dataset.items()})
    if unknown := set(names) - found:
        raise ValueError(
            f"There is no {' and no '.join(sorted(unknown))}; there are {', '.join(sorted(found))}."
        )
    return chosen


def read_clip(row: dict) -> np.ndarray:
    """Decode the clip of a row: float32, shape [n], 16 kHz."""
    return load_audio(row["audio"]["bytes"])


def cap_speakers(rows: Dataset, most: int, seed: int) -> Dataset:
    """Keep at most so many clips of each speaker, drawn at random.

    TESS has 1,400 clips of each of its two speakers and would be two-thirds of training.
    """
    speakers, sha256s, kept, count = rows["speaker"][:], rows["sha256"][:], [], {}
    # By a hash, a clip's place in the draw is the same whatever else is among the rows.
    draw = [hashlib.sha256(f"{seed} {sha256}".encode()).digest() for sha256 in sha256s]
    for index in sorted(range(len(rows)), key=draw.__getitem__):
        speaker = speakers[index]
        count[speaker] = count.get(speaker, 0) + 1
        if count[speaker] <= most:
            kept.append(index)
    return rows.select(sorted(kept))


def hold_out_in_turn(splits: DatasetDict, groups: int, seed: int) -> list[DatasetDict]:
    """Deal the training speakers into groups, each once the validation of a training on all the others.

    A temperature that hangs on four actors is theirs more than the model's. Only speakers of corpora that
    validation has are dealt, each corpus evenly: the rest would be another kind of recording, not another
    voice.

    Args:
        splits: `train` and `validation`; no group hears other speakers.
        groups: how many, at least 2; 0: none.
        seed: deals them.

    Returns:
        For each group a `train` and a `validation` split.

    Raises:
        ValueError: one group, or fewer speakers than groups.
    """
    if not groups:
        return []
    everyone = concatenate_datasets([splits["train"], splits["validation"]])
    corpora = np.array(splits["train"]["corpus"])
    dealt = np.flatnonzero(np.isin(corpora, splits["validation"]["corpus"]))
    speakers = np.array(splits["train"]["speaker"])[dealt]
    most = len(set(speakers))
    if not 2 <= groups <= most:
        raise ValueError(f"these speakers make 2 to {most} groups")
    deal = StratifiedGroupKFold(groups, shuffle=True, random_state=seed)
    parts = [dealt[own] for _, own in deal.split(dealt, corpora[dealt], speakers)]
    rest = [np.setdiff1d(np.arange(len(everyone)), own) for own in parts]
    return [
        DatasetDict(train=everyone.select(others), validation=everyone.select(own))
        for others, own in zip(rest, parts, strict=True)
    ]


def crop(audio: np.ndarray, seconds: float, at_random: bool) -> np.ndarray:
    """Cut shape-[n] 16 kHz samples to a length, at a random place (numpy's global seed) or to their start."""
    size = int(seconds * SAMPLE_RATE)
    start = np.random.randint(max(audio.size - size, 0) + 1) if at_random else 0
    return audio[start : start + size]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let Python's and numpy's random numbers come from a seed for a while.

    Args:
        seed: 0 to 2**32 - 1.
    """
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


class ClipDataset(torch.utils.data.Dataset):
    """Rows as a model is trained on them: cropped, changed by an augmentation, label beside.

    Args:
        rows: a split of the dataset.
        max_seconds: longer clips are cropped, at random where there is an augmentation, else to their start.
        augment: changes a waveform; None for clips that are evaluated.
    """

    def __init__(self, rows: Dataset, max_seconds: float, augment: Callable | None = None):
        self.rows = rows
        self.durations = [min(seconds, max_seconds) for seconds in rows["duration"]]
        self.max_seconds = max_seconds
        self.augment = augment

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        row = self.rows[index]
        audio = read_clip(row)
        if self.augment:
            audio = self.augment(audio)
        return {"audio": crop(audio, self.max_seconds, bool(self.augment)), "label": row["emotion"]}
