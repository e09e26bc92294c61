import json
import re

from bad_audio import make_inputs
from conftest import ROOT

README = " ".join((ROOT / "README.md").read_text().split())


def test_the_readme_says_what_preparation_was_measured_to_take():
    figures = json.loads((ROOT / "benchmarks" / "results" / "prepare.json").read_text())
    growth, beside = figures["growth"][-1], figures["against_librosa"]
    assert f"{growth['clips']:,} clips took {growth['seconds']:.0f} seconds" in README
    assert f"at most {growth['peak_pss_mb']} MB" in README
    assert f"{beside['files']:,} files at the rates they are published at took" in README
    assert (
        f"{beside['data_prep_seconds']} seconds: {beside['times_faster_than_load_kaiser_fast']} times"
        in README
    )
    assert f"and {beside['times_faster_than_load_trim_save']} times faster than the same work" in README
    assert f"which takes {beside['times_faster_than_load']} of that time alone" in README


def test_the_readme_states_the_accuracy_of_every_summary():
    lines = re.findall(r"^\| (.+) \| `(\w+)` \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    for line, name in lines:
        splits, ravdess, savee, accuracy = (cell.strip() for cell in line.split("|")[1:])
        summary = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
        groups = {group: f"{own['uar']:.1%}" for group, own in summary["groups"].items()}
        assert ravdess == groups.get("ravdess speech", ""), name
        assert savee == groups.get("savee speech", ""), name
        assert accuracy == f"{summary['overall']['accuracy']:.1%}", name
        assert summary["leaks_speakers"] == ("**leaks speakers**" in splits)
    assert len(lines) >= 3


def test_the_readme_states_how_long_a_visitor_waits():
    figures = json.loads((ROOT / "benchmarks" / "results" / "page.json").read_text())
    assert figures["clip_seconds"] == 3
    assert figures["machine"]["cores"] == 2
    assert figures["p95_seconds"] < 0.5
    assert f"takes {figures['median_seconds']:.2f} seconds (median of {figures['visits']} on 2" in README


def test_the_readme_states_what_was_lost_of_bad_inputs():
    figures = json.loads((ROOT / "benchmarks" / "results" / "inputs.json").read_text())
    assert figures["losses"] == 0
    assert len(make_inputs()) == figures["inputs"]
    seconds, memory = figures["most_seconds"], figures["most_memory_mb"]
    limits = f"within {seconds:.0f} seconds of one core and {memory:.0f} MB more memory"
    assert f"{limits}: 0 losses of {figures['inputs']} files" in README
    assert f"at each of {figures['entrances']} entrances" in README
    fuzzed = json.loads((ROOT / "benchmarks" / "results" / "fuzz.json").read_text())
    assert f"{fuzzed['findings']} findings in the {fuzzed['inputs']:,} inputs of its last run" in README


def test_the_readme_states_the_calibration_over_the_folds():
    summary = json.loads((ROOT / "benchmarks" / "results" / "wav2vec2_folds.json").read_text())
    calibration = summary["calibration"]
    folds = calibration["folds"].values()
    assert f"expected calibration error is {calibration['ece']:.3f};" in README
    assert f"single folds have {min(folds):.3f} to {max(folds):.3f}." in README
    left_out = result("wav2vec2_left_out")
    assert f"On a corpus left out whole it is {left_out['calibration']['ece']:.3f}:" in README
    for group, corpus in (("ravdess speech", "RAVDESS"), ("savee speech", "SAVEE")):
        known, unknown = (f"{each['groups'][group]['uar']:.1%}" for each in (summary, left_out))
        assert f"from {known} to {unknown} on {corpus}" in README


def test_the_readme_states_what_a_gpu_would_take():
    figures = result("gpu_estimate")
    need = f"{figures['memory_gb']['both']} GB for {figures['batch']} clips of five seconds"
    work = f"{figures['epochs']} epochs of {figures['clips']:,} clips are {figures['petaflop']} PFLOP"
    assert f"is reckoned, not measured: {need}, and {work}" in README
    assert f"{figures['minutes_at_20_teraflops']} minutes at 20 TFLOP/s" in README
    assert f"one worker takes {figures['minutes_to_read']} minutes to read" in README


def test_the_readme_states_how_far_the_export_is_from_the_checkpoint():
    exported = json.loads((ROOT / "models" / "wav2vec2" / "export.json").read_text())
    parity = exported["parity"]["model_int8.onnx"]
    assert f"gives {parity['agreement']:.1%} of the test clips the same label" in README
    assert f"a UAR of {parity['uar']:.1%} instead of {parity['checkpoint_uar']:.1%}" in README


def test_no_speaker_is_in_training_and_test_but_where_a_summary_says_so():
    for file in (ROOT / "benchmarks" / "results").glob("*.json"):
        summary = json.loads(file.read_text())
        if "protocols" in summary:
            assert summary["leaks_speakers"] == ("random" in file.stem), file.stem


def test_the_readme_states_how_many_faults_lost_nothing():
    figures = json.loads((ROOT / "benchmarks" / "results" / "faults.json").read_text())
    counted = sum(count for kinds in figures["works"].values() for count in kinds.values())
    assert figures["losses"] == []
    assert figures["faults"] == counted >= 50
    assert (
        f"{counted} faults (killed, disk full, writing denied) in preparing, training and measuring" in README
    )
    assert f"`{figures['command']}`" in README


def test_the_audit_says_what_it_knows_and_no_licence_spreads_to_this_project():
    audit = json.loads((ROOT / "benchmarks" / "results" / "audit.json").read_text())
    assert (audit["advisories"] is None) == bool(audit["advisories_unknown_because"])
    assert not audit["advisories"]
    named = [name for names in audit["licences"].values() for name in names]
    assert len(named) == audit["packages"] > 100
    spreading = [words for words in audit["licences"] if re.search(r"(?<!L)GPL|Affero", words)]
    assert spreading == [], spreading


def result(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def test_the_readme_states_how_fast_every_contestant_answers():
    for name, own in result("speed")["clips"].items():
        cells = [f"{own['median_ms']:.0f} ms", f"{own['p95_ms']:.0f} ms", f"{own['memory_mb']} MB"]
        cells += [f"{own['times_as_fast_as_peer']}", f"{own['uar']}%"]
        assert f"| {name} | {' | '.join(cells)} |" in README


def test_the_readme_states_how_long_recordings_visitors_and_trainings_take():
    speed, load, training = result("speed"), result("visitors"), result("training")["ways"]
    ten, hour = speed["recordings"]["10"], speed["recordings"]["60"]
    assert f"ten minutes take {ten['seconds']} seconds and {ten['memory_mb']} MB" in README
    assert f"an hour {hour['seconds']} seconds and {hour['memory_mb']} MB" in README
    assert (
        f"within {speed['live']['p95_ms']:.0f} ms ({load['live']['p95_ms']:.0f} ms through the app)" in README
    )
    assert f"answers {load['ready_after_seconds']} seconds after its start" in README
    few, many = load["few"], load["many"]
    assert f"{few['visitors']} visitors at once wait {few['median_seconds']} seconds" in README
    assert f"at most {few['p95_seconds']} for 95%" in README
    assert f"Of {many['visitors']} at once, each got the answer" in README
    assert f"half of them within {many['median_seconds']:.0f} seconds" in README
    memory = load["memory"]
    assert memory["lost"] == 0
    assert f"{memory['visitors_a_wave'] * len(memory['mb_after_each_wave']):,} visitors" in README
    assert f"from {memory['mb_after_each_wave'][0]} to {memory['mb_after_each_wave'][-1]} MB" in README
    assert (many["lost"], few["lost"], many["right"]) == (0, 0, many["visitors"])
    ratios = [own["times_as_fast_as_peer"] for name, own in training.items() if name.startswith("this")]
    assert f"{ratios[0]} times as many clips a second" in README
    assert f"train.py --use_cpu`) are {ratios[1]} times as fast" in README
    one, two = training["this recipe"], training["this recipe, two processes"]
    assert f"(mean loss {two['mean_loss']}, as one process {one['mean_loss']})" in README
    assert abs(two["mean_loss"] - one["mean_loss"]) <= 0.02
    assert f"{ratios[2]} times where" in README


def test_what_is_served_is_as_fast_and_as_steady_as_promised():
    speed, load = result("speed"), result("visitors")
    served = speed["clips"]["models/wav2vec2, as served"]
    assert speed["machine"]["cores"] == 2
    assert served["median_ms"] <= 25
    assert served["times_as_fast_as_peer"] >= 10
    assert speed["recordings"]["10"]["seconds"] < 600 / 50
    assert speed["live"]["p95_ms"] < 100
    assert load["few"]["p95_seconds"] < 3
    assert load["ready_after_seconds"] < 10
