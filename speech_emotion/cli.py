"""Hear the emotion of recordings from the command line.

    python -m speech_emotion clip.wav                      # a sentence
    python -m speech_emotion clip.wav --json               # every probability
    python -m speech_emotion call.mp3 --timeline           # CSV: the emotion of every utterance
    python -m speech_emotion call.mp3 --timeline --json
    python -m speech_emotion folder --output emotions.csv  # CSV: a row for each recording in it

Errors go to the standard error, one sentence each; the exit status is 1 where nothing could be judged.
"""

import argparse
import json
import reprlib
import sys
from collections import deque
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from speech_emotion.audio.decoding import AudioError, limit_ffmpeg_memory
from speech_emotion.inference.batch import classify_files, find_recordings, printable, to_csv
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.events import describe_recording
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.models.loading import ModelError

SHIPPED = Path(__file__).parent.parent / "models" / "wav2vec2"


def main(arguments: list[str] | None = None) -> None:
    """Judge what the command line names."""
    limit_ffmpeg_memory()
    try:
        options = parse(arguments)
        classifier = EmotionClassifier.from_pretrained(options.model)
        answer = judge(classifier, options)
        if options.output:
            options.output.write_text(answer, encoding="utf-8", newline="")
        else:
            sys.stdout.write(answer)
    except (AudioError, ModelError) as error:
        raise SystemExit(str(error)) from error
    except OSError as error:  # a name too long, a folder that may not be read, a full disk
        raise SystemExit(f"{error.strerror}: {reprlib.repr(str(error.filename))}.") from error


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m speech_emotion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="a recording, or a folder of recordings")
    parser.add_argument("--model", default=str(SHIPPED), help="folder or hub id (default: models/wav2vec2)")
    parser.add_argument(
        "--timeline", action="store_true", help="one answer for each utterance; up to an hour of sound"
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of a sentence or CSV")
    parser.add_argument("--output", type=Path, help="write to this file instead of the standard output")
    options = parser.parse_args(arguments)
    if options.timeline and options.source.is_dir():
        parser.error("--timeline is for one recording, not for a folder.")
    if options.output and not options.output.absolute().parent.is_dir():
        parser.error(f"There is no folder {str(options.output.absolute().parent)!r} to write to.")
    return options


def judge(classifier: EmotionClassifier, options: argparse.Namespace) -> str:
    """Answer with a sentence, CSV or JSON."""
    if options.source.is_dir():
        rows = judge_folder(classifier, options.source)
        return to_json(rows) if options.json else to_csv(rows)
    if options.timeline:
        steps = tqdm(iter_timeline(classifier, options.source), unit="block", leave=False)
        timeline = deque(steps, maxlen=1).pop()
        return to_json(describe_recording(timeline)) if options.json else to_csv(timeline.rows())
    prediction = classifier.predict(options.source)
    if options.json:
        return to_json(asdict(prediction))
    doubt = "" if prediction.sure else ", which is too little to be sure"
    return f"{printable(options.source.name)}: {prediction.label} ({prediction.confidence:.0%}{doubt})\n"


def judge_folder(classifier: EmotionClassifier, folder: Path) -> list[dict]:
    """Judge a folder's recordings; say of each that cannot be judged why.

    Raises:
        AudioError: none of them can be.
    """
    paths = find_recordings(folder)
    files = [(str(path.relative_to(folder)), path) for path in paths]
    rows = list(tqdm(classify_files(classifier, files), total=len(files), unit="file", leave=False))
    for row in rows:
        if row["error"]:
            print(f"{row['file']}: {row['error']}", file=sys.stderr)
    if all(row["error"] for row in rows):
        raise AudioError(f"There is no recording in {str(folder)!r} that can be judged.")
    return rows


def to_json(value: dict | list) -> str:
    """Write JSON for people and programs alike."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
