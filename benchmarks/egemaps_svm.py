"""The floor: hand-made features and a support vector machine, on the splits the classifiers are tested on.

    python benchmarks/egemaps_svm.py

eGeMAPS (88 features of the whole clip, by openSMILE), and an RBF kernel whose C is chosen on the validation
speakers of each fold. Needs requirements-bench.txt. Writes results/egemaps_svm_folds.json.
"""

import argparse
from pathlib import Path

from fixed_features import FOLDS, cross_validate
from machine import RESULTS, save_result
from sklearn.svm import SVC

from speech_emotion.data import open_dataset
from speech_emotion.egemaps import cached_egemaps

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
    figures = cross_validate(
        open_dataset(args.data), args.protocol, cached_egemaps, lambda c: SVC(C=c), CS, refit=True
    )
    print(figures["overall"], {name: own["uar"] for name, own in figures["groups"].items()})
    save_result(args.output, figures, ["opensmile", "scikit-learn"])


if __name__ == "__main__":
    main()
