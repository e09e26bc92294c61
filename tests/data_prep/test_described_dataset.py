import json
import sys

from conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
from dataset import count_corpora


def test_the_measured_figures_add_up():
    facts = json.loads((ROOT / "benchmarks" / "results" / "dataset.json").read_text())
    assert (
        sum(its["clips"] for its in facts["corpora"].values())
        == sum(facts["splits"].values())
        == facts["clips"]
    )
    for name, its in facts["corpora"].items():
        assert sum(its["splits"].values()) == its["clips"], name
        assert set(its["splits"]) == {"train": {"train"}, "test": {"test"}, "aside": {"aside"}}.get(
            its["role"], {"train", "validation", "test"}
        ), name


def test_a_small_dataset_is_described_by_its_corpora(small_dataset):
    facts = count_corpora(small_dataset)
    assert (facts["clips"], facts["speakers"]) == (32, 10)
    savee = facts["corpora"]["savee"]
    assert (savee["clips"], savee["speakers"], savee["languages"], savee["role"]) == (8, 4, ["en"], "folds")
    assert savee["labels"] == {"happy": 4, "sad": 4}
