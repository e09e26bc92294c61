"""The audio contract: whatever comes in, 16 kHz mono float32 comes out, or one sentence that says why not.

Corpora, training and the app all decode here, so that a model hears the same samples everywhere, and what is
accepted is decided here alone. soundfile (libsndfile) reads WAV, AIFF, FLAC, Ogg and MP3; PyAV, whose wheel
carries FFmpeg, reads the rest (M4A, WebM, MP4). Resampling is soxr's high-quality setting.
"""

import ctypes
import io
import reprlib
import stat
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
MAX_BYTES = 100 * 2**20  # a larger file is refused unread
MAX_CHANNELS = 8
RATES = range(8_000, 192_001)  # Hz; below them too little of a voice is left
LOUDEST = 2.0**31  # samples beyond it are damage; up to it somebody has stored integers as floats
MAX_SECONDS = 60.0  # a longer clip is refused
MAX_RECORDING_SECONDS = 3600.0  # a longer recording is refused, where recordings are read block by block

SEVERAL, LEAST_SAMPLES = 1000, 16  # of so many packets, each has at least so many on average: each takes time

_LFS_POINTER = b"version https://git-lfs"
_NOTHING = "The file holds no sound."
_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's, of a stream whose header states no length
_DAMAGED = "This file is not audio, or it is damaged beyond reading."
# Only containers that hold their own media: playlist formats could make FFmpeg open files and URLs.
_CONTAINERS = {"format_whitelist": "aac,asf,caf,flac,matroska,mov,mp3,mpegts", "max_streams": "8"}
# A header of a few hundred bytes can claim tables of gigabytes; an hour of sound needs 5 MB of them.
_set_most_memory = ctypes.CDLL(av._core.__file__).av_max_alloc
_set_most_memory.argtypes, _set_most_memory.restype = [ctypes.c_size_t], None
_set_most_memory(16 * 2**20)  # bytes that FFmpeg may ask for at once, in all of this process


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
        AudioError: nothing there, no audio in it, damaged, beyond a limit, or samples that are not numbers.
    """
    return to_mono_16k(*decode_audio(source, max_seconds), max_seconds)


def decode_audio(source: str | PathLike | bytes, max_seconds: float = MAX_SECONDS) -> tuple[np.ndarray, int]:
    """Decode a local file, or a file's bytes, at its own rate.

    Args:
        source: as in `load_audio`.
        max_seconds: likewise.

    Returns:
        float32 samples of shape [n], the mean of the channels, and their sampling rate in Hz.

    Raises:
        AudioError: as `load_audio`.
    """
    blocks, rates = zip(*_decode(source, max_seconds), strict=True)
    return np.concatenate(blocks), rates[0]


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
    size, resampler = int(block_seconds * SAMPLE_RATE), None
    held, length, given = [], 0, False
    for block, rate in _decode(source, max_seconds):
        if rate != SAMPLE_RATE:
            resampler = resampler or soxr.ResampleStream(rate, SAMPLE_RATE, 1, quality="HQ")
            block = resampler.resample_chunk(block)
        held.append(block)
        length += block.size
        if length >= size:
            given = True
            *blocks, rest = _split(np.concatenate(held), size)
            yield from blocks
            held, length = [rest], rest.size
    if resampler:
        held.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    *blocks, rest = _split(np.concatenate(held), size)
    yield from blocks
    if rest.size:
        yield rest
    elif not (given or blocks):  # less than a sample at 16 kHz
        raise AudioError(_NOTHING)


def header_duration(source: str | PathLike | bytes) -> float | None:
    """Give the length that a recording's header states, in seconds; None where it states none."""
    with _open(source) as file:
        if sound := _open_sound(file):
            return sound.frames / sound.samplerate
        try:
            with _open_container(file) as container:
                return _stated_by(container)
        except av.FFmpegError:
            return None


def to_mono_16k(samples: np.ndarray, rate: int, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Bring decoded samples to 16 kHz mono float32.

    Args:
        samples: shape [n] or [n, channels]; floats in -1..1 or signed integers at full scale.
        rate: their sampling rate in Hz.
        max_seconds: the longest duration accepted, in seconds.

    Returns:
        float32 samples of shape [m], 16 kHz.

    Raises:
        AudioError: no samples, too long, a rate or channels beyond the limits, or NaN or infinite samples.
    """
    _check_form(rate, samples.shape[1] if samples.ndim == 2 else 1)
    if len(samples) == 0:
        raise AudioError(_NOTHING)
    _check_length(len(samples) / rate, max_seconds)
    mono = _to_mono(samples)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")
    if mono.size == 0:  # less than a sample at 16 kHz
        raise AudioError(_NOTHING)
    return mono


def to_pcm(audio: np.ndarray) -> np.ndarray:
    """Round shape-[n] samples in -1..1 to 16 bits, clipped: what decoding divides by 2**15 again."""
    return np.clip(np.round(audio * 2**15), -(2**15), 2**15 - 1).astype("<i2")


def encode_flac(pcm: np.ndarray) -> bytes:
    """Encode shape-[n] 16 kHz int16 samples as FLAC, the form in which the dataset stores clips."""
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _split(audio: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut shape-[n] samples into blocks of a size and what is left, which may be nothing."""
    return np.split(audio, range(size, audio.size + 1, size))


def _to_mono(samples: np.ndarray) -> np.ndarray:
    """Average the channels of shape-[n] or [n, channels] samples; integers are scaled to -1..1."""
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / float(np.iinfo(samples.dtype).max + 1)
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    if not (np.abs(mono) <= LOUDEST).all():  # NaN is not
        raise AudioError("The recording is damaged: some of its samples are not numbers that sound can have.")
    return mono.astype(np.float32)


def _check_form(rate: int, channels: int) -> None:
    if rate not in RATES:
        raise AudioError(
            f"The recording has {rate} samples a second; {RATES[0]} to {RATES[-1]} can be heard here."
        )
    if not 0 < channels <= MAX_CHANNELS:
        raise AudioError(f"The recording has {channels} channels; up to {MAX_CHANNELS} can be heard here.")


def _check_length(seconds: float | None, max_seconds: float) -> None:
    if seconds is not None and seconds > max_seconds:
        most = f"{max_seconds:g} seconds" if max_seconds <= 60 else f"{max_seconds / 60:g} minutes"
        raise AudioError(f"The recording is longer than {most}; send a part of it.")


@contextmanager
def _open(source: str | PathLike | bytes) -> Iterator[BinaryIO]:
    """Open a source, refusing what holds nothing or too much. Decoders get the open file, never its name."""
    if isinstance(source, bytes):
        file, size = io.BytesIO(source), len(source)
    else:
        file, size = _open_file(Path(source))
    with file:
        if size > MAX_BYTES:
            most = MAX_BYTES // 2**20
            raise AudioError(f"The file is larger than {most} MB; send a part of it, or an MP3 of it.")
        head = file.read(len(_LFS_POINTER))
        if not head:
            raise AudioError("The file is empty.")
        if head == _LFS_POINTER:
            raise AudioError("This is a Git LFS pointer, not the recording: run git lfs pull.")
        file.seek(0)
        yield file


def _open_file(path: Path) -> tuple[BinaryIO, int]:
    """Open a regular file, and give its size in bytes; a device or a pipe might never end, or never begin."""
    name = reprlib.repr(path.name)
    try:
        facts = path.stat()
        file = path.open("rb") if stat.S_ISREG(facts.st_mode) else None
    except OSError as error:
        raise AudioError(f"The file {name} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a zero byte in its name
        raise AudioError(f"The file {name} cannot be read: no file has such a name.") from error
    if file is None:
        raise AudioError(f"{name} is not a file.")
    return file, facts.st_size


def _decode(source: str | PathLike | bytes, max_seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """Decode block by block, within the limits.

    Yields:
        At least once: float32 samples of shape [n], never empty, the mean of the channels, and their rate
        in Hz, always the same.
    """
    length = 0
    for block, rate in _decode_channels(source, max_seconds):
        if len(block):
            length += len(block)
            _check_length(length / rate, max_seconds)
            yield _to_mono(block), rate
    if not length:
        raise AudioError(_NOTHING)


def _decode_channels(source: str | PathLike | bytes, max_seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """Decode block by block: float32 samples of shape [n] or [n, channels], and their rate in Hz."""
    with _open(source) as file:
        sound = _open_sound(file)
        if sound is None:
            yield from _decode_av(file, max_seconds)
            return
        rate, decoded = sound.samplerate, False
        _check_form(rate, sound.channels)
        _check_length(sound.frames / rate, max_seconds)
        try:
            # SoundFile.blocks would go on, with nothing, to the length that a header claims.
            while len(block := sound.read(rate, dtype="float32")):
                decoded = True
                yield block, rate
        except soundfile.LibsndfileError as error:
            if not decoded:  # a recording cut off in transfer still serves up to the cut
                raise AudioError(_DAMAGED) from error


def _open_sound(file: BinaryIO) -> soundfile.SoundFile | None:
    """Open a file with libsndfile.

    Returns:
        None, and the file at its beginning again, where libsndfile does not know it; or where its header does
        not state its length, as FLAC from a pipe: then libsndfile loses the end.
    """
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.LibsndfileError:
        sound = None
    if sound and sound.frames < _UNKNOWN_FRAMES:
        return sound
    file.seek(0)
    return None


def _decode_av(file: BinaryIO, max_seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    decoded = False
    try:
        with _open_container(file) as container:
            if not container.streams.audio:
                raise AudioError("There is no sound in this file.")
            _check_length(_stated_by(container), max_seconds)
            target = form = to_float = None
            samples = 0
            for number, frame in enumerate(container.decode(audio=0), start=1):
                samples += frame.samples
                if number >= SEVERAL and samples < LEAST_SAMPLES * number:
                    raise AudioError("The sound in this file is cut into pieces too small to be read.")
                _check_form(frame.sample_rate, frame.layout.nb_channels)
                # The first frame decides: a stream that changes its rate or channels is brought to it.
                target = target or (frame.layout, frame.sample_rate)
                if form != (form := (frame.format.name, frame.layout.name, frame.sample_rate)):
                    to_float = av.AudioResampler("flt", *target)
                # Not "fltp": PyAV reads a ninth plane beside eight, where there is no memory.
                for block in to_float.resample(frame):
                    decoded = True
                    yield block.to_ndarray().reshape(-1, block.layout.nb_channels), block.sample_rate
    except av.FFmpegError as error:
        if not decoded:  # as above
            raise AudioError(_DAMAGED) from error


def _open_container(file: BinaryIO) -> av.container.InputContainer:
    return av.open(file, options=_CONTAINERS, metadata_errors="ignore")  # or a title that is no UTF-8 raises


def _stated_by(container: av.container.InputContainer) -> float | None:
    # Of a bare AAC stream FFmpeg guesses the length.
    guessed = container.format.name == "aac"
    return None if guessed or not container.duration else container.duration / av.time_base
