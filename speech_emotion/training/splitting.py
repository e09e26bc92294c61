"""The splits that trainings of one command use: a dataset opened, split by protocol, and capped."""

from collections.abc import Iterator

from datasets import Dataset, DatasetDict

from data_prep.splits import resplit
from speech_emotion.dataset import SPLITS, choose_corpora, is_unknown, open_dataset
from speech_emotion.training.arguments import Recipe
from speech_emotion.training.errors import SplitError
from speech_emotion.training.sampling import cap_speakers, hold_out_in_turn

LEAKING = "random"  # the protocol that tests on speakers of the training split


def load_dataset(recipe: Recipe) -> DatasetDict:
    """Open the dataset and keep the corpora that the recipe names.

    Raises:
        DatasetError: there is no such dataset, it is damaged, or it has no such corpora.
    """
    # With a protocol the clips are split anew, so the dataset may lack splits.
    dataset = open_dataset(recipe.data, splits=() if recipe.protocol else SPLITS)
    return choose_corpora(dataset, recipe.corpora)


def split_dataset(dataset: DatasetDict, recipe: Recipe, seed: int) -> dict[str | None, DatasetDict]:
    """Split a dataset by each protocol of a recipe.

    Args:
        dataset: of `load_dataset`.
        recipe: names the protocols; without one, the splits stay as prepared.
        seed: draws the clips that a cap keeps.

    Returns:
        `train`, `validation` and `test` by protocol; None stands for the splits as prepared.

    Raises:
        SplitError: the protocol cannot be followed with these clips, or speakers leak.
    """
    runs = {}
    for protocol in recipe.protocol or [None]:
        try:
            splits = resplit(dataset, protocol, train_on=recipe.train_on) if protocol else dataset
        except ValueError as error:
            raise SplitError(str(error)) from error
        if missing := [name for name in SPLITS if name not in splits]:
            cure = " Bring six clips of an emotion or more." if protocol == LEAKING else ""
            raise SplitError(f"With {protocol} there is no clip for {' and '.join(missing)}.{cure}")
        shared = {speaker for speaker in shared_speakers(splits) if not is_unknown(speaker)}
        if shared and protocol != LEAKING:
            raise SplitError("Speakers are in training and in test: ask for that with --protocol random.")
        capped = cap_speakers(splits["train"], recipe.clips_per_speaker, seed)
        runs[protocol] = DatasetDict({name: splits[name] for name in SPLITS} | {"train": capped})
        for line in describe_cap(splits["train"], capped, recipe.clips_per_speaker):
            print(f"{protocol}: {line}" if protocol else line)
    return runs


def shared_speakers(splits: DatasetDict) -> set[str]:
    """Return the names that are in training and in test, that of unknown speakers among them."""
    return set(splits["train"]["speaker"]) & set(splits["test"]["speaker"])


def calibration_groups(splits: DatasetDict, recipe: Recipe, seed: int) -> list[DatasetDict]:
    """Return the groups of training speakers that are held out in turn, each as `train` and `validation`.

    Raises:
        SplitError: so few speakers do not make this many groups.
    """
    try:
        return hold_out_in_turn(splits, recipe.calibration_folds, seed)
    except ValueError as error:
        raise SplitError(f"--calibration_folds {recipe.calibration_folds}: {error}.") from error


def describe_cap(before: Dataset, after: Dataset, most: int) -> Iterator[str]:
    """Yield a sentence for each corpus of which a cap on clips per speaker left some out."""
    corpora, kept = before["corpus"][:], after["corpus"][:]
    for corpus in sorted(set(corpora)):
        there, used = corpora.count(corpus), kept.count(corpus)
        if used < there:
            yield (
                f"{corpus}: {used:,} of {there:,} training clips are used, at most {most} of a speaker "
                "(--clips_per_speaker)."
            )
