import json
import sys

from conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import dataset as page

TEXT = (ROOT / "docs" / "data.md").read_text()
FACTS = json.loads((ROOT / "benchmarks" / "results" / "dataset.json").read_text())


def test_the_tables_of_the_page_are_those_that_the_command_writes():
    assert page.fill(TEXT, FACTS) == TEXT
    for name in page.tables(FACTS):
        assert TEXT.count(f"<!-- {name} -->\n|") == 1, name


def test_the_measured_figures_add_up():
    assert (
        sum(its["clips"] for its in FACTS["corpora"].values())
        == sum(FACTS["splits"].values())
        == FACTS["clips"]
    )
    for name, its in FACTS["corpora"].items():
        assert sum(its["splits"].values()) == its["clips"], name
        assert set(its["splits"]) == {"train": {"train"}, "test": {"test"}, "aside": {"aside"}}.get(
            its["role"], {"train", "validation", "test"}
        ), name


def test_a_small_dataset_is_described_by_its_corpora(small_dataset):
    facts = page.describe(small_dataset)
    assert (facts["clips"], facts["speakers"]) == (32, 10)
    savee = facts["corpora"]["savee"]
    assert (savee["clips"], savee["speakers"], savee["languages"], savee["role"]) == (8, 4, ["en"], "folds")
    assert savee["labels"] == {"happy": 4, "sad": 4}
    assert "| SAVEE | `savee` | 8 |" in page.fill("<!-- corpora -->\nold\n<!-- end -->", facts)
