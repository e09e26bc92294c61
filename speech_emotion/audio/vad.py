"""Where in a recording somebody speaks, by Silero VAD (https://github.com/snakers4/silero-vad).

Silero learned from adults who talk: it misses screams, high and young voices. Its network therefore takes a
recording a second time, slowed down, which lowers pitch and formants to where it knows them. For a recording
in which it still finds nobody, `detect_speech(..., sensitive=True)` takes weaker evidence: short calls, and
laughs, groans and gasps, which stand out from silence and change as noise and single notes do not.

Silero's network runs in ONNX Runtime, as `speech_emotion.export.silero` writes it.
"""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import soxr

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import SILENCE_DBFS, peak_dbfs

NETWORK = Path(__file__).with_name("silero_vad.onnx")
FRAME, CONTEXT = 512, 64  # samples of a frame, and of those before it that the network also takes
BLOCK = 64  # frames that the network takes at once, 2 s: what it makes of them fits a processor's cache
HOP = 256  # samples, 16 ms: the grid on which the probabilities of all speeds meet
SLOWER, SENSITIVE_SLOWER = (1.5,), (1.5, 2.0)  # times as long
LEVEL_QUANTILE, LEVEL = 0.999, 0.7  # the gain brings this quantile of the samples to this level
DIGITAL_SILENCE = 3e-4  # of the peak, 70 dB below it: a few steps of 16 bits, quieter than any room

ONSET, OFFSET = 0.5, 0.35  # speech starts at a probability of the first and ends below the second
MIN_HOPS, SENSITIVE_MIN_HOPS = 10, 3  # in a row at ONSET, 160 and 48 ms: music rarely reaches the first
PAUSE_SECONDS = 0.3  # a shorter pause does not end an utterance
MARGIN_SECONDS = 0.1  # kept before and after an utterance

# What cries have and noise, hum, clicks, rain and music mostly lack: by EmoGator's clips that Silero misses.
LOUD_DB = 25.0  # below the loudest frame; louder frames are the sound
MIN_CENTROID_HZ = 160.0  # standard deviation of the sound's spectral centroid; notes and clicks have less
MIN_TONE_CENTROID_HZ = 25.0  # a tone's centroid moves less even when it starts and stops
MIN_CHANGE_DB = 4.1  # of the sound's spectrum within 50 ms; steady noise has 3.9 by chance alone
MIN_RANGE_DB = 30.0  # between the sound and what surrounds it; rain and melodies have less
MAX_CRY_SECONDS = 1.5
MIN_CRY_PROBABILITY = 0.12  # with a moving centroid; `ONSET` without

# A single word may end before the network has heard enough. Played forwards and backwards, so that no seam
# interrupts it, and this four times, it is speech for a good part of the time. Notes, hum and drums of that
# length are for a sixth at most.
MAX_WORD_SECONDS = 0.6
ROUNDS, MIN_WORD_SHARE = 4, 0.3


@cache
def _session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(NETWORK, options)


def speech_probabilities(audio: np.ndarray) -> np.ndarray:
    """Compute the probability of speech in each frame of 32 ms.

    Args:
        audio: float32 samples of shape [n], 16 kHz.

    Returns:
        float32, shape [ceil(n / 512)]; the last frame is filled up with silence.
    """
    frames = np.pad(audio, (CONTEXT, -audio.size % FRAME)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(frames, CONTEXT + FRAME)[::FRAME]
    hidden = cell = np.zeros((1, 1, 128), np.float32)
    blocks = []
    for start in range(0, len(frames), BLOCK):
        inputs = {"input": frames[start : start + BLOCK].copy(), "h": hidden, "c": cell}
        block, hidden, cell = _session().run(["speech_probs", "hn", "cn"], inputs)
        blocks.append(block.ravel())
    return np.concatenate(blocks)


def detect_speech(audio: np.ndarray, sensitive: bool = False) -> list[slice]:
    """Find the utterances of a recording.

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        sensitive: whether to take weaker evidence: for a recording in which nobody seems to speak otherwise.

    Returns:
        The samples of each utterance with a margin, in order, none of them overlapping.
    """
    if (
        not audio.size or peak_dbfs(audio) < SILENCE_DBFS
    ):  # hours of silence take few bytes, and should take little time
        return []
    level = np.abs(audio)
    [heard] = np.nonzero(level > DIGITAL_SILENCE * level.max())
    first, last = heard[0], heard[-1] + 1  # digital silence around a clip does not change its answer
    sound = audio[first:last]
    runs = _find_cries(sound) if sensitive else find_runs(combined_probabilities(sound, SLOWER), MIN_HOPS)
    spans = add_margins([slice(run.start * HOP, run.stop * HOP) for run in runs], sound.size)
    return [slice(int(first + span.start), int(first + span.stop)) for span in spans]


def find_runs(probabilities: np.ndarray, min_hops: int) -> list[slice]:
    """Find the runs of hops in which somebody speaks.

    Args:
        probabilities: of speech, shape [hops].
        min_hops: in a row that reach `ONSET` in each run.
    """
    pause = round(PAUSE_SECONDS * SAMPLE_RATE / HOP)
    [spoken] = np.nonzero(probabilities >= OFFSET)
    breaks = np.flatnonzero(np.diff(spoken) > pause) + 1
    runs = [slice(int(run[0]), int(run[-1]) + 1) for run in np.split(spoken, breaks) if run.size]
    return [run for run in runs if _longest(probabilities[run] >= ONSET) >= min_hops]


def add_margins(spans: list[slice], size: int) -> list[slice]:
    """Widen spans of samples by `MARGIN_SECONDS`, without overlap, in a recording of `size` samples."""
    margin = int(MARGIN_SECONDS * SAMPLE_RATE)
    limits = [0, *((one.stop + other.start) // 2 for one, other in pairwise(spans)), size]
    return [
        slice(max(span.start - margin, limits[index]), min(span.stop + margin, limits[index + 1]))
        for index, span in enumerate(spans)
    ]


def combined_probabilities(sound: np.ndarray, slower: tuple[float, ...]) -> np.ndarray:
    """Compute the highest probability of speech at any speed, shape [ceil(n / HOP)]."""
    rank = int(LEVEL_QUANTILE * (sound.size - 1))
    gain = LEVEL / max(float(np.partition(np.abs(sound), rank)[rank]), 1e-6)
    sound = np.clip(gain * sound, -1.0, 1.0)
    middles = np.arange(0, sound.size, HOP) + HOP // 2
    views = []
    for times in (1.0, *slower):
        slowed = sound if times == 1.0 else soxr.resample(sound, SAMPLE_RATE, times * SAMPLE_RATE)
        probabilities = speech_probabilities(slowed)
        frames = np.minimum((middles * times).astype(int) // FRAME, probabilities.size - 1)
        views.append(probabilities[frames])
    return np.max(views, axis=0)


def _find_cries(sound: np.ndarray) -> list[slice]:
    """Find short calls and words, laughs, cries, groans and gasps: runs of hops."""
    probabilities = combined_probabilities(sound, SENSITIVE_SLOWER)
    loud, centroid_hz, change_db, range_db = _describe(sound)
    moves = centroid_hz >= MIN_CENTROID_HZ
    if moves and (runs := find_runs(probabilities, SENSITIVE_MIN_HOPS)):
        return runs
    if sound.size <= MAX_WORD_SECONDS * SAMPLE_RATE and _is_word(sound):
        return [slice(0, loud.size)]
    is_cry = (
        centroid_hz >= MIN_TONE_CENTROID_HZ
        and change_db >= MIN_CHANGE_DB
        and range_db >= MIN_RANGE_DB
        and loud.sum() * HOP <= MAX_CRY_SECONDS * SAMPLE_RATE
        and probabilities.max() >= (MIN_CRY_PROBABILITY if moves else ONSET)
    )
    return find_runs(loud.astype(float), SENSITIVE_MIN_HOPS) if is_cry else []


def _is_word(sound: np.ndarray) -> bool:
    """Return whether a short sound, played over and over, is speech for `MIN_WORD_SHARE` of the time."""
    probabilities = combined_probabilities(np.tile(np.concatenate([sound, sound[::-1]]), ROUNDS), SLOWER)
    return bool(np.mean(probabilities >= ONSET) > MIN_WORD_SHARE)


def _describe(sound: np.ndarray) -> tuple[np.ndarray, float, float, float]:
    """Measure how a sound changes.

    Returns:
        Which hops are loud, shape [ceil(n / HOP)]; of these, the standard deviation of the spectral centroid
        in Hz, and the mean change of the spectrum within 50 ms in dB; and how far they stand out, in dB.
    """
    size = 640  # samples, 40 ms
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, size // 2), size)[::HOP]
    frequencies = np.fft.rfftfreq(2048, 1 / SAMPLE_RATE)
    band = (frequencies > 120) & (frequencies < 5000)
    power = (np.abs(np.fft.rfft(frames * np.hanning(size), 2048)) ** 2)[:, band]
    frequencies, total = frequencies[band], power.sum(axis=1) + 1e-12
    decibels = 10 * np.log10(total)
    loud = decibels > decibels.max() - LOUD_DB
    centroid = (power @ frequencies / total)[loud]
    edges = np.searchsorted(frequencies, np.geomspace(120, 5000, 21)[:-1])
    bands = 10 * np.log10(np.add.reduceat(power, edges, axis=1) / total.max() + 1e-10)
    bands -= bands.mean(axis=1, keepdims=True)
    step = round(0.05 * SAMPLE_RATE / HOP)
    both = loud[step:] & loud[:-step]
    change = np.sqrt(np.square(bands[step:] - bands[:-step]).mean(axis=1))[both]
    low, high = np.percentile(decibels, (10, 95))
    return loud, float(centroid.std()), float(change.mean()) if change.size else 0.0, float(high - low)


def _longest(flags: np.ndarray) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))
