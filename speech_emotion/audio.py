"""The audio contract: whatever comes in, 16 kHz mono float32 comes out, or one sentence that says why not.

Corpora, training and the app all decode here, so that a model hears the same samples everywhere.
soundfile (libsndfile) reads WAV, AIFF, FLAC, Ogg and MP3; PyAV, whose wheel carries FFmpeg, reads the rest
(M4A, WebM, MP4). Resampling is soxr's high-quality setting.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000  # Hz, what every model here is trained on
MAX_SECONDS = 60.0  # a longer clip is refused
MAX_RECORDING_SECONDS = 3600.0  # a longer recording is refused, where recordings are read block by block
MIN_SPEECH_SECONDS = 0.5  # shortest sound, silence trimmed, that a classifier is asked about
SILENCE_DBFS = -50.0  # a clip whose peak stays below this is silence
TRIM_DB = 30.0  # dB below the loudest frame; the threshold used in the literature on EmoV-DB
FRAME_LENGTH = SAMPLE_RATE * 25 // 1000  # 25 ms, frames on which level is measured
HOP_LENGTH = SAMPLE_RATE * 10 // 1000  # 10 ms

_LFS_POINTER = b"version https://git-lfs"
_NOTHING = "The file holds no sound."
_DAMAGED = "This file is not audio, or it is damaged beyond reading."
# Only containers that hold their own media: playlist formats could make FFmpeg open files and URLs.
_CONTAINERS = {"format_whitelist": "aac,asf,caf,matroska,mov,mp3,mpegts"}


class AudioError(ValueError):
    """Audio that cannot be used; the message is a sentence meant for the person who supplied it."""


def load_audio(source: str | PathLike | bytes, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Decode a local file, or a file's bytes, to the contract.

    Args:
        source: a path on this machine (never opened as a URL), or the content of an audio file.
        max_seconds: the longest duration accepted, in seconds; decoding stops there.

    Returns:
        float32 samples of shape [n], 16 kHz, the mean of the channels.

    Raises:
        AudioError: nothing there, no audio in it, damaged, too long, or samples that are not numbers.
    """
    return to_contract(*decode_audio(source, max_seconds), max_seconds)


def decode_audio(source: str | PathLike | bytes, max_seconds: float = MAX_SECONDS) -> tuple[np.ndarray, int]:
    """Decode a local file, or a file's bytes, as it is: its own rate and channels.

    Args:
        source: as in `load_audio`.
        max_seconds: decoding stops soon after so many seconds, so that `to_contract` still sees the excess.

    Returns:
        float32 samples of shape [n] or [n, channels], and their sampling rate in Hz.

    Raises:
        AudioError: nothing there, no audio in it, or damaged.
    """
    samples, length, rate = [], 0, SAMPLE_RATE
    for block, rate in _decode(source):
        samples.append(block)
        length += len(block)
        if length > max_seconds * rate:
            break
    if not samples:
        raise AudioError(_NOTHING)
    return np.concatenate(samples), rate


def stream_audio(
    source: str | PathLike | bytes, block_seconds: float, max_seconds: float = MAX_RECORDING_SECONDS
) -> Iterator[np.ndarray]:
    """Decode a recording to the contract block by block, so that its length costs no memory.

    Args:
        source: as in `load_audio`.
        block_seconds: length of a block in seconds.
        max_seconds: the longest duration accepted, in seconds.

    Yields:
        float32 samples of shape [block_seconds * 16000], the last block shorter, never empty.

    Raises:
        AudioError: as `load_audio`, when it comes to that place.
    """
    size, held, resampler = int(block_seconds * SAMPLE_RATE), np.empty(0, np.float32), None
    length, given = 0, False
    for block, rate in _decode(source):
        length += len(block)
        mono = _to_mono(block)
        if length > max_seconds * rate:
            raise AudioError(f"The recording is longer than {max_seconds / 60:g} minutes; send a part of it.")
        if rate != SAMPLE_RATE:
            resampler = resampler or soxr.ResampleStream(rate, SAMPLE_RATE, 1, quality="HQ")
            mono = resampler.resample_chunk(mono)
        held = np.concatenate([held, mono])
        while held.size >= size:
            given = True
            yield held[:size]
            held = held[size:]
    if resampler:
        held = np.concatenate([held, resampler.resample_chunk(np.empty(0, np.float32), last=True)])
    if not (given or held.size):
        raise AudioError(_NOTHING)
    for start in range(0, held.size, size):
        yield held[start : start + size]


def state_seconds(source: str | PathLike | bytes) -> float | None:
    """Give the length that a recording's header states, in seconds; None where it states none."""
    with _open(source) as file:
        try:
            return soundfile.info(file).duration
        except soundfile.LibsndfileError:
            file.seek(0)
        try:
            with av.open(file, options=_CONTAINERS) as container:
                return container.duration / av.time_base if container.duration else None
        except av.FFmpegError:
            return None


def to_contract(samples: np.ndarray, rate: int, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Bring decoded samples to 16 kHz mono float32.

    Args:
        samples: shape [n] or [n, channels]; floats in -1..1 or signed integers at full scale.
        rate: their sampling rate in Hz.
        max_seconds: the longest duration accepted, in seconds.

    Returns:
        float32 samples of shape [m], 16 kHz.

    Raises:
        AudioError: no samples, too long, or NaN or infinite samples.
    """
    if len(samples) == 0:
        raise AudioError(_NOTHING)
    if len(samples) > max_seconds * rate:
        raise AudioError(f"The recording is longer than {max_seconds:g} seconds; send a shorter piece.")
    mono = _to_mono(samples)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")
    if mono.size == 0:  # less than a sample at 16 kHz
        raise AudioError(_NOTHING)
    return mono


def trim_silence(audio: np.ndarray, trim_db: float = TRIM_DB) -> np.ndarray:
    """Cut leading and trailing silence, never anything inside.

    Frames of 25 ms every 10 ms; sound starts and ends with the first and last frame whose level is within
    `trim_db` of the loudest. (librosa.effects.trim does the same; its first call compiles for many seconds.)

    Args:
        audio: shape [n], 16 kHz.
        trim_db: how far below the loudest frame a frame counts as silence, in dB.

    Returns:
        A view of `audio`; all of it where it is shorter than a frame or digitally silent.
    """
    if audio.size < FRAME_LENGTH:
        return audio
    frames = np.lib.stride_tricks.sliding_window_view(audio, FRAME_LENGTH)[::HOP_LENGTH]
    power = np.einsum("ij,ij->i", frames, frames)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-trim_db / 10))
    last = len(frames) - 1
    end = audio.size if loud[-1] == last else loud[-1] * HOP_LENGTH + FRAME_LENGTH
    return audio[loud[0] * HOP_LENGTH : end]


def peak_dbfs(audio: np.ndarray) -> float:
    """Peak level of shape-[n] samples in dB relative to full scale, a constant offset left out."""
    peak = np.abs(audio - audio.mean()).max()
    return float(20 * np.log10(max(peak, 1e-10)))


def check_speech(audio: np.ndarray) -> np.ndarray:
    """Trim a clip and refuse it where there is nothing for a classifier to judge.

    Args:
        audio: shape [n], 16 kHz.

    Returns:
        The trimmed clip.

    Raises:
        AudioError: silence, or less than half a second of sound.
    """
    if peak_dbfs(audio) < SILENCE_DBFS:
        raise AudioError("There is only silence in this recording. Is the microphone on?")
    trimmed = trim_silence(audio)
    seconds = trimmed.size / SAMPLE_RATE
    if seconds < MIN_SPEECH_SECONDS:
        raise AudioError(
            f"There is only {seconds:.2f} s of sound in this recording; "
            f"at least {MIN_SPEECH_SECONDS:g} s is needed to hear a tone of voice."
        )
    return trimmed


def to_pcm(audio: np.ndarray) -> np.ndarray:
    """Round shape-[n] samples in -1..1 to 16 bits, clipped: what decoding divides by 2**15 again."""
    return np.clip(np.round(audio * 2**15), -(2**15), 2**15 - 1).astype("<i2")


def encode_flac(pcm: np.ndarray) -> bytes:
    """Encode shape-[n] 16 kHz int16 samples as FLAC, the form in which the dataset stores clips."""
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _to_mono(samples: np.ndarray) -> np.ndarray:
    """Average the channels of shape-[n] or [n, channels] samples; integers are scaled to -1..1."""
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / float(np.iinfo(samples.dtype).max + 1)
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    if not np.isfinite(mono).all():
        raise AudioError("The recording is damaged: some of its samples are not numbers.")
    return mono.astype(np.float32)


@contextmanager
def _open(source: str | PathLike | bytes) -> Iterator[BinaryIO]:
    """Open a source, refusing what holds nothing. Decoders get the open file, never its name."""
    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")  # noqa: SIM115
    except OSError as error:
        raise AudioError(f"The file {Path(source).name!r} cannot be read: {error.strerror}.") from error
    with opened as file:
        head = file.read(len(_LFS_POINTER))
        if not head:
            raise AudioError("The file is empty.")
        if head == _LFS_POINTER:
            raise AudioError("This is a Git LFS pointer, not the recording: run git lfs pull.")
        file.seek(0)
        yield file


def _decode(source: str | PathLike | bytes) -> Iterator[tuple[np.ndarray, int]]:
    """Decode block by block: float32 samples of shape [n] or [n, channels], and their rate in Hz."""
    with _open(source) as file:
        try:
            sound = soundfile.SoundFile(file)
        except soundfile.LibsndfileError:
            file.seek(0)
            yield from _decode_av(file)
            return
        decoded = False
        try:
            with sound:
                for block in sound.blocks(sound.samplerate, dtype="float32"):
                    decoded = True
                    yield block, sound.samplerate
        except soundfile.LibsndfileError as error:
            if not decoded:  # a recording cut off in transfer still serves up to the cut
                raise AudioError(_DAMAGED) from error


def _decode_av(file: BinaryIO) -> Iterator[tuple[np.ndarray, int]]:
    decoded = False
    try:
        with av.open(file, options=_CONTAINERS) as container:
            if not container.streams.audio:
                raise AudioError("There is no sound in this file.")
            target = form = to_float = None
            for frame in container.decode(audio=0):
                # The first frame decides: a stream that changes its rate or channels is brought to it.
                target = target or (frame.layout, frame.sample_rate)
                if form != (form := (frame.format.name, frame.layout.name, frame.sample_rate)):
                    to_float = av.AudioResampler("fltp", *target)
                for block in to_float.resample(frame):
                    decoded = True
                    yield block.to_ndarray().T, block.sample_rate
    except av.FFmpegError as error:
        if not decoded:  # as above
            raise AudioError(_DAMAGED) from error
