"""Made-up calls of one unseen speaker in a noisy room, each utterance compared with the others of the call.

    python benchmarks/reference_calls.py outputs/folds outputs/left_out

A call has 20 utterances, 70 % of them plain, and one noise from its beginning to its end, 5 to 30 dB below
the voice. It goes through `iter_timeline` as a recording does. The folders and their heads are those that
`reference.py` left. Writes results/reference_calls.json.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
from datasets import Dataset, concatenate_datasets
from record import RESULTS, save_result
from reference import make_parser
from sklearn.metrics import balanced_accuracy_score
from tqdm import tqdm

from speech_emotion import AudioError, EmotionClassifier
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.evaluation.predict import PREDICTIONS
from speech_emotion.inference.prediction import Segment
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.labels import PLAIN

UTTERANCES, PLAIN_SHARE = 20, 0.7
LEAST = 10  # utterances; a speaker with fewer makes no call
PAUSE_SECONDS = 0.7  # before each utterance
SNR_DB = (5.0, 30.0)  # of the utterances over the room's noise
SEED = 0


def main() -> None:
    """Make calls, answer them with and without a reference, write."""
    parser = make_parser(__doc__)
    parser.add_argument("--speakers", type=int, default=30, help="of a folder, at most")
    args = parser.parse_args()
    splits = open_dataset(args.data)
    everything = concatenate_datasets([splits[name] for name in ("train", "validation", "test")])
    figures = {}
    for kind in ("folds", "left_out"):
        heard = defaultdict(list)
        for file in sorted(getattr(args, kind).glob(f"*/{PREDICTIONS}")):
            with np.load(file) as kept:
                known = set(kept["sha256"].tolist())
            wanted = [index for index, sha256 in enumerate(everything["sha256"][:]) if sha256 in known]
            for corpus, answers in hear(file.parent, everything.select(wanted), args.speakers).items():
                heard[corpus] += answers
        figures[kind] = {corpus: score(answers) for corpus, answers in sorted(heard.items())}
    save_result(RESULTS / "reference_calls.json", figures, ["numpy", "torch", "transformers"])
    print(figures)


def hear(folder: Path, rows: Dataset, most: int) -> dict[str, list[tuple[str, str, str]]]:
    """Return for each corpus the utterances of calls: what they express, and the answer without and with."""
    classifier, rng = EmotionClassifier.from_pretrained(folder), np.random.default_rng(SEED)
    names, labels = rows.features["emotion"].names, np.array(rows["emotion"][:])
    speakers, found = np.array(rows["speaker"][:]), defaultdict(list)
    for speaker in tqdm(rng.permutation(np.unique(speakers))[:most], desc=folder.name):
        drawn = draw_call(np.flatnonzero(speakers == speaker), np.isin(np.array(names)[labels], PLAIN), rng)
        if len(drawn) < LEAST:
            continue
        clips = [read_clip(row) for row in rows.select(drawn)]
        sound, spans = make_call(clips, rng.uniform(*SNR_DB), rng)
        try:
            timelines = list(iter_timeline(classifier, sound, reference="self"))
        except AudioError:  # nobody is heard
            continue
        if not timelines[-1].with_reference:  # one utterance is heard
            continue
        without, beside = (answer_spans(each.segments, spans) for each in timelines[-2:])
        for each, one, other in zip(drawn, without, beside, strict=True):
            if one is not None:
                found[rows[int(each)]["corpus"]].append((names[labels[each]], one, other))
    return found


def draw_call(own: np.ndarray, plain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a speaker's clips for a call, in their order.

    Args:
        own: indices of the speaker's clips.
        plain: whether a clip is plain, shape [all clips].
        rng: draws them.
    """
    count = round(PLAIN_SHARE * UTTERANCES)
    chosen = [rng.permutation(own[plain[own]])[:count], rng.permutation(own[~plain[own]])]
    strong = round(len(chosen[0]) * (1 - PLAIN_SHARE) / PLAIN_SHARE)
    return rng.permutation(np.concatenate([chosen[0], chosen[1][:strong]]))


def make_call(
    clips: list[np.ndarray], snr_db: float, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Return clips with pauses between them in one room, and where each clip is, in seconds."""
    pause, parts, spans, at = np.zeros(int(PAUSE_SECONDS * SAMPLE_RATE), np.float32), [], [], 0
    for clip in clips:
        at += pause.size
        parts += [pause, clip]
        spans.append((at / SAMPLE_RATE, (at + clip.size) / SAMPLE_RATE))
        at += clip.size
    sound = np.concatenate([*parts, pause])
    power = np.mean(np.square(np.concatenate(clips), dtype=float))
    noise = pink_noise(sound.size, rng) * np.sqrt(power / 10 ** (snr_db / 10))
    return (sound + noise).astype(np.float32), spans


def pink_noise(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise like a room's, as strong in each octave: shape [size], of mean power 1."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size), 1))
    noise = np.fft.irfft(spectrum, size)
    return noise / np.sqrt(np.mean(np.square(noise)))


def answer_spans(segments: list[Segment], spans: list[tuple[float, float]]) -> list[str | None]:
    """Return the label for each span, from the segments that share time with it; None without one."""
    answers = []
    for start, end in spans:
        shares = defaultdict(float)
        for each in segments:
            common = min(end, each.end) - max(start, each.start)
            if common > 0:
                for label, probability in each.probabilities.items():
                    shares[label] += common * probability
        answers.append(max(shares, key=shares.get) if shares else None)
    return answers


def score(answers: list[tuple[str, str, str]]) -> dict[str, float]:
    """Return the number of utterances, and the UAR without and with a reference."""
    labels, without, beside = zip(*answers, strict=True)
    return {
        "utterances": len(labels),
        "none": float(balanced_accuracy_score(labels, without)),
        "the call itself": float(balanced_accuracy_score(labels, beside)),
    }


if __name__ == "__main__":
    main()
