"""Reading the prepared dataset, for training and evaluation."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from datasets import Audio, Dataset, DatasetDict, load_dataset, load_from_disk

from speech_emotion.audio.decoding import SAMPLE_RATE, AudioError, load_audio, to_pcm

SPLITS = ("train", "validation", "test")  # a dataset may have others, which neither train nor test
REMEDY = "Make the dataset again with python -m data_prep."
UNKNOWN_SPEAKER = "unknown"  # after the corpus's name, where nobody is named: `own-unknown`


class DatasetError(ValueError):
    """A dataset that cannot be used; the message is a sentence that says why."""


class DamagedClipError(DatasetError):
    """A clip that is not the one that was prepared: its bytes have changed since."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """There is no such dataset, or the hub cannot be reached."""


def open_dataset(name: str, splits: Sequence[str] = SPLITS) -> DatasetDict:
    """Open a dataset that `data_prep` made: a folder on disk, or the id of a dataset on the hub.

    Args:
        name: folder or hub id.
        splits: the splits that it must have.

    Returns:
        The splits, their audio left encoded: datasets would need torchcodec and FFmpeg to decode it. Rows
        that were published without audio are left out.

    Raises:
        DatasetNotFoundError: there is no such dataset, or the hub cannot be reached.
        DatasetError: it is damaged, lacks one of those splits, or is a split itself.
    """
    try:
        dataset = load_from_disk(name) if Path(name).is_dir() else load_dataset(name)
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's are ValueErrors or KeyErrors
        if Path(name).is_dir() and any(Path(name).iterdir()):
            reason = str(error).partition("\n")[0].rstrip(".")
            raise DatasetError(f"The dataset {name!r} is damaged: {reason}. {REMEDY}") from error
        raise DatasetNotFoundError(
            f"There is no dataset {name!r}. Make it with python -m data_prep, or give its id on the hub."
        ) from error
    if isinstance(dataset, Dataset):
        raise DatasetError(f"{name!r} is one split of a dataset; give the folder above it.")
    if missing := set(splits) - set(dataset):
        raise DatasetError(
            f"The dataset {name!r} lacks {', '.join(sorted(missing))}: that takes three speakers, or three "
            "clips of an emotion where no speaker is named. Bring more clips. With six of an emotion, "
            "--protocol random splits single clips instead; the figures then flatter."
        )
    dataset = dataset.cast_column("audio", Audio(decode=False))
    return DatasetDict({split: _with_audio(rows) for split, rows in dataset.items()})


def _with_audio(rows: Dataset) -> Dataset:
    there = rows.data["audio"].is_valid().to_numpy()
    return rows if there.all() else rows.select(np.flatnonzero(there))


def choose_corpora(dataset: DatasetDict, names: Sequence[str]) -> DatasetDict:
    """Keep the clips of some corpora, named as `savee` or, speech and song apart, `ravdess speech`.

    Args:
        dataset: of `open_dataset`.
        names: the corpora; an empty list keeps all.

    Raises:
        DatasetError: one of them is not in the dataset.
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
        raise DatasetError(
            f"There is no {' and no '.join(sorted(unknown))}; there are {', '.join(sorted(found))}."
        )
    return chosen


def is_unknown(speaker: str) -> bool:
    """Return whether a speaker's name stands for all clips of a corpus that names nobody."""
    return speaker.rpartition("-")[2] == UNKNOWN_SPEAKER


def readable(rows: Dataset | DatasetDict) -> Dataset | DatasetDict:
    """Return rows whose `audio` decodes when it is read, without torchcodec and FFmpeg, which datasets needs.

    `audio` becomes what transformers' pipelines take: `array`, float32 of shape [n], and its `sampling_rate`.

    >>> rows = readable(load_from_disk("data/emotion")["test"])  # doctest: +SKIP
    >>> rows[0]["audio"]["array"].shape  # doctest: +SKIP
    (57217,)
    """
    return rows.cast_column("audio", Audio(decode=False)).with_transform(_decode)


def _decode(batch: dict) -> dict:
    """Decode the audio of a batch of rows, if it was asked for."""
    if "audio" not in batch:
        return batch
    clips = [load_audio(audio["bytes"]) for audio in batch["audio"]]
    return batch | {"audio": [{"array": clip, "sampling_rate": SAMPLE_RATE} for clip in clips]}


def read_clip(row: dict) -> np.ndarray:
    """Decode the clip of a row: float32, shape [n], 16 kHz.

    Raises:
        DamagedClipError: its samples do not have the hash that the row states.
    """
    try:
        audio = load_audio(row["audio"]["bytes"])
    except AudioError as error:
        raise DamagedClipError(f"A clip of the dataset is damaged. {REMEDY}") from error
    # FLAC's own checksums are not checked by libsndfile: it plays what a flipped bit has left.
    if hashlib.sha256(to_pcm(audio).tobytes()).hexdigest() != row["sha256"]:
        raise DamagedClipError(f"A clip of the dataset is damaged. {REMEDY}")
    return audio


def crop(audio: np.ndarray, seconds: float, at_random: bool) -> np.ndarray:
    """Cut shape-[n] 16 kHz samples to a length, at a random place (numpy's global seed) or to their start."""
    size = int(seconds * SAMPLE_RATE)
    start = np.random.randint(max(audio.size - size, 0) + 1) if at_random else 0
    return audio[start : start + size]


def cap_corpora(rows: Dataset, most: int | None, seed: int) -> Dataset:
    """Keep at most this many clips of each corpus, drawn at random; None keeps all."""
    if most is None:
        return rows
    corpora = np.array(rows["corpus"][:])
    draw = np.random.default_rng(seed).permutation(len(corpora))
    kept = [draw[corpora[draw] == corpus][:most] for corpus in np.unique(corpora)]
    return rows.select(np.sort(np.concatenate(kept)))
