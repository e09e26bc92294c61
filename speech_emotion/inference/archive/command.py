"""Answer every recording of a folder, a list or a bucket, and write the answers as Parquet tables.

    speech-emotion archive calls/ --output answers                     # as many processes as cores
    speech-emotion archive s3://bucket/calls --output answers          # any address that fsspec opens
    speech-emotion archive list.txt --output answers                   # a path or an address on each line
    speech-emotion archive s3://bucket/calls --output answers --ray auto    # on a Ray cluster

The same command continues an interrupted run, and adds recordings that are new. docs/archive.md describes the
tables.
"""

import argparse
import os
import sys
from pathlib import Path

from speech_emotion.atomic import format_os_error
from speech_emotion.inference.archive.runner import SHARD_SIZE, Summary, run_archive
from speech_emotion.shipped import shipped_path


def main(arguments: list[str]) -> None:
    """Run the command `archive`; errors are one sentence, and status 1."""
    options = parse(arguments)
    try:
        summary = run_archive(
            options.input,
            options.output,
            options.model or str(shipped_path("models/wav2vec2")),
            processes=options.processes,
            ray=options.ray,
            own_voice=options.own_voice,
            shard_size=options.shard_size,
        )
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. The same command continues where this run has stopped.\n")
        sys.stderr.flush()
        os._exit(130)  # without waiting for the recordings under way; their processes end with this one
    except OSError as error:
        raise SystemExit(f"{format_os_error(error, options.output)}.") from error
    except ValueError as error:  # ArchiveError, ModelError
        raise SystemExit(str(error)) from error
    print(to_sentences(summary, options.output))
    if summary.failed == summary.files:
        raise SystemExit(1)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="speech-emotion archive",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", help="folder, bucket address, recording, or text file with a path a line")
    parser.add_argument("--output", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--model", help="model folder or hub id (default: the shipped models/wav2vec2)")
    parser.add_argument("--processes", type=positive, help="default: as many as there are cores")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="work on this Ray cluster; auto: the one of this machine"
    )
    parser.add_argument(
        "--own-voice",
        action="store_true",
        help="a speaker's own utterances are the reference for each of them",
    )
    parser.add_argument(
        "--shard-size",
        type=positive,
        default=SHARD_SIZE,
        help=f"recordings in a shard (default: {SHARD_SIZE})",
    )
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """Return a number from 1 on."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def to_sentences(summary: Summary, folder: Path) -> str:
    """Return sentences about a run."""
    lines = [
        f"{summary.files:,} recordings are in {folder}, {summary.hours:,.1f} hours of them with an answer."
    ]
    if summary.done_hours:
        speed = 3600 * summary.done_hours / summary.seconds
        lines.append(
            f"This run worked on {summary.done:,} of them in {summary.seconds:,.0f} s, "
            f"{speed:,.0f} times as fast as the sound lasts."
        )
    if summary.failed:
        lines.append(f"{summary.failed:,} have no answer: {folder / 'failed'} says why.")
    if summary.try_again:
        lines.append(
            f"The storage did not hand out {summary.try_again:,} of those: the same command tries them again."
        )
    return "\n".join(lines)
