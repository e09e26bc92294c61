"""Merge the emotion corpora under a folder into one dataset.

    python -m data_prep download ravdess tess            # the corpora themselves, where everyone may
    python -m data_prep --corpora corpora --output data/emotion
    python -m data_prep --corpora corpora --own calls=mine.csv     # with your own: see data_prep/custom.py
    python -m data_prep --hub_dataset NAME                         # a dataset with audio and labels alone
    python -m data_prep explore data/emotion                       # pictures of the result

`datasets.load_from_disk("data/emotion")` opens the result: train, validation and test with no speaker in two
of them, unless `--protocol random` asks for it. `--push_to_hub NAME` publishes it as well, for
`datasets.load_dataset(NAME)`: without the audio that may not be passed on, or with all of it and `--private`.
"""

import argparse
import json
import re
import sys
import tempfile
from collections import defaultdict
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import datasets

from data_prep.build import (
    REPORT,
    Skipped,
    build_dataset,
    count_reasons,
    decode_shard,
    gather,
    summarise,
)
from data_prep.corpora import CORPORA, crema_d
from data_prep.custom import FACTS, Source, export_dataset, parse_source, read_scheme
from data_prep.publish import publish
from data_prep.splits import PROTOCOLS
from speech_emotion.atomic import format_os_error
from speech_emotion.hub import PublishError
from speech_emotion.labels import OWN, SCHEMES

# Subcommands and their modules. They are imported only when called, because pictures need torch, which takes
# seconds and memory that decoding does not need.
COMMANDS = {"download": "data_prep.download", "explore": "data_prep.explore"}

UNTOUCHED = "An older dataset there is unchanged; the same command continues with the clips decoded so far."


def main() -> None:
    """Run the command line."""
    command, *rest = sys.argv[1:] or [""]
    if command in COMMANDS:
        import_module(COMMANDS[command]).main(rest)
    else:
        build()


def build() -> None:
    """Build the dataset, and publish it with --push_to_hub."""
    args = parse_args()
    if args.private and not args.push_to_hub:
        raise SystemExit("--private goes with --push_to_hub NAME.")
    if args.corpora and not args.corpora.is_dir():
        raise SystemExit(
            f"There is no folder {args.corpora}. Unpack the corpora there, or name another folder."
        )
    datasets.disable_progress_bars()  # ours counts clips
    try:
        args.scheme = read_scheme(args.scheme)
        args.output.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            if args.hub_dataset:
                scratch = tempfile.TemporaryDirectory(dir=args.output.parent, prefix=".hub_dataset-")
                columns = (args.audio_column, args.label_column, args.speaker_column)
                folder = Path(stack.enter_context(scratch))
                args.own.append(str(export_dataset(args.hub_dataset, folder, *columns)))
            sources = read_sources(args)
            named = read_named(args.corpus)
            if args.shard:
                print(run_shard(args, sources, named))
                return
            dataset, skipped = build_dataset(
                args.corpora,
                args.output,
                scheme=args.scheme,
                trim_db=args.trim_db or None,
                seed=args.seed,
                workers=args.workers,
                custom_sources=sources,
                crema_d_label=args.crema_d_label,
                protocol=args.protocol,
                strict=args.strict,
                window_seconds=args.window_seconds,
                named=named,
                train_on=args.train,
            )
    except ValueError as error:
        raise SystemExit(str(error)) from error
    except OSError as error:
        raise SystemExit(f"{format_os_error(error, args.output)}. {UNTOUCHED}") from error
    except BrokenProcessPool as error:
        raise SystemExit(f"A process that decodes was killed; memory may be short. {UNTOUCHED}") from error
    except KeyboardInterrupt as error:
        raise SystemExit(f"Interrupted. {UNTOUCHED}") from error
    print(summarise(dataset))
    print_skipped(skipped)
    print_notes(args.output)
    print(f"Saved to {args.output}")
    if args.push_to_hub:
        try:
            print(f"Published: {publish(args.output, args.push_to_hub, args.private)}")
        except PublishError as error:
            raise SystemExit(str(error)) from error


def parse_args() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpora", type=Path,
        help="folder that holds the corpora (default: corpora, if nothing else is given)",
    )  # fmt: skip
    parser.add_argument(
        "--own", action="append", default=[], metavar="[NAME=]TABLE",
        help="recordings of your own: a .csv or .jsonl table with path and emotion, or folders named after "
        "emotions; NAME names the corpus; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--unlabelled", action="append", default=[], metavar="[NAME=]TABLE",
        help="the same without emotions, for plain talk to count false alarms on: split aside, never trains",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME.COLUMN=VALUE",
        help="a fact of all recordings of such a table whose rows leave it empty, as in mine.language=de",
    )  # fmt: skip
    parser.add_argument(
        "--corpus", action="append", default=[], metavar="NAME=FOLDER",
        help="state which corpus a folder under --corpora holds, where file names do not tell: "
        f"{', '.join(CORPORA)}",
    )  # fmt: skip
    parser.add_argument(
        "--train", nargs="+", default=[], metavar="CORPUS",
        help="train on these corpora whole, though they would only test or be set aside",
    )  # fmt: skip
    parser.add_argument(
        "--hub_dataset", metavar="NAME", help="any dataset that load_dataset opens: hub id or folder"
    )
    parser.add_argument("--audio_column", help="of the hub dataset (default: the column of audio)")
    parser.add_argument("--label_column", help="of the hub dataset (default: emotion or label)")
    parser.add_argument("--speaker_column", help="of the hub dataset (default: speaker, if there)")
    parser.add_argument("--output", type=Path, default=Path("data/emotion"), help="folder of the dataset")
    parser.add_argument(
        "--scheme", default="core8", metavar="SCHEME",
        help=f"label scheme: {', '.join(SCHEMES)}; {OWN}, where each word is a label of its own; or a table "
        "with the columns word and label (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--trim_db", type=float, default=0,
        help="trim silence at both ends this far below the loudest frame, in dB; 0 leaves clips as they lie "
        "(default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--crema_d_label", choices=crema_d.LABELS, default="intended",
        help="CREMA-D's emotion is what the actor meant or what most listeners heard (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", default="speakers",
        help=f"how to split: {'; '.join(f'{name}: {what}' for name, what in PROTOCOLS.items())} "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of what the splits draw (default: %(default)s)")
    parser.add_argument(
        "--shard", type=parse_shard, metavar="K/N",
        help="only decode the Kth of N equal shares, on this machine; the same command without --shard then "
        "merges the shares in the folder of --output, and decodes what none of them has",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, help="processes that decode (default: one per core)")
    parser.add_argument("--push_to_hub", metavar="NAME", help="publish as this dataset of the hub, too")
    parser.add_argument(
        "--private", action="store_true",
        help="publish where only you see it, with the audio that may not be passed on",
    )  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true",
        help="write nothing where the audio of a recording is refused, or has two labels; names that no "
        "corpus claims, labels outside the scheme, and doubles of which one is kept are no error",
    )  # fmt: skip
    parser.add_argument(
        "--window_seconds", type=float, metavar="S",
        help="cut the clips, once split, into windows of S seconds, less a rest shorter than half",
    )  # fmt: skip
    args = parser.parse_args()
    if not (args.corpora or args.own or args.hub_dataset):
        args.corpora = Path("corpora")
    return args


def parse_shard(text: str) -> tuple[int, int]:
    """Read `K/N`.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with K from 1 to N, as in 3/16")
    return int(match[1]), int(match[2])


def run_shard(args: argparse.Namespace, sources: list[Source], named: dict[Path, str]) -> str:
    """Decode one share of the recordings, and return a sentence about it."""
    clips, _, _ = gather(args.corpora, sources, args.scheme, args.crema_d_label, named)
    number, shards = args.shard
    refused = decode_shard(clips, args.output, number, shards, args.trim_db or None, args.workers)
    count = len(clips[number - 1 :: shards])
    return f"Shard {number} of {shards}: {count:,} recordings decoded, {len(refused):,} of them refused."


def print_skipped(skipped: list[Skipped], most: int = 20) -> None:
    """Print the number of files left out for each reason, and the first of them."""
    print(f"Skipped: {len(skipped)} files (all of them in preparation.json)")
    for reason, count in count_reasons(skipped).items():
        print(f"  {count:5d}  {reason}")
    for skip in skipped[:most]:
        print(f"  {skip.path}: {skip.reason}")


def print_notes(output: Path) -> None:
    """Print what a reader of figures on a dataset must know about its splits."""
    report = json.loads((output / REPORT).read_text())
    if report["leaks_speakers"]:
        print("Speakers leak: figures on these splits say little about voices that training has not heard.")
    for corpus, role in report["roles"].items():
        if role == "test":
            print(f"{corpus} only tests; --train {corpus} trains on it.")
    for warning in report["warnings"]:
        print(f"Warning: {warning}")


def read_sources(args: argparse.Namespace) -> list[Source]:
    """Return the tables and folders of the user's own, with the facts that --set states of them.

    Raises:
        ValueError: a name that cannot be, or a fact of no such table or column.
    """
    facts = defaultdict(list)
    for text in args.set:
        match = re.fullmatch(r"([^.=]+)\.([^.=]+)=(.*)", text)
        if not match or match[2] not in FACTS:
            known = ", ".join(sorted(FACTS))
            raise ValueError(f"--set {text} is not NAME.COLUMN=VALUE with a column of {known}.")
        facts[match[1]].append((match[2], match[3]))
    given = [(text, True) for text in args.own] + [(text, False) for text in args.unlabelled]
    sources = [parse_source(text, labelled) for text, labelled in given]
    if unknown := set(facts) - {source.name for source in sources}:
        names = ", ".join(source.name for source in sources) or "none"
        raise ValueError(f"--set names {', '.join(sorted(unknown))}; the tables given are called {names}.")
    return [replace(source, facts=tuple(facts[source.name])) for source in sources]


def read_named(texts: list[str]) -> dict[Path, str]:
    """Return the corpora that the user has named, by folder.

    Raises:
        ValueError: no such corpus or folder.
    """
    named = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if name not in CORPORA or not equals or not Path(folder).is_dir():
            raise ValueError(f"--corpus {text} is not NAME=FOLDER with a folder that is there and a name of "
                             f"{', '.join(CORPORA)}.")  # fmt: skip
        named[Path(folder)] = name
    return named


if __name__ == "__main__":
    main()
