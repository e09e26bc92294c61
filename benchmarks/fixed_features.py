"""Cross-validate a classic classifier on fixed features, on the same splits as the models of train.py."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from datasets import Dataset, concatenate_datasets
from record import RESULTS, save_result
from sklearn.base import ClassifierMixin
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from data_prep.splits import resplit
from speech_emotion.dataset import open_dataset
from speech_emotion.evaluation.cross_validation import summarise
from speech_emotion.evaluation.scores import measure
from speech_emotion.training.arguments import Arguments, Recipe
from speech_emotion.training.sampling import balance, cap_speakers

FOLDS = [f"fold:{number}" for number in range(1, 6)]  # the sixth fold has no actor among the 20 on hand


def make_parser(description: str, results: str) -> argparse.ArgumentParser:
    """Return a parser with the options that these benchmarks share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--protocol", nargs="+", default=FOLDS, help="as for train.py")
    parser.add_argument("--output", type=Path, default=RESULTS / results, help="file for the figures")
    return parser


def cross_validate(
    options: argparse.Namespace,
    extract: Callable[[Dataset], np.ndarray],
    make: Callable[[float], ClassifierMixin],
    cs: tuple[float, ...],
    packages: list[str],
) -> None:
    """Train and test on each protocol's splits and write the summary.

    Clips are sampled as in train.py: 200 of a speaker at most, the emotions of a corpus balanced by weight.
    After C is chosen, the validation speakers join the training speakers, as with --refit.

    Args:
        options: from `make_parser`.
        extract: returns the features of rows, shape [rows, features]; each feature is scaled to mean 0 and
            deviation 1 over training.
        make: returns a new classifier with a C.
        cs: the candidates for C; the validation speakers of each protocol choose one.
        packages: the packages whose versions are recorded.
    """
    dataset = open_dataset(options.data)
    reports, chosen = {}, {}

    def fit(rows: Dataset, c: float) -> Pipeline:
        model = make(c)
        weights = {f"{type(model).__name__.lower()}__sample_weight": balance(rows)}
        return make_pipeline(StandardScaler(), model).fit(extract(rows), rows["emotion"][:], **weights)

    for protocol in options.protocol:
        splits = resplit(dataset, protocol)
        training = cap_speakers(splits["train"], Recipe.clips_per_speaker, Arguments.seed)
        validation, test = splits["validation"], splits["test"]
        scores = {
            c: balanced_accuracy_score(
                validation["emotion"][:], fit(training, c).predict(extract(validation))
            )
            for c in cs
        }
        best = chosen[protocol] = max(scores, key=scores.get)
        model = fit(concatenate_datasets([training, validation]), best)
        names = test.features["emotion"].names
        answers = np.eye(len(names))[model.predict(extract(test))]
        report = measure(answers, np.array(test["emotion"]), test, names)
        reports[protocol] = report | {"training": {"protocol": protocol}}
    figures = summarise(reports) | {"chosen_c": chosen}
    print(figures["overall"], {name: own["uar"] for name, own in figures["groups"].items()})
    save_result(options.output, figures, [*packages, "scikit-learn"])
