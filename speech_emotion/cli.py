"""Recognise the emotion of recordings.

    speech-emotion clip.wav                      # a sentence
    speech-emotion clip.wav --json               # the probability of every emotion
    speech-emotion call.mp3 --timeline           # CSV: the emotion of each utterance
    speech-emotion call.mp3 --timeline --json
    speech-emotion folder --output emotions.csv  # CSV: one row for each recording
    speech-emotion clip.wav --reference plain.wav  # compared with how this person normally sounds
    speech-emotion archive folder --output DIR   # Parquet, for many recordings; see archive --help

Errors and notices go to the standard error. The exit status is 1 if there is no answer, and 2 if the command
line is wrong. `python -m speech_emotion` is the same command.
"""

import argparse
import json
import logging
import reprlib
import sys
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from speech_emotion.audio.decoding import AudioError, check_file, limit_ffmpeg_memory
from speech_emotion.inference.batch import classify_files, find_recordings, printable, to_csv
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.prediction import Prediction
from speech_emotion.inference.reference import Reference
from speech_emotion.models.folder import ModelError
from speech_emotion.shipped import shipped_path


def main(arguments: list[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: the command line without the program's name; `sys.argv` if None.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    limit_ffmpeg_memory()
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["archive"]:
        from speech_emotion.inference.archive.command import main as run_archive  # imports pyarrow

        return run_archive(arguments[1:])
    try:
        options = parse(arguments)
        if not options.source.is_dir():
            check_file(options.source)  # before the model is loaded
        classifier = EmotionClassifier.from_pretrained(options.model or shipped_path("models/wav2vec2"))
        answer = classify(classifier, options)
        if options.output:
            options.output.write_text(answer, encoding="utf-8", newline="")
        else:
            sys.stdout.write(answer)
    except (AudioError, ModelError) as error:
        raise SystemExit(str(error)) from error
    except OSError as error:  # a name that is too long, a folder without permission, a full disk
        raise SystemExit(f"{error.strerror}: {reprlib.repr(str(error.filename))}.") from error


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line and exit with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="speech-emotion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="a recording, or a folder of recordings")
    parser.add_argument("--model", help="model folder or hub id (default: the shipped models/wav2vec2)")
    parser.add_argument(
        "--timeline",
        action="store_true",
        help="one answer for each utterance; up to an hour of sound",
    )
    parser.add_argument(
        "--reference",
        nargs="+",
        metavar="PLAIN",
        help="recordings of how the speaker normally sounds; self: the other utterances of the recording, or "
        "of a folder of one speaker. For a model that has a reference head.",
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of a sentence or CSV")
    parser.add_argument("--output", type=Path, help="write to this file instead of the standard output")
    options = parser.parse_args(arguments)
    if options.timeline and options.source.is_dir():
        parser.error("--timeline is for one recording, not for a folder.")
    if options.output and not options.output.absolute().parent.is_dir():
        parser.error(f"There is no folder {str(options.output.absolute().parent)!r} to write to.")
    return options


def classify(classifier: EmotionClassifier, options: argparse.Namespace) -> str:
    """Return the answer for the source as a sentence, CSV or JSON."""
    reference = find_reference(classifier, options)
    if options.source.is_dir():
        rows = classify_folder(classifier, options.source, reference)
        return to_json(rows) if options.json else to_csv(rows)
    if options.timeline:
        return classify_timeline(classifier, options, reference)
    prediction = classifier.predict(options.source, reference=reference)
    _report_damage(prediction.damage)
    if options.json:
        return to_json(asdict(prediction))
    return f"{printable(options.source.name)}: {summarise(prediction)}\n"


def find_reference(
    classifier: EmotionClassifier, options: argparse.Namespace
) -> Reference | Literal["self"] | None:
    """Return how the speaker normally sounds, as `predict` takes it.

    Raises:
        ModelError: the model has no reference head.
        AudioError: nobody speaks in a recording for the reference.
    """
    if options.reference is None:
        return None
    classifier.require_head()
    if options.reference != ["self"]:
        paths = [Path(each) for each in options.reference]
        for path in paths:
            prediction = classifier.predict(path)
            if not classifier.sounds_plain(prediction):
                said = f"{printable(path.name)} sounds {prediction.label}: better a plain sentence."
                print(said, file=sys.stderr)
        return classifier.enroll(paths)
    return enroll_folder(classifier, options.source) if options.source.is_dir() else "self"


def enroll_folder(classifier: EmotionClassifier, folder: Path) -> Reference:
    """Return how the speaker of a folder's recordings sounds, from those that have an answer.

    Raises:
        AudioError: there is none.
    """
    heard = []
    for path in tqdm(find_recordings(folder), unit="file", leave=False):
        with suppress(AudioError):  # its own row says why
            heard.append(classifier.enroll([path]))
    if not heard:
        raise AudioError(f"There is no recording in {str(folder)!r} that can be classified.")
    return reduce(Reference.join, heard)


def summarise(prediction: Prediction) -> str:
    """Return an answer as a phrase: the emotion and its confidence, or the shares of a mixed recording."""
    if prediction.mixed:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in prediction.shares.items())
        return f"mixed ({shares} of the speech)"
    doubt = "" if prediction.sure else ", which is too little to be sure"
    return f"{prediction.label} ({prediction.confidence:.0%}{doubt})"


def classify_timeline(
    classifier: EmotionClassifier, options: argparse.Namespace, reference: Reference | Literal["self"] | None
) -> str:
    """Return a recording's timeline as CSV or JSON."""
    from speech_emotion.inference.events import describe_recording
    from speech_emotion.inference.timeline import iter_timeline

    steps = iter_timeline(classifier, options.source, reference=reference)
    timeline = deque(tqdm(steps, unit="block", leave=False), maxlen=1).pop()
    _report_damage(timeline.damage)
    return to_json(describe_recording(timeline)) if options.json else to_csv(timeline.rows())


def classify_folder(classifier: EmotionClassifier, folder: Path, reference: Reference | None) -> list[dict]:
    """Return a row for each recording in a folder; print why a recording has no answer.

    Raises:
        AudioError: no recording has an answer.
    """
    paths = find_recordings(folder)
    files = [(str(path.relative_to(folder)), path) for path in paths]
    rows = list(
        tqdm(classify_files(classifier, files, reference), total=len(files), unit="file", leave=False)
    )
    for row in rows:
        if sentence := row["error"] or row["damage"]:
            print(f"{row['file']}: {sentence}", file=sys.stderr)
    if all(row["error"] for row in rows):
        raise AudioError(f"There is no recording in {str(folder)!r} that can be classified.")
    return rows


def _report_damage(sentence: str) -> None:
    if sentence:
        print(sentence, file=sys.stderr)


def to_json(value: dict | list) -> str:
    """Return indented JSON."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
