"""Measure a finished model folder again, and write its report, pictures and card.

    python -m speech_emotion.evaluation models/wav2vec2 --data data/emotion

`train.py` ends with the same measurement.
"""

import argparse
import json
import shutil
from pathlib import Path

from speech_emotion.atomic import atomic_directory, format_os_error, restore
from speech_emotion.dataset import cap_corpora, open_dataset
from speech_emotion.evaluation.predict import SEED
from speech_emotion.evaluation.report import evaluate_folder, print_report


def main() -> None:
    """Measure a finished folder again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="model folder with its report.json")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--quick", action="store_true", help="leave out noise, telephone, MP3 and pipeline")
    parser.add_argument(
        "--comparisons",
        nargs="*",
        type=Path,
        default=[],
        help="summaries to compare with, of benchmarks/results",
    )
    parser.add_argument(
        "--threshold",
        type=json.loads,
        help="confidence from which on the model is sure, as JSON: a number, or one for each label (default: "
        "chosen on validation clips)",
    )
    parser.add_argument(
        "--elsewhere", type=Path, help="figures of speech_emotion.evaluation.elsewhere, which has thresholds"
    )
    parser.add_argument("--test_clips", type=int, help="of each corpus at most, drawn at random")
    args = parser.parse_args()
    restore(args.folder)
    before = args.folder / "report.json"
    if not before.is_file():
        raise SystemExit(f"{args.folder} has no report.json to read how its model was trained.")
    try:
        training = json.loads(before.read_text())["training"]
        dataset = open_dataset(args.data)
        dataset["test"] = cap_corpora(dataset["test"], args.test_clips, SEED)
        with atomic_directory(args.folder, "report.json") as fresh:
            shutil.copytree(args.folder, fresh, dirs_exist_ok=True)
            report = evaluate_folder(
                fresh, dataset, training, args.quick, args.comparisons, args.threshold, args.elsewhere
            )
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    except OSError as error:
        raise SystemExit(f"{format_os_error(error, args.folder)}. The report is as it was.") from error
    print_report(report)


if __name__ == "__main__":
    main()
