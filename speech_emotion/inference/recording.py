"""From a recording to the clips that a classifier answers: decode, detect speech, cut into utterances.

Every entrance takes this path, so that a recording has one answer. It reads half a minute at a time: the
length of a recording costs no memory.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from speech_emotion.audio.decoding import (
    MAX_RECORDING_SECONDS,
    SAMPLE_RATE,
    Damage,
    File,
    stream_audio,
    stream_channels,
    to_mono_16k,
)
from speech_emotion.audio.vad import PAUSE_SECONDS, detect_speech

BLOCK_SECONDS = 30.0  # of the recording, decoded and classified at once
CONTEXT_SECONDS = 0.5  # before a block that the detector hears again, to find an onset at its beginning
APART_DB = 6.0  # that a speaker's own channel is louder than the other one
MIN_TURN, MIN_APART = 0.1, 0.7  # shares of the speech: of the quieter speaker, and of both without an overlap

Source = File | np.ndarray


@dataclass(frozen=True)
class Block:
    """The next part of a recording, and the utterances that end in it.

    Attributes:
        audio: float32 samples of shape [n], 16 kHz.
        starts: where each clip begins, in seconds from the recording's beginning.
        clips: float32 samples of each utterance, 16 kHz.
    """

    audio: np.ndarray
    starts: list[float]
    clips: list[np.ndarray]


def read_blocks(
    source: Source,
    rate: int,
    max_seconds: float,
    channel: int | None = None,
    damage: Damage | None = None,
) -> Iterator[np.ndarray]:
    """Decode a recording block by block.

    Args:
        source: a local path, the content of an audio file, or samples of shape [n] or [n, channels].
        rate: sampling rate of samples in Hz; files state their own.
        max_seconds: the longest duration accepted, in seconds.
        channel: the index of the only channel to read; None mixes all of them.
        damage: collects what cannot be decoded of a file.

    Yields:
        float32 samples of `BLOCK_SECONDS`, 16 kHz, the last block shorter, never empty.

    Raises:
        AudioError: as `load_audio`.
    """
    if isinstance(source, np.ndarray):
        samples = source if channel is None else source[:, channel]
        audio, size = to_mono_16k(samples, rate, max_seconds), int(BLOCK_SECONDS * SAMPLE_RATE)
        for start in range(0, audio.size, size):
            yield audio[start : start + size]
    elif channel is None:
        yield from stream_audio(source, BLOCK_SECONDS, max_seconds, damage)
    else:
        for block in stream_channels(source, BLOCK_SECONDS, max_seconds, damage):
            yield np.ascontiguousarray(block[:, channel])


def split_channels(samples: np.ndarray) -> list[np.ndarray]:
    """Return a recording's lanes: one, mixed down, or two of a stereo recording with a speaker on each.

    Args:
        samples: float32, shape [n] or [n, channels], 16 kHz.
    """
    if have_own_speakers(samples):
        return [np.ascontiguousarray(lane) for lane in samples.T]
    return [to_mono_16k(samples, SAMPLE_RATE, MAX_RECORDING_SECONDS)]


def count_lanes(source: File, max_seconds: float = MAX_RECORDING_SECONDS) -> int:
    """Return how many lanes a file has, as `split_channels` does; stereo is read block by block.

    Raises:
        AudioError: as `load_audio`.
    """
    for block in stream_channels(source, BLOCK_SECONDS, max_seconds):
        if block.shape[1] != 2:  # as in all that follow
            return 1
        if have_own_speakers(block):
            return 2
    return 1


def have_own_speakers(samples: np.ndarray) -> bool:
    """Return whether the two channels of a stereo recording hold different speech, as those of a call do.

    Both must hold speech, and for most of it one channel must be louder than the other by `APART_DB`: now the
    left one, now the right one. A microphone pair in a room, a copied channel or a silent one fails that.

    Args:
        samples: float32, shape [n] or [n, channels], 16 kHz.
    """
    if samples.ndim == 1 or samples.shape[1] != 2:
        return False
    spans = [detect_speech(np.ascontiguousarray(lane)) for lane in samples.T]
    if not all(spans):
        return False
    size = SAMPLE_RATE // 10
    power = np.square(samples[: len(samples) // size * size]).reshape(-1, size, 2).mean(axis=1) + 1e-12
    lead_db = 10 * np.log10(power[:, 0] / power[:, 1])
    is_speech = np.zeros(len(lead_db), bool)
    for span in spans[0] + spans[1]:
        is_speech[span.start // size : span.stop // size] = True
    if not is_speech.any():
        return False
    left, right = np.mean(lead_db[is_speech] >= APART_DB), np.mean(lead_db[is_speech] <= -APART_DB)
    return bool(min(left, right) >= MIN_TURN and left + right >= MIN_APART)


def find_utterances(
    blocks: Iterable[np.ndarray], max_seconds: float, sensitive: bool = False
) -> Iterator[Block]:
    """Find the utterances of a recording, across the blocks in which it is read.

    Args:
        blocks: as `read_blocks` yields them.
        max_seconds: the longest clip, in seconds; longer utterances are cut into equal pieces.
        sensitive: as in `detect_speech`.
    """
    rest, read = np.empty(0, np.float32), 0
    for audio, is_last in _mark_last(blocks):
        read += audio.size
        joined = np.concatenate([rest, audio])
        spans = detect_speech(joined, sensitive)
        start = joined.size
        if spans and not is_last and _may_go_on(spans[-1], joined.size):
            start = spans.pop().start  # found again, with what follows, in the next block
        done = spans[-1].stop if spans else 0
        rest = joined[max(done, start - int(CONTEXT_SECONDS * SAMPLE_RATE)) :]
        pieces = [piece for span in spans for piece in cut_span(span, max_seconds)]
        starts = [(read - joined.size + piece.start) / SAMPLE_RATE for piece in pieces]
        yield Block(audio, starts, [joined[piece] for piece in pieces])


def cut_span(span: slice, max_seconds: float) -> list[slice]:
    """Cut a span of samples at 16 kHz into the fewest equal pieces of `max_seconds` at most."""
    count = math.ceil((span.stop - span.start) / (max_seconds * SAMPLE_RATE))
    edges = np.linspace(span.start, span.stop, count + 1).astype(int).tolist()
    return [slice(*edge) for edge in pairwise(edges)]


def _may_go_on(span: slice, size: int) -> bool:
    """Return whether an utterance may go on after `size` samples; one of a whole block is ended there."""
    pause, length = (size - span.stop) / SAMPLE_RATE, (span.stop - span.start) / SAMPLE_RATE
    return pause < PAUSE_SECONDS and length < BLOCK_SECONDS


def _mark_last(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield each block, and whether it is the last one."""
    iterator = iter(blocks)
    block = next(iterator)
    for following in iterator:
        yield block, False
        block = following
    yield block, True
