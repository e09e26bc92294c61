"""The prepared dataset as training and evaluation read it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from datasets import Audio, Dataset, DatasetDict, load_dataset, load_from_disk

from speech_emotion.audio.decoding import SAMPLE_RATE, load_audio


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


def crop(audio: np.ndarray, seconds: float, at_random: bool) -> np.ndarray:
    """Cut shape-[n] 16 kHz samples to a length, at a random place (numpy's global seed) or to their start."""
    size = int(seconds * SAMPLE_RATE)
    start = np.random.randint(max(audio.size - size, 0) + 1) if at_random else 0
    return audio[start : start + size]
