"""Describe the prepared dataset, and fill the tables of docs/data.md with what was found.

    python benchmarks/dataset.py              # of data/emotion: results/dataset.json and the tables
    python benchmarks/dataset.py --tables     # the tables alone, from results/dataset.json and the code

docs/data.md has the command that makes data/emotion. A table is between `<!-- NAME -->` and `<!-- end -->`.
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from datasets import load_from_disk
from record import RESULTS, ROOT, save_result

from data_prep.languages import language_name
from data_prep.licences import licence_of, licence_row
from data_prep.splits import FOLDS, HALVES, PROTOCOLS
from speech_emotion.labels import POLICY, SCHEMES

RESULT = RESULTS / "dataset.json"
PAGE = ROOT / "docs" / "data.md"
ROLES = {
    "folds": "its folds",
    "train": "trains",
    "hold out": "speakers held out",
    "test": "tests",
    "random": "clips drawn at random",
    "aside": "set aside",
}


def main() -> None:
    """Measure and write the results and the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data/emotion"), help="the prepared dataset")
    parser.add_argument(
        "--tables", action="store_true", help="only fill the tables, from the results on file"
    )
    args = parser.parse_args()
    if not args.tables:
        save_result(RESULT, describe(args.data), ["datasets", "numpy", "soundfile", "soxr"])
    PAGE.write_text(fill(PAGE.read_text(), json.loads(RESULT.read_text())))


def describe(folder: Path) -> dict:
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


def fill(page: str, facts: dict) -> str:
    """Return a page with the text between its markers replaced by the tables of those names."""
    for name, table in tables(facts).items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = marked.sub(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", page)
    return page


def tables(facts: dict) -> dict[str, str]:
    """Render every table of docs/data.md as Markdown."""
    labels = SCHEMES[facts["settings"]["scheme"]]
    counts = [
        [f"`{name}`", *(its["labels"].get(label, "") for label in labels)]
        for name, its in facts["corpora"].items()
    ]
    policy = [
        [rule.word, *(getattr(rule, scheme) or "" for scheme in SCHEMES), rule.why]
        for rule in POLICY.values()
    ]
    folds = [
        [f"`{name}`", len(folds), ", ".join(str(len(fold.split())) for fold in folds)]
        for name, folds in (FOLDS | HALVES).items()
    ]
    return {
        "corpora": render(
            ["corpus", "name", "clips", "hours", "speakers", "language", "role"], list(corpus_rows(facts))
        ),
        "labels": render(["corpus", *labels], counts),
        "left out": render(["reason", "files"], list(facts["left_out"].items())),
        "policy": render(["word", *SCHEMES, "why"], policy),
        "protocols": render(["protocol", "splits"], [[f"`{name}`", it] for name, it in PROTOCOLS.items()]),
        "folds": render(["corpus", "folds", "speakers in each"], folds),
        "licences": render(
            ["corpus", "licence", "it allows", "audio in a public copy"],
            list(map(licence_row, facts["corpora"])),
        ),
    }


def corpus_rows(facts: dict) -> Iterator[list]:
    """Yield a line for every corpus and one for all of them."""
    for name, its in facts["corpora"].items():
        languages = ", ".join(map(language_name, its["languages"]))
        sizes = [f"{its['clips']:,}", its["hours"], its["speakers"]]
        yield [licence_of(name).title, f"`{name}`", *sizes, languages, ROLES[its["role"]]]
    yield ["all", "", f"{facts['clips']:,}", facts["hours"], facts["speakers"], "", ""]


def render(head: list, rows: list[list]) -> str:
    """Render a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    main()
