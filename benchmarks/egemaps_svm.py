"""Baseline: hand-made features and a support vector machine, on the same splits as the classifiers.

    python benchmarks/egemaps_svm.py

openSMILE computes the 88 features of eGeMAPS for each whole clip. The machine has an RBF kernel; the
validation speakers of each fold choose its C. Needs the extra `bench`. Writes results/egemaps_svm_folds.json.
"""

from fixed_features import cross_validate, make_parser
from sklearn.svm import SVC

from data_prep.egemaps import cached_egemaps

CS = (0.3, 1.0, 3.0, 10.0)


def main() -> None:
    """Run the cross-validation."""
    options = make_parser(__doc__, "egemaps_svm_folds.json").parse_args()
    cross_validate(options, cached_egemaps, lambda c: SVC(C=c), CS, ["opensmile"])


if __name__ == "__main__":
    main()
