"""Cross-validation of a classic classifier on fixed features, on the splits that train.py's are tested on."""

from collections.abc import Callable

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from machine import ROOT  # noqa: F401 - lets what is measured be found
from sklearn.base import ClassifierMixin
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from data_prep.splits import resplit
from speech_emotion.data import cap_speakers
from speech_emotion.evaluation import measure
from speech_emotion.summary import summarise
from speech_emotion.training import balance

FOLDS = [f"fold:{number}" for number in range(1, 6)]  # the sixth one's actors are not among 20 of 24
CLIPS_PER_SPEAKER, SEED = 200, 42  # train.py's


def cross_validate(
    dataset: DatasetDict,
    protocols: list[str],
    describe: Callable[[Dataset], np.ndarray],
    make: Callable[[float], ClassifierMixin],
    cs: tuple[float, ...],
    refit: bool,
) -> dict:
    """Train and test on each protocol's splits, and sum up as `speech_emotion.summary` does.

    Clips are drawn as train.py draws them: 200 of a speaker at most, emotions of a corpus balanced by weight.

    Args:
        dataset: as data_prep makes it.
        protocols: as for train.py.
        describe: gives the features of rows, shape [rows, features]; each is scaled to training's mean and
            deviation.
        make: gives a new classifier with a C.
        cs: of which C is chosen on the validation speakers of each protocol.
        refit: train once more with the C chosen, on the validation speakers as well.

    Returns:
        The summary, `chosen_c` by protocol beside it.
    """
    reports, chosen = {}, {}

    def fit(rows: Dataset, c: float) -> Pipeline:
        model = make(c)
        weights = {f"{type(model).__name__.lower()}__sample_weight": balance(rows)}
        return make_pipeline(StandardScaler(), model).fit(describe(rows), rows["emotion"][:], **weights)

    for protocol in protocols:
        splits = resplit(dataset, protocol)
        training = cap_speakers(splits["train"], CLIPS_PER_SPEAKER, SEED)
        validation, test = splits["validation"], splits["test"]
        models = {c: fit(training, c) for c in cs}
        scores = {
            c: balanced_accuracy_score(validation["emotion"][:], model.predict(describe(validation)))
            for c, model in models.items()
        }
        best = chosen[protocol] = max(scores, key=scores.get)
        model = fit(concatenate_datasets([training, validation]), best) if refit else models[best]
        names = test.features["emotion"].names
        answers = np.eye(len(names))[model.predict(describe(test))]
        report = measure(answers, np.array(test["emotion"]), test, names)
        reports[protocol] = report | {"training": {"protocol": protocol}}
    return summarise(reports) | {"refit": refit, "chosen_c": chosen}
