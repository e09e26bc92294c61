"""Measure what a reference costs, in processor time, and that without one nothing changes.

    python benchmarks/reference_cost.py --data data/emotion

1. A clip of three seconds with and without a reference, in turn; another program does not change the figures.
2. A recording of two minutes, without a reference and with its own utterances as the reference of each.
3. Clips whose answer differs in the least bit between a folder with a reference head and one without.

Writes results/reference_cost.json.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from record import RESULTS, save_result
from speed import SHIPPED, WARM_UP, cut_clips, write_recording

from speech_emotion import EmotionClassifier
from speech_emotion.inference.reference import HEAD, SETTINGS
from speech_emotion.inference.timeline import iter_timeline

MINUTES, RUNS = 2.0, 3  # of the recording; how often it is heard


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--model", type=Path, default=SHIPPED / "wav2vec2", help="model folder with a head")
    options = parser.parse_args()
    classifier, clips = EmotionClassifier.from_pretrained(options.model), cut_clips(options.data)
    figures = {"model": options.model.name} | measure_clips(classifier, clips)
    with tempfile.TemporaryDirectory() as folder:
        file = write_recording(options.data, MINUTES, Path(folder, "recording.flac"))
        for name, reference in (("none", None), ("own utterances", "self")):
            seconds = [clock(lambda own: hear(classifier, file, own), reference) for _ in range(RUNS)]
            figures.setdefault("recording", {})[name] = {"cpu_seconds": round(min(seconds), 2)}
        without = Path(folder, "without")
        shutil.copytree(options.model, without, ignore=shutil.ignore_patterns(HEAD, SETTINGS))
        figures["clips_that_differ_without_a_reference"] = count_differences(
            classifier, EmotionClassifier.from_pretrained(without), clips
        )
    save_result(RESULTS / "reference_cost.json", figures, ["numpy", "onnxruntime"])
    print(figures)


def measure_clips(classifier: EmotionClassifier, clips: list[np.ndarray]) -> dict[str, float]:
    """Time each clip without and with a reference; the medians, and that of the difference, in ms."""
    reference = classifier.enroll(clips[:1])
    without, beside = [], []
    for clip in clips:
        without.append(1000 * clock(classifier.classify_segments, [clip]))
        beside.append(1000 * clock(lambda own: classifier.classify_segments(own, reference), [clip]))
    cost = [one - other for one, other in zip(beside[WARM_UP:], without[WARM_UP:], strict=True)]
    return {
        "clips": len(cost),
        "cpu_ms_without": round(statistics.median(without[WARM_UP:]), 2),
        "cpu_ms_with": round(statistics.median(beside[WARM_UP:]), 2),
        "cpu_ms_of_a_reference": round(statistics.median(cost), 2),
    }


def count_differences(one: EmotionClassifier, other: EmotionClassifier, clips: list[np.ndarray]) -> int:
    """Count the clips that two classifiers do not answer bit for bit alike."""
    return sum(
        not np.array_equal(one.classify_segments([clip]), other.classify_segments([clip])) for clip in clips
    )


def hear(classifier: EmotionClassifier, file: Path, reference: str | None) -> None:
    """Make a recording's timeline."""
    deque(iter_timeline(classifier, file, reference=reference), maxlen=1)


def clock(act: Callable, argument: object) -> float:
    """Return the processor seconds of one call."""
    start = time.process_time()
    act(argument)
    return time.process_time() - start


if __name__ == "__main__":
    main()
