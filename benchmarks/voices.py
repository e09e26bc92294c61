"""Measure who is refused, what noise and silence around a voice cost, and whether all entrances agree.

    python benchmarks/voices.py refusals    # speech detection alone: about three minutes on one core
    python benchmarks/voices.py answers     # noise, entrances and speed of --model: about six minutes
    python benchmarks/voices.py             # both

Each writes its part of results/voices.json, answers one part for each model; run one at a time. Clips are a
fixed random sample of the dataset as it lies. Answers are measured on the test split: no training heard its
speakers. They are counted clip by clip: after an interruption, the same command goes on where it ended.
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
import onnxruntime
import soundfile
import soxr
from record import RESULTS, ROOT, save_result
from tqdm import tqdm

from speech_emotion import AudioError, EmotionClassifier
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import trim_silence
from speech_emotion.audio.vad import CONTEXT, FRAME, detect_speech
from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.export.silero import published
from speech_emotion.inference.backends import OnnxBackend
from speech_emotion.inference.batch import classify_files
from speech_emotion.inference.streaming import WINDOW_SECONDS, StreamingClassifier
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.models.folder import EXPORTS, digest_weights
from speech_emotion.models.loading import load_classifier

RESULT = RESULTS / "voices.json"
RAISED = (1.25, 1.4, 1.6)  # how many times as fast a clip is played, and stretched back
PIECES = (0.2, 0.3, 0.5)  # seconds of a clip, alone
TAILS = (2, 6, 20)  # seconds before and after the clip
SPEAKING = ("ravdess", "savee", "crema_d", "emospeech_in", "meld")  # in the test split
WORK = ROOT / "outputs"
PLAIN = "as it lies"
RATIOS = (30, 20, 10)  # dB, the clip's power over the noise's
NOISY_TAILS = (0, 6)  # seconds after the clip, in noise
SUMMARY: dict[str, Callable[[str], bool]] = {  # conditions that are averaged
    "silence before and after": lambda name: "of silence" in name,
    "6 s of noise after it, 20 dB down": lambda name: "none under it" in name,
    "noise 20 dB down under it and 6 s after": lambda name: "20 dB down, 6 s of it after" in name,
}


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=("refusals", "answers"), help="default: both")
    parser.add_argument("--data", default="data/emotion", help="the dataset")
    parser.add_argument("--model", default="models/wav2vec2", help="folder of the classifier")
    parser.add_argument("--group", type=int, default=100, help="clips of each corpus and sex")
    parser.add_argument("--clips", type=int, default=24, help="clips of each corpus for the table of noise")
    parser.add_argument("--seed", type=int, default=0, help="draws clips and noise")
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    rng = np.random.default_rng(options.seed)
    if options.part in (None, "refusals"):
        figures["refusals"] = measure_refusals(dataset, options.group, rng)
        figures["refused_sounds"] = measure_sounds(rng)
    if options.part in (None, "answers"):
        answers = measure_answers(dataset["test"], Path(options.model), options.clips, options.seed)
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


def measure_answers(rows, model: Path, clips: int, seed: int) -> dict:
    """Measure what noise and silence cost, whether entrances and engines agree, and speed.

    Args:
        rows: the test split.
        model: the classifier's folder.
        clips: how many of each corpus the table of noise has.
        seed: draws clips and noise.
    """
    classifier = EmotionClassifier.from_pretrained(model)
    drawn = draw(rows, classifier.labels, clips, np.random.default_rng(seed))
    samples = [read_clip(rows[index]) for index in drawn[:: max(len(drawn) // 12, 1)][:12]]
    figures = {
        "entrances": measure_entrances(classifier, model, samples),
        "engines": compare_engines(classifier, samples, np.random.default_rng(seed)),
        "speed": measure_speed(classifier, [read_clip(rows[index]) for index in drawn[:15]]),
    }
    # last, for it takes longest, and what it has found so far goes when it ends
    return measure_noise(classifier, rows, drawn, seed) | figures


def draw(rows, labels: list[str], clips: int, rng: np.random.Generator) -> list[int]:
    """Draw so many clips of speech of each corpus in `SPEAKING`, with a label that the classifier knows."""
    known = rows.features["emotion"].names
    places: dict[str, list[int]] = {corpus: [] for corpus in SPEAKING}
    for index, (corpus, channel, label) in enumerate(
        zip(rows["corpus"], rows["channel"], rows["emotion"], strict=True)
    ):
        if corpus in places and channel == "speech" and label >= 0 and known[label] in labels:
            places[corpus].append(index)
    return [int(index) for each in places.values() for index in rng.permutation(each)[:clips]]


def measure_noise(classifier: EmotionClassifier, rows, drawn: list[int], seed: int) -> dict:
    """Count right answers with silence and noise around and under unseen speakers' clips."""
    known = rows.features["emotion"].names
    done = WORK / f"voices-{digest_weights(classifier.folder)[:12]}-{seed}.jsonl"
    done.parent.mkdir(exist_ok=True)
    answers = [json.loads(line) for line in done.read_text().splitlines()] if done.exists() else []
    found = {each["clip"]: each for each in answers}
    for index in tqdm([index for index in drawn if index not in found], desc="clips"):
        audio, row = read_clip(rows[index]), rows[index]
        changes = {PLAIN: lambda clip: clip} | dict(conditions(np.random.default_rng([seed, index])))
        found[index] = {
            "clip": index,
            "corpus": row["corpus"],
            "label": known[row["emotion"]],
            "answers": {name: ask(classifier, change(audio)) for name, change in changes.items()},
        }
        with done.open("a") as file:
            print(json.dumps(found[index]), file=file)
    result = count([found[index] for index in drawn])
    done.unlink()
    return result


def count(found: list[dict]) -> dict:
    """Count the right answers of each condition, and those that the clip as it lies has as well."""
    right = [each for each in found if each["answers"][PLAIN] == each["label"]]
    table = {}
    for name in found[0]["answers"]:
        answers = [each["answers"][name] for each in found]
        table[name] = {
            "right": sum(each["answers"][name] == each["label"] for each in found),
            "right_answers_kept": sum(each["answers"][name] == each["label"] for each in right),
            "refused": answers.count(None),
        }
    corpora = {
        corpus: {
            "clips": sum(each["corpus"] == corpus for each in found),
            "right": sum(each["corpus"] == corpus for each in right),
        }
        for corpus in SPEAKING
    }
    kept = {
        title: round(
            100
            * np.mean([row["right_answers_kept"] for name, row in table.items() if belongs(name)])
            / max(len(right), 1),
            1,
        )
        for title, belongs in SUMMARY.items()
    }
    return {
        "clips": len(found),
        "right": len(right),
        "corpora": corpora,
        "conditions": table,
        "right_answers_kept_percent": kept,
    }


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


def measure_entrances(classifier: EmotionClassifier, model: Path, clips: list[np.ndarray]) -> dict:
    """Count recordings to which every entrance gives the answer that `predict` gives to their path."""
    gap = np.zeros(int(0.8 * SAMPLE_RATE), np.float32)
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
    classifier: EmotionClassifier, model: Path, path: Path, audio: np.ndarray
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
    name = model.name
    yield "/classify", endpoints.classify(str(path), name)["probabilities"]
    [row] = endpoints.batch([str(path)], name)
    yield "/batch", {label: row[label] for label in classifier.labels}
    if audio.size <= WINDOW_SECONDS * SAMPLE_RATE:
        live = StreamingClassifier()
        for start in range(0, audio.size, SAMPLE_RATE // 2):
            live.push(classifier, audio[start : start + SAMPLE_RATE // 2], SAMPLE_RATE)
        if live.prediction:
            yield "live", live.prediction.probabilities


def compare_engines(
    classifier: EmotionClassifier, clips: list[np.ndarray], rng: np.random.Generator
) -> dict[str, dict[str, int]]:
    """Compare each export's answers with the checkpoint's, to clips as they lie and with a noisy tail."""
    model, extractor = load_classifier(classifier.folder)
    sounds = [
        sound
        for clip in clips
        for sound in (clip, add_noise(clip, lambda size: coloured(rng, size, 1), 20, 6, under=True))
    ]
    checkpoint = EmotionClassifier(model, extractor)
    expected = [ask(checkpoint, sound) for sound in sounds]
    result = {}
    for name, file in EXPORTS.items():
        if (path := classifier.folder / file).exists():
            engine = OnnxBackend(path, name, extractor, classifier.folder, len(classifier.labels))
            export = EmotionClassifier(model, extractor, engine)
            same = [ask(export, sound) == label for sound, label in zip(sounds, expected, strict=True)]
            result[file] = {"recordings": len(same), "same_label": sum(same)}
    return result


def measure_speed(classifier: EmotionClassifier, clips: list[np.ndarray]) -> dict[str, dict[str, float]]:
    """Time `predict` against what it did before: trim at 30 dB, Silero as published, classify it all."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    silero = onnxruntime.InferenceSession(published(), options)

    def before(audio: np.ndarray) -> None:
        trimmed = trim_silence(audio)
        state = np.zeros((1, 1, 128), np.float32)
        frames = np.pad(trimmed, (CONTEXT, -trimmed.size % FRAME))
        frames = np.lib.stride_tricks.sliding_window_view(frames, CONTEXT + FRAME)[::FRAME].copy()
        silero.run(None, {"input": frames, "h": state, "c": state})
        classifier.logits([trimmed])

    minute = np.tile(np.concatenate(clips), 2)[: 60 * SAMPLE_RATE]
    result = {}
    for name, recordings in (("clips", clips), ("a minute of clips", [minute])):
        times = {
            each: np.median([cpu_ms(function, audio) for audio in recordings])
            for each, function in (("before", before), ("predict", classifier.predict))
        }
        result[name] = {f"{each}_cpu_ms": round(float(time), 1) for each, time in times.items()}
        result[name]["ratio"] = round(float(times["predict"] / times["before"]), 2)
    return result


def cpu_ms(function: Callable, audio: np.ndarray) -> float:
    """Return the least processor time of five runs, in milliseconds."""
    times = []
    for _ in range(5):
        start = time.process_time()
        function(audio)
        times.append(1000 * (time.process_time() - start))
    return min(times)


if __name__ == "__main__":
    main()
