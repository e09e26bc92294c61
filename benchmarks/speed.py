"""Measure how fast the classifiers answer, next to other projects' models, each in its own process.

    python benchmarks/speed.py --data data/emotion

1. A clip of three seconds, from samples to probabilities: the same network in every engine, and what other
   projects run: transformers' pipeline, wav2vec2-base (random weights take the same time), librosa's MFCC and
   a small CNN, openSMILE's eGeMAPS and a support vector machine.
2. Timelines of ten minutes and of an hour, and one minute in the pipeline.
3. The live classifier, every half second.

Needs the extra `bench`. Writes results/speed.json; `make tables` writes it into docs/serving.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import soundfile
from record import RESULTS, save_result

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.dataset import open_dataset, read_clip

SHIPPED = Path(__file__).parent.parent / "models"
CLIP_SECONDS, CLIPS, WARM_UP = 3.0, 40, 5
PAUSE_SECONDS = 0.7  # between the utterances of a long recording
CHUNK_SECONDS, CHUNKS = 0.5, 120

Predict = Callable[[np.ndarray], object]  # of float32 samples at 16 kHz


def as_served(model: str = "wav2vec2") -> Predict:
    """Predict as the app does after it has found the speech."""
    from speech_emotion.inference.classifier import EmotionClassifier

    classifier = EmotionClassifier.from_pretrained(SHIPPED / model)
    return lambda samples: classifier.classify_segments([samples])


def guarded() -> Predict:
    """Predict as the app does, voice activity detection included."""
    from speech_emotion.inference.classifier import EmotionClassifier

    return EmotionClassifier.from_pretrained(SHIPPED / "wav2vec2").predict


def pytorch() -> Predict:
    """Predict with the same checkpoint in PyTorch."""
    from speech_emotion.inference.classifier import EmotionClassifier
    from speech_emotion.models.loading import load_classifier

    classifier = EmotionClassifier(*load_classifier(SHIPPED / "wav2vec2"))
    return lambda samples: classifier.classify_segments([samples])


def pipeline() -> Predict:
    """Predict with the same checkpoint in transformers' pipeline."""
    import transformers

    return transformers.pipeline("audio-classification", model=str(SHIPPED / "wav2vec2"))


def base_pipeline() -> Predict:
    """Predict with a network of wav2vec2-base's shape in transformers' pipeline."""
    import transformers

    model = transformers.Wav2Vec2ForSequenceClassification(transformers.Wav2Vec2Config(num_labels=8))
    extractor = transformers.Wav2Vec2FeatureExtractor()
    return transformers.pipeline("audio-classification", model=model.eval(), feature_extractor=extractor)


def librosa_cnn() -> Predict:
    """Predict with librosa's MFCC and the 56,040-parameter CNN, as older projects do."""
    import librosa
    import torch

    from speech_emotion.models.cnn_mfcc import HOP, SAMPLES, WINDOW, MfccCNN, MfccCNNConfig

    model = MfccCNN(MfccCNNConfig(num_labels=8)).eval()

    @torch.inference_mode()
    def predict(samples: np.ndarray) -> torch.Tensor:
        rows = librosa.feature.mfcc(
            y=samples[:SAMPLES], sr=SAMPLE_RATE, n_mfcc=25, n_fft=1024, win_length=WINDOW, hop_length=HOP
        )
        return model.classify(torch.from_numpy(rows)[None], None).softmax(dim=1)

    return predict


def egemaps_svm() -> Predict:
    """Predict with openSMILE's eGeMAPS and a support vector machine of 1,900 clips."""
    import opensmile
    from sklearn.svm import SVC

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    rng = np.random.default_rng(0)
    machine = SVC(probability=True).fit(rng.standard_normal((1900, 88)), np.arange(1900) % 8)
    return lambda samples: machine.predict_proba(smile.process_signal(samples, SAMPLE_RATE).to_numpy())


CONTESTANTS: dict[str, Callable[[], Predict]] = {
    "models/wav2vec2, as served": as_served,
    "models/wav2vec2, as served, speech found first": guarded,
    "models/wav2vec2 in PyTorch": pytorch,
    "models/wav2vec2 in transformers' pipeline": pipeline,
    "wav2vec2-base in transformers' pipeline": base_pipeline,
    "models/cnn, as served": lambda: as_served("cnn"),
    "MFCC by librosa, CNN of 56,040 parameters": librosa_cnn,
    "eGeMAPS by openSMILE, support vector machine": egemaps_svm,
}
PEER = "wav2vec2-base in transformers' pipeline"
# The UAR of each network on RAVDESS speech, unseen speakers, in %: a results file, or the figure that EmoBox
# (https://arxiv.org/abs/2406.07162) published for a frozen wav2vec2-base.
ACCURACY = {
    "models/wav2vec2": "wav2vec2_folds",
    "wav2vec2-base": 54.3,
    "models/cnn": "cnn_folds",
    "MFCC": "cnn_mfcc_folds",
    "eGeMAPS": "egemaps_svm_folds",
}


def main() -> None:
    """Run every measurement in a process of its own and save the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options.data)))
        return
    clips = {name: alone(name, options.data) for name in CONTESTANTS}
    for name, figures in clips.items():
        figures["times_as_fast_as_peer"] = round(clips[PEER]["median_ms"] / figures["median_ms"], 1)
        figures["uar"] = look_up_uar(name)
    figures = {
        "clip_seconds": CLIP_SECONDS,
        "peer": PEER,
        "clips": clips,
        "recordings": {minutes: alone(f"timeline {minutes}", options.data) for minutes in (10, 60)},
        "minute_in_pipeline": alone("minute", options.data),
        "live": alone("live", options.data),
    }
    save_result(
        RESULTS / "speed.json", figures, ["torch", "onnxruntime", "transformers", "librosa", "opensmile"]
    )


def look_up_uar(name: str) -> float:
    """Return the UAR of a contestant's network in %."""
    [known] = [known for start, known in ACCURACY.items() if name.startswith(start)]
    if isinstance(known, float):
        return known
    groups = json.loads((RESULTS / f"{known}.json").read_text())["groups"]
    return round(100 * groups["ravdess speech"]["uar"], 1)


def alone(name: str, data: str) -> dict:
    """Measure one thing in a fresh process."""
    command = [sys.executable, __file__, "--data", data, "--only", name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    figures = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {figures}")
    return figures


def measure(name: str, data: str) -> dict:
    """Run the measurement of this name in this process."""
    if name in CONTESTANTS:
        return measure_clips(CONTESTANTS[name], data)
    if name == "live":
        return measure_live(data)
    if name == "minute":
        return measure_minute(data)
    return measure_timeline(float(name.split()[1]), data)


def measure_clips(contestant: Callable[[], Predict], data: str) -> dict:
    """Time clips of three seconds, one after another."""
    clips = cut_clips(data)
    predict = contestant()
    for clip in clips[:WARM_UP]:
        predict(clip.copy())
    times = [clock(predict, clip.copy()) for clip in clips]
    return percentiles(times) | {
        "real_time_factor": round(statistics.median(times) / CLIP_SECONDS, 4),
        "memory_mb": memory_mb(),
    }


def measure_timeline(minutes: float, data: str) -> dict:
    """Time a timeline; return its memory after two minutes of the recording and at the end as well."""
    from speech_emotion.inference.classifier import EmotionClassifier
    from speech_emotion.inference.timeline import iter_timeline

    classifier = EmotionClassifier.from_pretrained(SHIPPED / "wav2vec2")
    with tempfile.TemporaryDirectory() as folder:
        file = write_recording(data, minutes, Path(folder, "recording.flac"))
        start, early = time.perf_counter(), None
        for timeline in iter_timeline(classifier, file):
            if early is None and timeline.seconds >= 120:
                early = memory_mb()
        seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 1),
        "real_time_factor": round(seconds / timeline.seconds, 4),
        "times_real_time": round(timeline.seconds / seconds, 1),
        "segments": len(timeline.segments),
        "memory_mb": memory_mb(),
        "memory_mb_after_two_minutes": early,
    }


def measure_minute(data: str) -> dict:
    """Time the pipeline on one minute in one pass."""
    predict = base_pipeline()
    with tempfile.TemporaryDirectory() as folder:
        samples, _ = soundfile.read(write_recording(data, 1, Path(folder, "minute.flac")), dtype="float32")
    predict(samples[: SAMPLE_RATE * 3])
    return {"seconds": round(clock(predict, samples), 2), "memory_mb": memory_mb()}


def measure_live(data: str) -> dict:
    """Time the live classifier, from the end of each half second to its answer."""
    from speech_emotion.inference.classifier import EmotionClassifier
    from speech_emotion.inference.streaming import StreamingClassifier

    classifier, stream = EmotionClassifier.from_pretrained(SHIPPED / "wav2vec2"), StreamingClassifier()
    with tempfile.TemporaryDirectory() as folder:
        file = write_recording(data, CHUNK_SECONDS * CHUNKS / 60, Path(folder, "live.flac"))
        samples, rate = soundfile.read(file, dtype="float32")
    chunks = np.split(samples[: int(CHUNK_SECONDS * rate) * CHUNKS], CHUNKS)
    times = [clock(lambda chunk: stream.push(classifier, chunk, rate), chunk) for chunk in chunks]
    return percentiles(times[WARM_UP:]) | {"chunk_seconds": CHUNK_SECONDS, "chunks": CHUNKS - WARM_UP}


def cut_clips(data: str) -> list[np.ndarray]:
    """Return the first three seconds of test clips that are long enough."""
    rows = open_dataset(data)["test"]
    long = [index for index, seconds in enumerate(rows["duration"]) if seconds >= CLIP_SECONDS][:CLIPS]
    if len(long) < CLIPS:
        raise SystemExit(f"{CLIPS} test clips of {CLIP_SECONDS:g} s are needed; there are {len(long)}.")
    return [read_clip(rows[index])[: int(CLIP_SECONDS * SAMPLE_RATE)] for index in long]


def write_recording(data: str, minutes: float, file: Path) -> Path:
    """Write test clips, with pauses between them, as one FLAC file."""
    rows, pause = open_dataset(data)["test"], np.zeros(int(PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    parts = [part for row in rows.select(range(120)) for part in (read_clip(row), pause)]
    lap, size, written = np.concatenate(parts), int(minutes * 60 * SAMPLE_RATE), 0
    with soundfile.SoundFile(file, "w", SAMPLE_RATE, 1) as out:
        while written < size:
            out.write(lap[: size - written])
            written += lap.size
    return file


def clock(act: Callable, argument: object) -> float:
    """Return the seconds that one call takes."""
    start = time.perf_counter()
    act(argument)
    return time.perf_counter() - start


def percentiles(times: list[float]) -> dict[str, float]:
    """Return the median and the 95th percentile in milliseconds."""
    return {
        "median_ms": round(1000 * statistics.median(times), 1),
        "p95_ms": round(1000 * statistics.quantiles(times, n=20)[-1], 1),
    }


def memory_mb() -> int:
    """Return this process's memory in MB."""
    return round(psutil.Process().memory_info().rss / 1e6)


if __name__ == "__main__":
    main()
