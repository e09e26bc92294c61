"""The floor: hand-made features and a support vector machine, on the splits the classifiers are tested on.

    python benchmarks/egemaps_svm.py

eGeMAPS (88 features of the whole clip, by openSMILE), and an RBF kernel whose C is chosen on the validation
speakers of each fold. Needs the extra `bench`. Writes results/egemaps_svm_folds.json.
"""

from fixed_features import cross_validate, make_parser
from sklearn.svm import SVC

from data_prep.egemaps import cached_egemaps

CS = (0.3, 1.0, 3.0, 10.0)


def main() -> None:
    """Measure and write the results."""
    options = make_parser(__doc__, "egemaps_svm_folds.json").parse_args()
    cross_validate(options, cached_egemaps, lambda c: SVC(C=c), CS, ["opensmile"])


if __name__ == "__main__":
    main()
