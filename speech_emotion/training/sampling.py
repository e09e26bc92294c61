"""Which clips a training step sees: balance, batches of similar length, capped and held-out speakers."""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import torch
from datasets import Dataset, DatasetDict, concatenate_datasets
from sklearn.model_selection import StratifiedGroupKFold

from speech_emotion.dataset import is_unknown


class LengthSampler(torch.utils.data.Sampler):
    """Batches of clips of about one length, in random order.

    transformers' own LengthGroupedSampler goes from long to short through 50 batches at a time. Corpora
    differ in length, so that is from corpus to corpus, and training suffers.

    The seed alone decides the order: every process draws the same one and takes its share of each batch.

    Args:
        durations: of the clips.
        batch: clips that one step learns from, those of all processes together.
        weights: how often each clip is drawn, relative to the others; None: each once.
        seed: gives the seed of an order when one is drawn.
    """

    POOL = 8  # batches whose clips are sorted together

    def __init__(
        self,
        durations: list[float],
        batch: int,
        weights: np.ndarray | None = None,
        seed: Callable[[], int] = lambda: 0,
    ):
        self.durations = torch.tensor(durations)
        self.batch = batch
        self.weights = None if weights is None else torch.tensor(weights)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.durations)

    def __iter__(self) -> Iterator[int]:
        """Return the indices of the clips, batch after batch."""
        dice = torch.Generator().manual_seed(self.seed())
        drawn = torch.randperm(len(self), generator=dice)
        if self.weights is not None:
            drawn = torch.multinomial(self.weights, len(self), replacement=True, generator=dice)
        pools = drawn.split(self.POOL * self.batch)
        batches = [
            batch for pool in pools for batch in pool[self.durations[pool].argsort()].split(self.batch)
        ]
        batches.sort(key=len, reverse=True)  # what does not fill a batch comes last
        full = sum(len(batch) == self.batch for batch in batches)
        order = [*torch.randperm(full, generator=dice).tolist(), *range(full, len(batches))]
        return iter(torch.cat([batches[index] for index in order]).tolist())


class SeededSampler(LengthSampler):
    """With the index of each clip a seed for reading it, as `SeededClips` does."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Return the indices of the clips and their seeds, batch after batch."""
        dice = torch.Generator().manual_seed(self.seed())
        seeds = torch.randint(2**32, (len(self),), generator=dice).tolist()
        return zip(super().__iter__(), seeds, strict=True)


def balance(rows: Dataset) -> np.ndarray:
    """Compute how often to draw each clip, so that neither an emotion nor a corpus drowns the others.

    Within a corpus every emotion comes up as often as any other: corpora have habits (a fourth of SAVEE is
    neutral, few corpora have calm), and a model that knows the sound of a corpus's rooms would learn them.
    Corpora come up by the root of their size: CREMA-D has 15 times the clips of SAVEE and comes up four times
    as often. Speech and song of a corpus count as two.

    Returns:
        float64, shape [clips], mean 1.
    """
    clips = pd.DataFrame({name: rows[name][:] for name in ("corpus", "channel", "emotion")})
    corpora = clips.groupby(["corpus", "channel"])["emotion"]
    alike = clips.groupby(["corpus", "channel", "emotion"])["emotion"].transform("size")
    weights = np.sqrt(corpora.transform("size")) / corpora.transform("nunique") / alike
    return (weights / weights.mean()).to_numpy()


def cap_speakers(rows: Dataset, most: int, seed: int) -> Dataset:
    """Keep at most this many clips of each speaker, drawn at random.

    TESS has 1,400 clips of each of its two speakers and would be two-thirds of training. Clips of unknown
    speakers are all kept: nobody can say how many people they are of.
    """
    speakers, sha256s, kept, count = rows["speaker"][:], rows["sha256"][:], [], {}
    # By a hash, a clip's place in the draw is the same whatever else is among the rows.
    draw = [hashlib.sha256(f"{seed} {sha256}".encode()).digest() for sha256 in sha256s]
    for index in sorted(range(len(rows)), key=draw.__getitem__):
        speaker = speakers[index]
        count[speaker] = count.get(speaker, 0) + 1
        if count[speaker] <= most or is_unknown(speaker):
            kept.append(index)
    return rows.select(sorted(kept))


def hold_out_in_turn(splits: DatasetDict, groups: int, seed: int) -> list[DatasetDict]:
    """Deal the training speakers into groups, each once the validation of a training on all the others.

    A temperature that is fitted on four actors fits these actors more than the model. Only speakers of
    corpora that validation has are dealt, each corpus evenly: the rest would be another kind of recording,
    not another voice.

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
