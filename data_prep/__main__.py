"""Merge the emotion corpora under a folder into one dataset.

    python -m data_prep --corpora corpora --output data/emotion

`datasets.load_from_disk("data/emotion")` opens the result: train, validation and test with no speaker in two
of them. `--push_to_hub NAME` publishes it as well, privately, for `datasets.load_dataset(NAME)`.
"""

import argparse
from collections import Counter
from pathlib import Path

import datasets

from data_prep.build import Skipped, build_dataset, summarise
from speech_emotion.audio import TRIM_DB
from speech_emotion.labels import SCHEMES


def main() -> None:
    """Run the command line."""
    args = parse_args()
    if not args.corpora.is_dir():
        raise SystemExit(
            f"There is no folder {args.corpora}. Unpack the corpora there, or name another folder."
        )
    datasets.disable_progress_bars()  # ours counts clips
    try:
        dataset, skipped = build_dataset(
            args.corpora,
            args.output,
            scheme=args.scheme,
            trim_db=args.trim_db or None,
            seed=args.seed,
            workers=args.workers,
        )
    except ValueError as error:
        raise SystemExit(str(error)) from error
    print(summarise(dataset))
    print_skipped(skipped, args.corpora)
    print(f"Saved to {args.output}")
    if args.push_to_hub:
        dataset.push_to_hub(args.push_to_hub, private=True)


def parse_args() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", type=Path, default=Path("corpora"), help="folder that holds the corpora")
    parser.add_argument("--output", type=Path, default=Path("data/emotion"), help="folder of the dataset")
    parser.add_argument(
        "--scheme", choices=SCHEMES, default="core8", help="label scheme (default: %(default)s)"
    )
    parser.add_argument(
        "--trim_db", type=float, default=TRIM_DB,
        help="trim silence this far below the loudest frame, in dB; 0 leaves it in (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the speakers held out (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="processes that decode (default: one per core)")
    parser.add_argument(
        "--push_to_hub", metavar="NAME", help="publish as this private dataset of the hub, too"
    )
    return parser.parse_args()


def print_skipped(skipped: list[Skipped], root: Path, most: int = 20) -> None:
    """Print how many files were left out for which reason, and the first of them."""
    print(f"Skipped: {len(skipped)} files (all of them in preparation.json)")
    for reason, count in Counter(skip.reason for skip in skipped).most_common(most):
        print(f"  {count:5d}  {reason}")
    for skip in skipped[:most]:
        print(f"  {skip.path.relative_to(root)}: {skip.reason}")


if __name__ == "__main__":
    main()
