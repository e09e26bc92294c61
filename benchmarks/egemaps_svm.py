"""The floor: hand-made features and a support vector machine, on the splits the classifiers are tested on.

    python benchmarks/egemaps_svm.py

eGeMAPS (88 features of the whole clip, by openSMILE), each scaled to training's mean and deviation, and an
RBF kernel whose C is chosen on the validation speakers of each fold. Clips are drawn as train.py draws them:
200 of a speaker at most, emotions of a corpus balanced by weight.
"""

import argparse
from pathlib import Path

import numpy as np
from datasets import DatasetDict
from machine import RESULTS, save_result
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from data_prep.splits import resplit
from speech_emotion.data import cap_speakers, open_dataset
from speech_emotion.egemaps import cached_egemaps
from speech_emotion.evaluation import measure
from speech_emotion.summary import summarise
from speech_emotion.training import balance

FOLDS = [f"fold:{number}" for number in range(1, 6)]  # the sixth one's actors are not among 20 of 24
CLIPS_PER_SPEAKER, SEED = 200, 42  # train.py's
CS = (0.3, 1.0, 3.0, 10.0)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--protocol", nargs="+", default=FOLDS, help="as for train.py")
    parser.add_argument("--output", type=Path, default=RESULTS / "egemaps_svm_folds.json")
    args = parser.parse_args()
    dataset = open_dataset(args.data)
    reports = {protocol: run(resplit(dataset, protocol), protocol) for protocol in args.protocol}
    figures = summarise(reports) | {"chosen_c": {name: own["c"] for name, own in reports.items()}}
    print(figures["overall"], {name: own["uar"] for name, own in figures["groups"].items()})
    save_result(args.output, figures, ["opensmile", "scikit-learn"])


def run(splits: DatasetDict, protocol: str) -> dict:
    """Choose C on validation, train on training alone, and measure the test split."""
    rows = cap_speakers(splits["train"], CLIPS_PER_SPEAKER, SEED)
    features, labels, weights = cached_egemaps(rows), np.array(rows["emotion"]), balance(rows)
    validation = cached_egemaps(splits["validation"]), np.array(splits["validation"]["emotion"])

    def fit(c: float) -> Pipeline:
        return make_pipeline(StandardScaler(), SVC(C=c)).fit(features, labels, svc__sample_weight=weights)

    models = {c: fit(c) for c in CS}
    best = max(CS, key=lambda c: balanced_accuracy_score(validation[1], models[c].predict(validation[0])))
    test = splits["test"]
    names = test.features["emotion"].names
    predictions = models[best].predict(cached_egemaps(test))
    scores = measure(np.eye(len(names))[predictions], np.array(test["emotion"]), test, names)
    return scores | {"c": best, "training": {"protocol": protocol}}


if __name__ == "__main__":
    main()
