"""Describe the prepared dataset: clips, hours, speakers, languages, labels and role of every corpus.

    python benchmarks/dataset.py          # of data/emotion, into results/dataset.json

docs/data.md has the command that makes data/emotion, and tables of these figures (`make tables`).
"""

import argparse
import json
from pathlib import Path

import pandas as pd
from datasets import load_from_disk
from record import RESULTS, save_result


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data/emotion"), help="the prepared dataset")
    facts = count_corpora(parser.parse_args().data)
    save_result(RESULTS / "dataset.json", facts, ["datasets", "numpy", "soundfile", "soxr"])


def count_corpora(folder: Path) -> dict:
    """Count clips, hours, speakers and labels of every corpus of a prepared dataset."""
    report = json.loads((folder / "preparation.json").read_text())
    dataset = load_from_disk(folder)
    clips = pd.concat(
        rows.remove_columns("audio").to_pandas().assign(split=split) for split, rows in dataset.items()
    )
    names = next(iter(dataset.values())).features["emotion"].names
    corpora = {}
    for corpus, its in clips.groupby("corpus"):
        labels = its["emotion"][its["emotion"] >= 0].map(names.__getitem__).value_counts()
        corpora[corpus] = {
            "clips": len(its),
            "hours": round(float(its["duration"].sum()) / 3600, 2),
            "speakers": int(its["speaker"].nunique()),
            "languages": sorted(its["language"].dropna().unique()),
            "channels": its["channel"].value_counts().to_dict(),
            "role": report["roles"].get(corpus, "aside"),
            "labels": labels.sort_index().to_dict(),
            "splits": its["split"].value_counts().to_dict(),
        }
    return {
        "clips": len(clips),
        "hours": round(float(clips["duration"].sum()) / 3600, 1),
        "speakers": int(clips["speaker"].nunique()),
        "splits": {split: len(rows) for split, rows in dataset.items()},
        "settings": {
            name: report[name] for name in ("scheme", "crema_d_label", "trim_db", "protocol", "seed")
        },
        "left_out": report["counts"],
        "warnings": report["warnings"],
        "corpora": corpora,
    }


if __name__ == "__main__":
    main()
