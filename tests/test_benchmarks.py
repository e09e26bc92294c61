import json

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
