"""Robustness: the test clips once more in noise, through telephones and codecs, in silence, cut short."""

from collections.abc import Callable
from functools import partial

import numpy as np
from datasets import Dataset

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.degradations import BABBLE_VOICES, MP3_BIT_RATE, babble, mp3, telephone, white_noise
from speech_emotion.audio.silence import trim_silence
from speech_emotion.dataset import read_clip
from speech_emotion.evaluation.predict import SEED, Predictions, predict_rows
from speech_emotion.evaluation.scores import score
from speech_emotion.evaluation.selective import selective_accuracy
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.models.folder import Threshold

SNRS_DB = (20, 10, 0)
SURROUNDING_SECONDS = 6.0  # of noise around a clip, half of it before
SURROUNDING_SNRS_DB = (30, 20, 10)  # of the clip over the noise around it
SHORT_SECONDS = (0.3, 0.5, 1.0)  # of a single word
MOST_CLIPS = 200  # drawn from a larger test split, so that all conditions take minutes on two cores

Change = Callable[[np.ndarray, int], np.ndarray]


def measure_robustness(classifier: EmotionClassifier, rows: Dataset, clean: np.ndarray) -> dict:
    """Score clips after each change of `audio.degradations`.

    Args:
        classifier: the model.
        rows: clips of the test split.
        clean: their logits without a change, shape [clips, classes].

    Returns:
        Scores (`accuracy`, `uar`, `macro_f1`, `weighted_f1`) by condition, `clean` first. `SEED` and the
        number of the row draw the noise, so each clip gets the same at every level; babble is made of the
        split's other speakers.
    """
    truth, speakers = np.array(rows["emotion"]), np.array(rows["speaker"])

    def add_white(audio: np.ndarray, index: int, snr_db: float) -> np.ndarray:
        return white_noise(audio, snr_db, np.random.default_rng((SEED, index)))

    def add_babble(audio: np.ndarray, index: int, snr_db: float) -> np.ndarray:
        rng = np.random.default_rng((SEED, index))
        others = rng.choice(np.flatnonzero(speakers != speakers[index]), BABBLE_VOICES)
        return babble(audio, snr_db, [read_clip(rows[int(other)]) for other in others], rng)

    noises = {"white noise": add_white}
    if len(set(speakers)) > 1:  # a lone speaker has no other voices for babble
        noises["babble"] = add_babble
    conditions: dict[str, Change] = {
        f"{name}, {snr_db} dB": partial(add, snr_db=snr_db)
        for name, add in noises.items()
        for snr_db in SNRS_DB
    }
    conditions["telephone"] = lambda audio, _: telephone(audio)
    conditions[f"MP3, {MP3_BIT_RATE // 1000} kbit/s"] = lambda audio, _: mp3(audio)
    scores = {"clean": score(clean.argmax(axis=1), truth)}
    for name, change in conditions.items():
        scores[name] = score(predict_rows(classifier, rows, name, change).logits.argmax(axis=1), truth)
    return scores


def measure_surroundings(
    classifier: EmotionClassifier, rows: Dataset, as_it_lies: Predictions, threshold: Threshold
) -> dict:
    """Score clips with less and with more around the voice than the corpus left there.

    Args:
        classifier: the model.
        rows: clips of the test split.
        as_it_lies: their predictions without a change.
        threshold: the confidence from which on the model is sure.

    Returns:
        By condition `clips`, `refused` (clips in which no speech was found), those of `scores.score`, and
        `coverage` and `sure_accuracy`: the share of clips that are sure, and of those the share that is
        right (None without any). The conditions are `as it lies`, `trimmed` and `inside 6 s of noise, N dB`.
    """
    conditions: dict[str, Change] = {"trimmed": lambda audio, _: trim_silence(audio)}
    for snr_db in SURROUNDING_SNRS_DB:
        name = f"inside {SURROUNDING_SECONDS:.0f} s of noise, {snr_db} dB"
        conditions[name] = partial(_surround, snr_db=snr_db)
    return {"as it lies": _summarise(classifier, as_it_lies, threshold)} | _measure(
        classifier, rows, conditions, threshold
    )


def measure_short_clips(classifier: EmotionClassifier, rows: Dataset, threshold: Threshold) -> dict:
    """Score the middle of each clip's voice, as short as a single word.

    Returns:
        By length (`0.3 s`) what `measure_surroundings` returns.
    """
    conditions = {f"{seconds:g} s": partial(_shorten, seconds=seconds) for seconds in SHORT_SECONDS}
    return _measure(classifier, rows, conditions, threshold)


def _measure(
    classifier: EmotionClassifier, rows: Dataset, conditions: dict[str, Change], threshold: Threshold
) -> dict:
    return {
        name: _summarise(classifier, predict_rows(classifier, rows, name, change), threshold)
        for name, change in conditions.items()
    }


def _summarise(classifier: EmotionClassifier, predictions: Predictions, threshold: Threshold) -> dict:
    logits, truth, refused = predictions
    counts = {"clips": len(truth), "refused": int(refused.sum())}
    sure = {"coverage": 0.0, "sure_accuracy": None}  # a refused clip gets no answer
    if not refused.all():
        own = selective_accuracy(logits[~refused], truth[~refused], threshold, classifier.labels)
        sure = {"coverage": own["coverage"] * float((~refused).mean()), "sure_accuracy": own["accuracy"]}
    return counts | score(logits.argmax(axis=1), truth) | sure


def _surround(audio: np.ndarray, index: int, snr_db: float) -> np.ndarray:
    """Put white noise around a clip, and under it, `snr_db` below the clip's level."""
    side = int(SURROUNDING_SECONDS / 2 * SAMPLE_RATE)
    level = np.sqrt(np.mean(np.square(audio, dtype=float))) * 10 ** (-snr_db / 20)
    surrounded = np.pad(audio, side)
    noise = np.random.default_rng((SEED, index)).standard_normal(surrounded.size)
    return (surrounded + level * noise).astype(np.float32)


def _shorten(audio: np.ndarray, index: int, seconds: float) -> np.ndarray:
    """Cut this many seconds out of the middle of a clip's voice."""
    voice, size = trim_silence(audio), int(seconds * SAMPLE_RATE)
    start = max(voice.size - size, 0) // 2
    return voice[start : start + size]
