"""The results files hold what the documents promise, and the documents say what the results files hold."""

import json
import re
import subprocess
import sys

import pytest
from bad_audio import make_inputs
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import tables

RESULTS = ROOT / "benchmarks" / "results"


def result(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text())


@pytest.mark.parametrize("path", tables.documents(), ids=lambda path: path.name)
def test_every_table_and_value_of_a_document_is_that_of_the_results(path):
    assert tables.render(path.read_text()) == path.read_text(), "run make tables"


def test_a_table_out_of_date_is_found_and_a_mark_without_a_result_is_an_error():
    text = '<!-- table quality -->old<!-- end --> and <!-- value results/inputs "losses" d -->7<!-- end -->'
    fresh = tables.render(text)
    assert tables.quality() in fresh
    assert fresh.endswith(f"-->{result('inputs')['losses']}<!-- end -->")
    assert tables.render(fresh) == fresh
    with pytest.raises(KeyError):
        tables.render("<!-- table nothing -->x<!-- end -->")
    with pytest.raises(KeyError):
        tables.render('<!-- value results/inputs "nothing" d -->x<!-- end -->')


def test_a_key_with_a_slash_is_found():
    served = result("speed")["clips"]["models/cnn, as served"]["median_ms"]
    assert tables.value('results/speed "clips/models/cnn, as served/median_ms" .1f') == f"{served:.1f}"


def test_every_link_of_a_document_leads_somewhere():
    for path in (*tables.documents(), ROOT / "CONTRIBUTING.md", ROOT / "models" / "LICENSE.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_readme_fits_on_a_few_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160


def test_no_speaker_is_in_training_and_test_but_where_a_summary_says_so():
    for file in RESULTS.glob("*.json"):
        summary = json.loads(file.read_text())
        if "protocols" in summary:
            assert summary["leaks_speakers"] == ("random" in file.stem), file.stem


def test_no_bad_input_was_lost():
    figures = result("inputs")
    assert figures["losses"] == 0
    assert len(make_inputs()) == figures["inputs"]
    assert result("fuzz")["findings"] == 0


def test_no_fault_lost_anything():
    figures = result("faults")
    counted = sum(count for kinds in figures["works"].values() for count in kinds.values())
    assert figures["losses"] == []
    assert figures["faults"] == counted >= 50


def test_the_audit_says_what_it_knows_and_no_licence_spreads_to_this_project():
    audit = result("audit")
    assert (audit["advisories"] is None) == bool(audit["advisories_unknown_because"])
    assert not audit["advisories"]
    named = [name for names in audit["licences"].values() for name in names]
    assert len(named) == audit["packages"] > 100
    spreading = [words for words in audit["licences"] if re.search(r"(?<!L)GPL|Affero", words)]
    assert spreading == [], spreading


def test_visitors_and_trainings_lost_nothing():
    load, training = result("visitors"), result("training")["ways"]
    few, many = load["few"], load["many"]
    assert (many["lost"], few["lost"], many["right"]) == (0, 0, many["visitors"])
    assert load["memory"]["lost"] == 0
    one, two = training["this recipe"], training["this recipe, two processes"]
    assert abs(two["mean_loss"] - one["mean_loss"]) <= 0.02


def test_what_is_served_is_as_fast_and_as_steady_as_promised():
    speed, load, page = result("speed"), result("visitors"), result("page")
    served = speed["clips"]["models/wav2vec2, as served"]
    assert speed["machine"]["cores"] == 2
    assert served["median_ms"] <= 25
    assert served["times_as_fast_as_peer"] >= 10
    assert speed["recordings"]["10"]["seconds"] < 600 / 50
    assert speed["live"]["p95_ms"] < 100
    assert load["few"]["p95_seconds"] < 3
    assert load["ready_after_seconds"] < 10
    assert page["machine"]["cores"] == 2
    assert page["p95_seconds"] < 0.5
    assert result("startup")["processes"]["speech-emotion clip.wav"]["cpu_seconds"] < 3


def test_an_archive_costs_no_memory_loses_nothing_and_is_as_fast_as_promised():
    figures = result("archive")
    parts = figures["parts"]
    memory = parts["memory"]
    assert memory["files"] == [100, 1000, 10_000]
    assert max(memory["whole_mb"]) < 1.1 * min(memory["whole_mb"])
    if same := parts.get("same tables"):
        assert same["files"] >= 2200
        assert set(same["same"].values()) == {True}
    if "speedup_of_2_processes" in figures:
        assert figures["machine"]["cores"] == 2
        assert figures["speedup_of_2_processes"] >= 1.8
        assert parts["2 processes"]["times_as_fast_as_the_sound_lasts"] >= 250


def test_an_archive_that_is_not_measured_is_said_not_to_be(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    for table in (tables.archive, tables.archive_memory, tables.archive_same, tables.million_hours):
        assert table() == tables.NOT_MEASURED


def test_a_reference_costs_little_and_changes_nothing_where_there_is_none():
    cost = result("reference_cost")
    assert cost["cpu_ms_of_a_reference"] <= 1
    assert cost["clips_that_differ_without_a_reference"] == 0
    recording = cost["recording"]
    assert recording["own utterances"]["cpu_seconds"] < 1.2 * recording["none"]["cpu_seconds"]


def test_the_command_that_writes_the_tables_names_what_is_out_of_date(tmp_path):
    done = subprocess.run([sys.executable, "benchmarks/tables.py"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
