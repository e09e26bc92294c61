"""Datasets of waveforms to train on: cropped, augmented, seeded, collated."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import transformers
from datasets import Dataset

from speech_emotion.dataset import crop, read_clip
from speech_emotion.models.loading import extract


class SeededClips(torch.utils.data.Dataset):
    """Clips, each read with a random seed of its own.

    So the augmentation and the crop of a clip, or the view that is drawn of it, do not depend on the number
    of workers or processes, nor on whether an epoch was interrupted.

    Args:
        clips: a ClipDataset or CachedDataset.
    """

    def __init__(self, clips: torch.utils.data.Dataset):
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: tuple[int, int]) -> dict:
        index, seed = key
        with seeded(seed):
            return self.clips[index]


class Collator:
    """Batch clips into a model's inputs and labels."""

    def __init__(self, extractor: transformers.FeatureExtractionMixin):
        self.extractor = extractor

    def __call__(self, clips: list[dict]) -> dict[str, torch.Tensor]:
        """Batch items of a ClipDataset."""
        inputs = extract(self.extractor, [clip["audio"] for clip in clips])
        return inputs | {"labels": torch.tensor([clip["label"] for clip in clips])}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's and numpy's random numbers in a `with` block, and restore them after it.

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
    """Rows of the dataset as waveforms, cropped and augmented, with their labels.

    Args:
        rows: a split of the dataset.
        max_seconds: longer clips are cropped: at random with an augmentation, else to their start.
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
