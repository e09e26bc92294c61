"""Write the tables and figures of README and docs from `benchmarks/results/` and the shipped models' reports.

    python benchmarks/tables.py          # exit with status 1 and name the files that are out of date
    python benchmarks/tables.py --write  # write them anew; `make tables` does this

A document marks where a table or a single value goes; what stands between the marks is replaced:

    <!-- table quality --> ... <!-- end -->
    <!-- value results/speed "clips/models/cnn, as served/median_ms" .0f -->3<!-- end -->

A value names a JSON file under `benchmarks/` or the repository without its ending, the path of the value in
it, and a format specification of Python's.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # finds the packages from any working directory

from data_prep.corpora import CORPORA  # noqa: E402
from data_prep.download import SOURCES  # noqa: E402
from data_prep.languages import language_name  # noqa: E402
from data_prep.licences import licence_of, licence_row  # noqa: E402
from data_prep.splits import FOLDS, HALVES, PROTOCOLS  # noqa: E402
from speech_emotion.labels import POLICY, SCHEMES  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = ("README.md", "docs/*.md")
MARK = re.compile(r"(<!-- (table|value) ([^>]+?) -->)(.*?)(<!-- end -->)", re.DOTALL)
VALUE = re.compile(r'(\S+) "([^"]+)" (\S+)')

NO_VALUE = "–"
NOT_MEASURED = "It has not been measured yet.\n"
# The groups that have a column of their own, where the shipped models' reports have enough clips of them.
NAMES = {
    "ravdess speech": "RAVDESS speech",
    "savee speech": "SAVEE",
    "crema_d speech": "CREMA-D",
    "meld speech": "MELD (television)",
}
ROLES = {  # of a corpus in the prepared dataset
    "folds": "split by its folds",
    "train": "trains",
    "hold out": "speakers held out",
    "test": "tests",
    "random": "clips drawn at random",
    "aside": "set aside",
}
FEWEST_CLIPS = 50
# Result files of cross-validation, in the order of the table, and what was trained.
SUMMARIES = {
    "wav2vec2_folds": "wav2vec2",
    "frozen_distilled_folds": "Whisper base.en, three layers distilled and frozen, logistic regression",
    "frozen_whisper_folds": "Whisper base.en, three layers frozen, logistic regression",
    "cnn_folds": "spectrogram CNN",
    "egemaps_svm_folds": "eGeMAPS, support vector machine",
    "cnn_mfcc_folds": "MFCC CNN of 56,040 parameters",
    "wav2vec2_left_out": "wav2vec2",
    "cnn_left_out": "spectrogram CNN",
    "wav2vec2_random_ravdess_speech": "wav2vec2",
    "wav2vec2_random_all": "wav2vec2",
    "cnn_random_all": "spectrogram CNN",
}


def main() -> None:
    """Write the documents, or exit with status 1 if one is out of date."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write what is out of date")
    write = parser.parse_args().write
    old = []
    for path in documents():
        text = path.read_text()
        if text != (fresh := render(text)):
            old.append(str(path.relative_to(ROOT)))
            if write:
                path.write_text(fresh)
    if old:
        print(f"{'Written' if write else 'Out of date'}: {', '.join(old)}")
    raise SystemExit(bool(old) and not write)


def documents() -> list[Path]:
    """List the documents that may hold marks."""
    return [path for pattern in DOCUMENTS for path in sorted(ROOT.glob(pattern))]


def render(text: str) -> str:
    """Replace what stands between the marks of a document."""

    def fill(match: re.Match) -> str:
        start, kind, name, _, end = match.groups()
        content = f"\n\n{TABLES[name]()}\n" if kind == "table" else value(name)
        return f"{start}{content}{end}"

    return MARK.sub(fill, text)


def value(mark: str) -> str:
    """Return the formatted value that a mark names.

    Raises:
        ValueError: the mark does not have the form of the module's docstring.
        KeyError: the file has no such value.
    """
    if not (parts := VALUE.fullmatch(mark)):
        raise ValueError(f"{mark!r} is not a file, a quoted path and a format.")
    file, path, specification = parts.groups()
    found = read(file)
    keys = path.split("/")
    while keys:  # a key may itself contain a slash
        length = next((n for n in range(len(keys), 0, -1) if "/".join(keys[:n]) in found), 1)
        found = found["/".join(keys[:length])]
        keys = keys[length:]
    return format(found, specification)


@cache
def read(name: str) -> dict:
    """Read a JSON file by its name without the ending, under `benchmarks/` or the repository."""
    path = ROOT / "benchmarks" / f"{name}.json"
    return json.loads((path if path.exists() else ROOT / f"{name}.json").read_text())


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Render a Markdown table."""
    header = [*header]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def percent(share: float | None) -> str:
    """Format a share with one decimal; a dash for None."""
    return NO_VALUE if share is None else f"{share:.1%}"


@cache
def columns() -> dict[str, str]:
    """Return the groups with a column of their own, and their names."""
    found = read("models/wav2vec2/report")["groups"]
    return {
        group: name
        for group, name in NAMES.items()
        if group in found and found[group]["clips"] >= FEWEST_CLIPS
    }


def quality() -> str:
    """Render the table of the README: unweighted average recall of the shipped models, and what flatters."""
    rows = []
    for name in ("wav2vec2", "cnn"):
        report = read(f"models/{name}/report")
        cells = [report_uar(report, group) for group in columns()]
        parameters = f"{report['parameters'] / 1e6:.1f} M"
        rows.append([f"`models/{name}` ({parameters})", "speakers never heard", *cells])
    for name, splits in {
        "wav2vec2_left_out": "whole corpora never heard",
        "wav2vec2_random_all": "random clips, **leaks speakers**",
    }.items():
        rows.append(["the same recipe as wav2vec2", splits, *summary_uars(read(f"results/{name}"))])
    return markdown(["model", "tested on", *columns().values()], rows)


def report_uar(report: dict, group: str) -> str:
    """Return the UAR of a report's group; a dash where it has none."""
    own = report["groups"].get(group)
    return percent(own["uar"] if own and own["clips"] >= FEWEST_CLIPS else None)


def summary_uars(summary: dict) -> list[str]:
    """Return the mean UAR over a summary's folds for each of the `columns`."""
    return [
        percent(summary["groups"][group]["uar"] if is_tested(summary, group) else None) for group in columns()
    ]


def is_tested(summary: dict, group: str) -> bool:
    """Return whether a summary tested a group in earnest: some had a few sample clips of a corpus."""
    if group not in summary["groups"]:
        return False
    counts = re.findall(r"(\d[\d,]*) (\w+)", summary.get("training", {}).get("data", ""))
    few = {corpus for clips, corpus in counts if int(clips.replace(",", "")) < FEWEST_CLIPS}
    folds = [name for name in summary["protocols"] if name.startswith("fold:")]
    return group.split()[0] not in few and 2 * len(summary["groups"][group]["folds"]) > len(folds)


def summaries() -> str:
    """Render the table of cross-validations: one row for each results file."""
    rows = []
    for name, trained in SUMMARIES.items():
        if not (RESULTS / f"{name}.json").exists():
            continue
        own = read(f"results/{name}")
        error = own["calibration"]["ece"] if own.get("calibration") else None
        rows.append(
            [
                trained,
                describe_splits(own),
                *summary_uars(own),
                percent(own["overall"]["accuracy"]),
                NO_VALUE if error is None else f"{error:.3f}",
                f"`{name}`",
            ]
        )
    return markdown(["model", "splits", *columns().values(), "accuracy", "calibration error", "file"], rows)


def describe_splits(summary: dict) -> str:
    """Return how a summary's clips were split, in words."""
    kinds, names = zip(*(protocol.partition(":")[::2] for protocol in summary["protocols"]), strict=True)
    if summary["leaks_speakers"]:
        return "random, **leaks speakers**"
    if kinds[0] == "leave_out":
        return f"left out whole: {', '.join(names)}"
    return f"folds {', '.join(names)}; speakers never heard"


def shipped() -> str:
    """Render all of what the shipped models' reports say of unseen speakers."""
    rows = []
    for name in ("wav2vec2", "cnn"):
        report = read(f"models/{name}/report")
        overall = report["overall"]
        rows.append(
            [
                f"`models/{name}`",
                f"{report['clips']:,} of {len(report['speakers'])} speakers",
                *(percent(overall[figure]) for figure in ("uar", "accuracy", "macro_f1")),
                *(report_uar(report, group) for group in columns()),
                f"{report['calibration']['ece']:.3f}",
            ]
        )
    return markdown(
        ["model", "test clips", "UAR", "accuracy", "macro-F1", *columns().values(), "calibration error"], rows
    )


def exports() -> str:
    """Render how far each export is from its checkpoint."""
    rows = [
        [
            f"`models/{path.parent.name}/{file}`",
            percent(own["agreement"]),
            percent(own["uar"]),
            percent(own["checkpoint_uar"]),
        ]
        for path in sorted((ROOT / "models").glob("*/export.json"))
        for file, own in read(f"models/{path.parent.name}/export")["parity"].items()
    ]
    return markdown(["export", "same label as the checkpoint", "UAR", "UAR of the checkpoint"], rows)


def robustness() -> str:
    """Render the shipped models' UAR on the test clips, changed as a telephone or a noisy room would."""
    own, other = (read(f"models/{name}/report")["robustness"] for name in ("wav2vec2", "cnn"))
    rows = [[name, percent(own[name]["uar"]), percent(other[name]["uar"])] for name in own]
    return markdown(["test clips", "`models/wav2vec2`, UAR", "`models/cnn`, UAR"], rows)


def speed() -> str:
    """Render the time of an answer to three seconds of speech."""
    rows = [
        [
            name,
            f"{own['median_ms']:.0f} ms",
            f"{own['p95_ms']:.0f} ms",
            f"{own['memory_mb']} MB",
            f"{own['times_as_fast_as_peer']}",
        ]
        for name, own in read("results/speed")["clips"].items()
    ]
    return markdown(["", "median", "95th percentile", "memory", "times as fast as wav2vec2-base"], rows)


def recordings() -> str:
    """Render the time of a timeline."""
    results = read("results/speed")
    rows = [
        [f"{minutes} minutes", f"{own['seconds']} s", f"{own['memory_mb']} MB"]
        for minutes, own in results["recordings"].items()
    ]
    minute = results["minute_in_pipeline"]
    rows.append([f"1 minute in {results['peer']}", f"{minute['seconds']} s", f"{minute['memory_mb']} MB"])
    return markdown(["recording", "time", "memory"], rows)


def visitors() -> str:
    """Render how long visitors of the app wait."""
    results = read("results/visitors")
    rows = [["first answer after the start", f"{results['ready_after_seconds']} s", NO_VALUE]]
    rows += [
        [f"{own['visitors']} visitors at once", f"{own['median_seconds']} s", f"{own['p95_seconds']} s"]
        for own in (results["few"], results["many"])
    ]
    live = results["live"]
    rows.append(["live, half a second of sound", f"{live['median_ms']} ms", f"{live['p95_ms']} ms"])
    return markdown(["", "median", "95th percentile"], rows)


def soak() -> str:
    """Render the app's memory before and after mixed requests."""
    results = read("results/soak")
    first, *after = results["mb"]
    rows = [["no", f"{first} MB"], [f"{results['requests']:,}, at most", f"{max(after)} MB"]]
    return markdown(["mixed requests", "memory"], rows)


def startup() -> str:
    """Render the times of the command and the app as whole processes, wall times of an idle machine only."""
    results = read("results/startup")
    idle = results["load_average"] < results["machine"]["cores"] / 2
    rows = [
        [name, f"{own['cpu_seconds']:.1f} s", f"{own['seconds']:.1f} s" if idle else NO_VALUE]
        for name, own in results["processes"].items()
    ]
    return markdown(["process", "processor time", "wall time"], rows)


def corpora() -> str:
    """Render the corpora that data preparation reads, with licence and the way to get each."""
    rows = []
    for name, corpus in sorted(CORPORA.items(), key=lambda item: item[1].NAME.lower()):
        way = f"`download {name}`" if name in SOURCES else "from its authors"
        rows.append([f"[{corpus.NAME}]({corpus.HOMEPAGE})", corpus.LICENSE, way])
    return markdown(["corpus", "licence", "how to get it"], rows)


def dataset() -> str:
    """Render the size, the languages and the role of every corpus of the prepared dataset."""
    facts = read("results/dataset")
    rows = [
        [
            licence_of(name).title,
            f"`{name}`",
            f"{its['clips']:,}",
            f"{its['hours']:.1f}",
            f"{its['speakers']}",
            ", ".join(map(language_name, its["languages"])),
            ROLES[its["role"]],
        ]
        for name, its in facts["corpora"].items()
    ]
    rows.append(["all", "", f"{facts['clips']:,}", f"{facts['hours']:.1f}", f"{facts['speakers']}", "", ""])
    return markdown(["corpus", "name", "clips", "hours", "speakers", "language", "role"], rows)


def labels() -> str:
    """Render the clips of every label in every corpus of the prepared dataset."""
    facts = read("results/dataset")
    names = SCHEMES[facts["settings"]["scheme"]]
    rows = [
        [f"`{name}`", *(str(its["labels"].get(label, "")) for label in names)]
        for name, its in facts["corpora"].items()
    ]
    return markdown(["corpus", *names], rows)


def left_out() -> str:
    """Render the number of files that preparation left out, by reason."""
    counts = read("results/dataset")["left_out"]
    return markdown(["reason", "files"], [[reason, str(count)] for reason, count in counts.items()])


def policy() -> str:
    """Render the label policy."""
    rows = [
        [rule.word, *(getattr(rule, scheme) or "" for scheme in SCHEMES), rule.why]
        for rule in POLICY.values()
    ]
    return markdown(["word", *SCHEMES, "why"], rows)


def protocols() -> str:
    """Render the ways to split the dataset."""
    return markdown(["protocol", "splits"], [[f"`{name}`", what] for name, what in PROTOCOLS.items()])


def folds() -> str:
    """Render the corpora with folds of speakers."""
    rows = [
        [f"`{name}`", str(len(groups)), ", ".join(str(len(names.split())) for names in groups)]
        for name, groups in (FOLDS | HALVES).items()
    ]
    return markdown(["corpus", "folds", "speakers in each"], rows)


def permissions() -> str:
    """Render what the licence of every corpus of the prepared dataset allows."""
    rows = [licence_row(name) for name in read("results/dataset")["corpora"]]
    return markdown(["corpus", "licence", "it allows", "audio in a public copy"], rows)


def training() -> str:
    """Render the speed of training on a CPU."""
    rows = [
        [
            name,
            f"{own['clips_per_second']}",
            f"{own['times_as_fast_as_peer']}",
            percent(own["validation_uar"]),
        ]
        for name, own in read("results/training")["ways"].items()
    ]
    return markdown(["", "clips a second", "times as fast", "validation UAR"], rows)


def reference() -> str:
    """Render what a speaker's own voice is worth, in UAR, by corpus."""
    conditions = ("none", "1 plain", "3 plain", "20 of a call, 70 % plain", "somebody else, same sex")
    report = read("results/reference")
    rows = [
        [f"{corpus}, {kind}", f"{own['clips']:,}", *(percent(own.get(name)) for name in conditions)]
        for kind, key in (("speakers held out", "folds"), ("left out whole", "left_out"))
        for corpus, own in report[key].items()
    ]
    return markdown(["", "clips", *conditions], rows)


def preparation() -> str:
    """Render the time and memory of preparing a dataset."""
    rows = [
        [f"{own['clips']:,}", f"{own['seconds']} s", f"{own['peak_pss_mb']} MB"]
        for own in read("results/prepare")["growth"]
    ]
    return markdown(["clips", "time", "memory"], rows)


def archive() -> str:
    """Render the speed of an archive in each way that is measured."""
    rows = [
        [
            name,
            f"{own['files_per_second']:.1f}",
            f"{own['times_as_fast_as_the_sound_lasts']:.0f}",
            f"{own['hours_of_sound_per_core_hour']:.0f}" if "processor_seconds" in own else NO_VALUE,
        ]
        for name, own in archive_parts().items()
        if "files_per_second" in own
    ]
    header = ["way", "files a second", "hours of sound an hour", "hours of sound in an hour of a core"]
    return markdown(header, rows) if rows else NOT_MEASURED


def archive_memory() -> str:
    """Render the memory of an archive by its number of recordings."""
    if not (own := archive_parts().get("memory")):
        return NOT_MEASURED
    keys = ("whole_mb", "parent_mb", "worker_mb")
    rows = [
        [f"{files:,}", *(f"{own[key][number]:,} MB" for key in keys)]
        for number, files in enumerate(own["files"])
    ]
    header = [
        "recordings",
        "all processes",
        "the one that writes the tables",
        "the larger of two that answer",
    ]
    return markdown(header, rows)


def archive_same() -> str:
    """Render how the tables of one folder compare, made in all ways with kills in between."""
    if not (own := archive_parts().get("same tables")):
        return NOT_MEASURED
    rows = [[way, "the same" if same else "**different**"] for way, same in own["same"].items()]
    title = f"{own['files']:,} recordings, {own['failed']} of them without an answer"
    return markdown([title, "tables, byte for byte, beside those of one process"], rows)


def million_hours() -> str:
    """Render what an archive of a million hours would take, by the measured speed."""
    own = read("results/archive").get("million_hours") if archive_parts() else None
    if not own:
        return NOT_MEASURED
    price = f"price at {own['assumed_dollars_an_hour_of_a_core']} dollars for an hour of a core"
    rows = [
        ["hours of a core", f"{own['core_hours']:,}"],
        [f"hours of {own['nodes']} nodes with {own['cores_of_a_node']} cores each", f"{own['hours']}"],
        [price, f"{own['dollars']:,} dollars"],
    ]
    return markdown([f"{own['hours_of_sound']:,} hours of sound", ""], rows)


def archive_parts() -> dict:
    """Return the parts of the archive's benchmark that have been measured."""
    return read("results/archive")["parts"] if (RESULTS / "archive.json").exists() else {}


def licences() -> str:
    """Render the licences of what `requirements.txt` installs."""
    rows = [[words, ", ".join(names)] for words, names in read("results/audit")["licences"].items()]
    return markdown(["licence as the package states it", "packages"], rows)


TABLES: dict[str, Callable[[], str]] = {
    table.__name__: table
    for table in (
        quality,
        summaries,
        shipped,
        exports,
        robustness,
        speed,
        recordings,
        visitors,
        soak,
        startup,
        corpora,
        dataset,
        labels,
        left_out,
        policy,
        protocols,
        folds,
        permissions,
        training,
        reference,
        preparation,
        archive,
        archive_memory,
        archive_same,
        million_hours,
        licences,
    )
}


if __name__ == "__main__":
    main()
