"""Measure who is refused, what noise and silence around a voice cost, and whether all entrances agree.

    python benchmarks/voices.py refusals    # speech detection alone: about three minutes on one core
    python benchmarks/voices.py answers     # noise, entrances and speed of --model: about five minutes
    python benchmarks/voices.py             # both

Each writes its part of results/voices.json, answers one part for each model; run one at a time. Clips are a
fixed random sample of the dataset as it lies. Answers are measured on RAVDESS's clips in its test split: no
training heard their speakers.
"""

import argparse
import io
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import soxr
from record import RESULTS, save_result

from speech_emotion import AudioError, EmotionClassifier
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import trim_silence
from speech_emotion.audio.vad import detect_speech, speech_probabilities
from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.inference.backends import TorchBackend
from speech_emotion.inference.batch import classify_files
from speech_emotion.inference.streaming import WINDOW_SECONDS, StreamingClassifier
from speech_emotion.inference.timeline import iter_timeline

RESULT = RESULTS / "voices.json"
RAISED = (1.25, 1.4, 1.6)  # how many times as fast a clip is played, and stretched back
PIECES = (0.2, 0.3, 0.5)  # seconds of a clip, alone
TAILS = (2, 6, 20)  # seconds before and after the clip
RATIOS = (30, 20, 10)  # dB, the clip's power over the noise's
NOISY_TAILS = (0, 6)  # seconds after the clip, in noise


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=("refusals", "answers"), help="default: both")
    parser.add_argument("--data", default="data/emotion", help="the dataset")
    parser.add_argument("--model", default="models/wav2vec2", help="folder of the classifier")
    parser.add_argument("--group", type=int, default=100, help="clips of each corpus and sex")
    parser.add_argument("--clips", type=int, default=40, help="clips for the table of noise")
    parser.add_argument("--seed", type=int, default=0, help="draws clips and noise")
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    rng = np.random.default_rng(options.seed)
    if options.part in (None, "refusals"):
        figures["refusals"] = measure_refusals(dataset, options.group, rng)
        figures["refused_sounds"] = measure_sounds(rng)
    if options.part in (None, "answers"):
        answers = measure_answers(dataset["test"], options.model, options.clips, rng)
        figures.setdefault("answers", {})[Path(options.model).name] = answers
    save_result(RESULT, figures, ["numpy", "onnxruntime", "soxr"])
    print(json.dumps(figures, indent=1))


def measure_refusals(dataset, group: int, rng: np.random.Generator) -> dict:
    """Count clips in which no speech is found, of each corpus and sex, as they are and raised.

    Args:
        dataset: its splits.
        group: clips of each corpus and sex.
        rng: draws them.
    """
    counts: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    groups = defaultdict(list)
    for name, split in dataset.items():
        for index, row in enumerate(zip(split["corpus"], split["gender"], strict=True)):
            groups[row].append((name, index))
    levels, loud_refused = [], []
    for (corpus, gender), places in sorted(groups.items(), key=str):
        for number, place in enumerate(rng.permutation(len(places))[:group]):
            name, index = places[place]
            audio = read_clip(dataset[name][index])
            refused = is_refused(audio)
            levels.append(level_dbfs(audio))
            loud_refused += [levels[-1]] * refused
            counts[corpus][gender or "unknown"].append(refused)
            kind = "nonspeech" if corpus == "emogator" else "speech"
            counts[f"all {kind}"][gender or "unknown"].append(refused)
            if number % 4 == 0 and kind == "speech":
                times = RAISED[number // 4 % len(RAISED)]
                counts["raised voices"][f"{times:g} times"].append(is_refused(raise_voice(audio, times)))
                for seconds in PIECES:
                    piece = cut_loudest(audio, seconds)
                    counts["the loudest piece alone"][f"{seconds:g} s"].append(is_refused(piece))
    table = {
        name: {part: {"clips": len(flags), "refused": sum(flags)} for part, flags in sorted(parts.items())}
        for name, parts in sorted(counts.items())
    }
    for parts in table.values():
        parts["all"] = {key: sum(part[key] for part in parts.values()) for key in ("clips", "refused")}
    median = float(np.median(levels))
    return {
        "clips_per_corpus_and_sex": group,
        "table": table,
        "median_level_dbfs": round(median, 1),
        "refused_louder_than_median": sum(level > median for level in loud_refused),
    }


def is_refused(audio: np.ndarray) -> bool:
    """Return whether `predict` would find nobody in shape-[n] samples."""
    return not detect_speech(audio) and not detect_speech(audio, sensitive=True)


def level_dbfs(audio: np.ndarray) -> float:
    """Return the level of shape-[n] samples without the silence around them, in dB of full scale."""
    return float(10 * np.log10(np.mean(np.square(trim_silence(audio))) + 1e-12))


def cut_loudest(audio: np.ndarray, seconds: float) -> np.ndarray:
    """Return the loudest piece of shape-[n] samples; all of them where they are shorter."""
    size = int(seconds * SAMPLE_RATE)
    energy = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    start = int((energy[size:] - energy[:-size]).argmax()) if audio.size > size else 0
    return audio[start : start + size]


def raise_voice(audio: np.ndarray, times: float) -> np.ndarray:
    """Raise pitch and formants of shape-[n] samples like a child's, at about the same length.

    The clip is played `times` as fast, then stretched back by overlapping its waves where they fit best
    (WSOLA, Verhelst and Roelands 1993).
    """
    fast = soxr.resample(audio, SAMPLE_RATE, SAMPLE_RATE / times)
    size, search = 640, 160  # samples: 40 ms, and 10 ms to look for the best fit
    hop, window = size // 2, np.hanning(size).astype(np.float32)
    padded = np.pad(fast, (search, size + 2 * search))
    steps = int((fast.size - size) * times / hop)
    if steps < 2:
        return fast
    out = np.zeros(steps * hop + size, np.float32)
    expected = padded[search : search + size]
    for step in range(steps):
        start = int(step * hop / times)
        candidates = np.lib.stride_tricks.sliding_window_view(padded[start : start + size + 2 * search], size)
        best = start + int((candidates @ expected).argmax())
        out[step * hop : step * hop + size] += window * padded[best : best + size]
        expected = padded[best + hop : best + hop + size]
    return out


def measure_sounds(rng: np.random.Generator) -> dict[str, dict[str, int]]:
    """Count in which sounds without a voice speech is found; each is made several times."""
    found: dict[str, list[bool]] = defaultdict(list)
    for _ in range(10):
        for name, sound in sounds(rng):
            found[name].append(not is_refused(sound))
            for seconds in PIECES:
                start = rng.integers(0, sound.size - int(seconds * SAMPLE_RATE))
                piece = sound[start : start + int(seconds * SAMPLE_RATE)]
                found[f"{name}, a short piece"].append(not is_refused(piece))
    return {name: {"sounds": len(flags), "answered": sum(flags)} for name, flags in found.items()}


def sounds(rng: np.random.Generator, seconds: float = 4.0) -> Iterator[tuple[str, np.ndarray]]:
    """Make sounds in which nobody speaks: name, and float32 samples at 16 kHz."""
    size = int(seconds * SAMPLE_RATE)
    clock = np.arange(size) / SAMPLE_RATE
    notes = np.repeat(220 * 2 ** (rng.integers(0, 13, 16) / 12), -(-size // 16))[:size]
    melody = 2 * np.pi * np.cumsum(notes) / SAMPLE_RATE
    vibrato = 2 * np.pi * np.cumsum(notes * (1 + 0.015 * np.sin(2 * np.pi * 5.5 * clock))) / SAMPLE_RATE
    decay = np.exp(-3 * (clock % (seconds / 16)))
    clicks = np.zeros(size)
    clicks[rng.integers(0, size, 30)] = 1
    hum = [rng.uniform(0.1, 1) * np.sin(2 * np.pi * 50 * n * clock + rng.uniform(0, 6)) for n in range(1, 12)]
    made = {
        "silence": np.zeros(size),
        "white noise": coloured(rng, size, 0),
        "pink noise": coloured(rng, size, 0.5),
        "room noise": coloured(rng, size, 1),
        "rain": rain(rng, size),
        "hum": sum(hum),
        "clicks": np.convolve(clicks, np.exp(-np.arange(200) / 30) * np.sin(np.arange(200)))[:size],
        "tone": np.sin(2 * np.pi * rng.uniform(150, 3000) * clock),
        "melody, plucked": sum(np.sin(n * melody) / n**1.3 for n in range(1, 9)) * decay,
        "melody, bowed": sum(np.sin(n * vibrato) / n for n in range(1, 14)),
        "drums": rng.standard_normal(size) * np.exp(-20 * (clock % 0.25)),
    }
    for name, sound in made.items():
        yield name, (0.3 * sound / max(np.abs(sound).max(), 1e-9)).astype(np.float32)


def coloured(rng: np.random.Generator, size: int, slope: float) -> np.ndarray:
    """Make noise whose amplitude falls with frequency to the power of `slope`: 0 is white, 0.5 pink."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 20)
    return np.fft.irfft(spectrum / frequencies**slope, size)


def rain(rng: np.random.Generator, size: int) -> np.ndarray:
    """Make rain: a hundred drops a second, each a short ring, over hiss."""
    sound = 0.1 * rng.standard_normal(size)
    clock = np.arange(800) / SAMPLE_RATE
    for start in rng.integers(0, size - clock.size, size * 100 // SAMPLE_RATE):
        ring = np.sin(2 * np.pi * rng.uniform(1500, 6000) * clock) * np.exp(-rng.uniform(100, 400) * clock)
        sound[start : start + clock.size] += rng.exponential() * ring
    return sound


def measure_answers(rows, model: str, clips: int, rng: np.random.Generator) -> dict:
    """Measure what noise and silence cost, whether entrances agree, and speed.

    Args:
        rows: the test split.
        model: the classifier's folder.
        clips: how many clips the table of noise has.
        rng: draws clips and noise.
    """
    classifier = EmotionClassifier.from_pretrained(model)
    corpora = np.array(rows["corpus"])
    speech = np.array([channel == "speech" for channel in rows["channel"]])
    labels = names(rows)
    known = np.array([label in classifier.labels for label in labels])
    drawn = rng.permutation(np.flatnonzero((corpora == "ravdess") & speech & known))[:clips]
    samples = [(read_clip(rows[int(index)]), labels[int(index)]) for index in drawn]
    return {
        "noise": measure_noise(classifier, samples, rng),
        "entrances": measure_entrances(classifier, model, samples),
        "engines": compare_engines(classifier, samples, rng),
        "speed": measure_speed(classifier, [audio for audio, _ in samples]),
    }


def names(rows) -> list[str]:
    """Return the label of each row."""
    known = rows.features["emotion"].names
    return [known[label] if label >= 0 else "" for label in rows["emotion"]]


def measure_noise(classifier: EmotionClassifier, samples: list, rng: np.random.Generator) -> dict:
    """Count right answers with silence and noise around and under unseen speakers' clips."""
    plain = [ask(classifier, audio) for audio, _ in samples]
    right = [answer == label for answer, (_, label) in zip(plain, samples, strict=True)]
    result = {"clips": len(samples), "right": sum(right), "conditions": {}}
    for name, change in conditions(rng):
        answers = [ask(classifier, change(audio)) for audio, _ in samples]
        truth = [answer == label for answer, (_, label) in zip(answers, samples, strict=True)]
        kept = sum(one and other for one, other in zip(right, truth, strict=True))
        result["conditions"][name] = {
            "right": sum(truth),
            "right_answers_kept_percent": round(100 * kept / max(sum(right), 1), 1),
            "refused": answers.count(None),
        }
    return result


def conditions(rng: np.random.Generator) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """Return what is done to a clip: a name, and a function of float32 samples at 16 kHz."""
    for seconds in TAILS:
        yield (
            f"{seconds} s of silence before and after",
            lambda audio, s=seconds: np.pad(audio, s * SAMPLE_RATE),
        )
    makers = {
        "room noise": lambda size: coloured(rng, size, 1),
        "rain": lambda size: rain(rng, size),
        "white noise": lambda size: coloured(rng, size, 0),
    }
    for kind, make in makers.items():
        yield (
            f"6 s of {kind} after it, 20 dB down, none under it",
            lambda audio, make=make: add_noise(audio, make, 20, 6, under=False),
        )
        for ratio in RATIOS:
            for seconds in NOISY_TAILS:
                tail = f", {seconds} s of it after" if seconds else ""
                yield (
                    f"{kind} {ratio} dB down{tail}",
                    lambda audio, make=make, r=ratio, s=seconds: add_noise(audio, make, r, s, under=True),
                )


def add_noise(audio: np.ndarray, make: Callable, ratio_db: float, seconds: int, under: bool) -> np.ndarray:
    """Add noise under a clip and for some seconds after it; the ratio is to the clip without its silence."""
    padded = np.pad(audio, (0, seconds * SAMPLE_RATE))
    noise = make(padded.size)
    noise *= 10 ** ((level_dbfs(audio) - ratio_db) / 20) / np.sqrt(np.mean(np.square(noise)))
    if not under:
        noise[: audio.size] = 0
    return (padded + noise).astype(np.float32)


def ask(classifier: EmotionClassifier, audio: np.ndarray) -> str | None:
    """Return the answer's label; None where there is none."""
    try:
        return classifier.predict(audio).label
    except AudioError:
        return None


def measure_entrances(classifier: EmotionClassifier, model: str, samples: list) -> dict:
    """Count recordings to which every entrance gives the answer that `predict` gives to their path."""
    gap = np.zeros(int(0.8 * SAMPLE_RATE), np.float32)
    clips = [audio for audio, _ in samples[:12]]
    recordings = clips[:6] + [
        np.concatenate([clips[i], gap, clips[i + 1], gap, clips[i + 2]])
        for i in range(min(4, len(clips) - 2))
    ]
    agreed: dict[str, list[bool]] = defaultdict(list)
    with TemporaryDirectory() as folder:
        for number, audio in enumerate(recordings):
            path = Path(folder, f"{number}.wav")
            soundfile.write(path, audio, SAMPLE_RATE)
            expected = classifier.predict(path)
            for name, probabilities in entrances(classifier, model, path, audio):
                same = max(
                    abs(probabilities[label] - share) for label, share in expected.probabilities.items()
                )
                agreed[name].append(bool(same < 1e-3))
    return {name: {"recordings": len(flags), "agree": sum(flags)} for name, flags in agreed.items()}


def entrances(
    classifier: EmotionClassifier, model: str, path: Path, audio: np.ndarray
) -> Iterator[tuple[str, dict[str, float]]]:
    """Ask each entrance for the probabilities of a recording."""
    from speech_emotion.cli import main as command_line
    from speech_emotion.inference.archive.answers import answer
    from speech_emotion.ui import endpoints

    yield "predict, bytes", classifier.predict(path.read_bytes()).probabilities
    yield "predict, samples", classifier.predict(soundfile.read(path, dtype="float32")[0]).probabilities
    [timeline] = deque(iter_timeline(classifier, path), maxlen=1)
    yield "iter_timeline", timeline.prediction(classifier).probabilities
    [row] = classify_files(classifier, [(path.name, path)])
    yield "classify_files", {label: row[label] for label in classifier.labels}
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        command_line([str(path), "--model", str(model), "--json"])
    yield "command line", json.loads(printed.getvalue())["probabilities"]
    yield "archive", answer(classifier, path.name, path).recordings[0]["probabilities"]
    name = Path(model).name
    yield "/classify", endpoints.classify(str(path), name)["probabilities"]
    [row] = endpoints.batch([str(path)], name)
    yield "/batch", {label: row[label] for label in classifier.labels}
    if audio.size <= WINDOW_SECONDS * SAMPLE_RATE:
        live = StreamingClassifier()
        for start in range(0, audio.size, SAMPLE_RATE // 2):
            live.push(classifier, audio[start : start + SAMPLE_RATE // 2], SAMPLE_RATE)
        if live.prediction:
            yield "live", live.prediction.probabilities


def compare_engines(classifier: EmotionClassifier, samples: list, rng: np.random.Generator) -> dict:
    """Compare the shipped export's answers with the checkpoint's, plain and with a noisy tail."""
    checkpoint = EmotionClassifier(
        classifier.model, classifier.extractor, TorchBackend(classifier.model, classifier.extractor)
    )
    same = []
    for audio, _ in samples[:12]:
        noisy = add_noise(audio, lambda size: coloured(rng, size, 1), 20, 6, under=True)
        same += [ask(classifier, each) == ask(checkpoint, each) for each in (audio, noisy)]
    return {
        "engine": classifier.engine.name,
        "other": checkpoint.engine.name,
        "recordings": len(same),
        "same_label": sum(same),
    }


def measure_speed(classifier: EmotionClassifier, clips: list[np.ndarray]) -> dict:
    """Time `predict` against what it did before: trim at 30 dB, Silero once, classify the rest whole."""

    def before(audio: np.ndarray) -> None:
        trimmed = trim_silence(audio)
        speech_probabilities(trimmed)
        classifier.logits([trimmed])

    times: dict[str, list[float]] = {"before": [], "predict": []}
    for audio in clips[:15]:
        for name, function in (("before", before), ("predict", classifier.predict)):
            start = time.process_time()
            function(audio)
            times[name].append(1000 * (time.process_time() - start))
    medians = {f"{name}_cpu_ms": round(float(np.median(each[1:])), 1) for name, each in times.items()}
    return medians | {"ratio": round(medians["predict_cpu_ms"] / medians["before_cpu_ms"], 2)}


if __name__ == "__main__":
    main()
