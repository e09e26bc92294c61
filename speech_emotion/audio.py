"""The audio contract: whatever comes in, 16 kHz mono float32 comes out, or one sentence that says why not.

Corpora, training and the app all decode here, so that a model hears the same samples everywhere.
soundfile (libsndfile) reads WAV, AIFF, FLAC, Ogg and MP3; PyAV, whose wheel carries FFmpeg, reads the rest
(M4A, WebM, MP4). Resampling is soxr's high-quality setting.
"""

import io
from os import PathLike
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000  # Hz, what every model here is trained on
MAX_SECONDS = 60.0  # longer input is refused
MIN_SPEECH_SECONDS = 0.5  # shortest sound, silence trimmed, that a classifier is asked about
SILENCE_DBFS = -50.0  # a clip whose peak stays below this is silence
TRIM_DB = 30.0  # dB below the loudest frame; the threshold used in the literature on EmoV-DB
FRAME_LENGTH = SAMPLE_RATE * 25 // 1000  # 25 ms, frames on which level is measured
HOP_LENGTH = SAMPLE_RATE * 10 // 1000  # 10 ms

_LFS_POINTER = b"version https://git-lfs"


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
    data = source if isinstance(source, bytes) else _read_file(Path(source))
    if not data:
        raise AudioError("The file is empty.")
    if data.startswith(_LFS_POINTER):
        raise AudioError("This is a Git LFS pointer, not the recording: run git lfs pull.")
    try:
        return _decode_soundfile(data, max_seconds)
    except soundfile.LibsndfileError:
        return _decode_av(data, max_seconds)


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
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / float(np.iinfo(samples.dtype).max + 1)
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    if mono.size == 0:
        raise AudioError("The file holds no sound.")
    if mono.size > max_seconds * rate:
        raise AudioError(f"The recording is longer than {max_seconds:g} seconds; send a shorter piece.")
    if not np.isfinite(mono).all():
        raise AudioError("The recording is damaged: some of its samples are not numbers.")
    mono = mono.astype(np.float32)
    return mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")


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


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AudioError(f"The file {path.name!r} cannot be read: {error.strerror}.") from error


def _decode_soundfile(data: bytes, max_seconds: float) -> tuple[np.ndarray, int]:
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        # One frame over the limit is enough to know that it is too long.
        return file.read(int(max_seconds * file.samplerate) + 1, dtype="float32"), file.samplerate


def _decode_av(data: bytes, max_seconds: float) -> tuple[np.ndarray, int]:
    # Only containers that hold their own media: playlist formats could make FFmpeg open files and URLs.
    options = {"format_whitelist": "aac,asf,caf,matroska,mov,mp3,mpegts"}
    to_float = av.AudioResampler(format="fltp")  # keeps rate and channels
    blocks, length, rate = [], 0, 0
    try:
        with av.open(io.BytesIO(data), options=options) as container:
            if not container.streams.audio:
                raise AudioError("There is no sound in this file.")
            for frame in container.decode(audio=0):
                blocks += [block.to_ndarray().T for block in to_float.resample(frame)]
                rate, length = frame.sample_rate, length + frame.samples
                if length > max_seconds * rate:
                    break
    except av.FFmpegError as error:
        if not blocks:  # a recording cut off in transfer still serves up to the cut
            raise AudioError("This file is not audio, or it is damaged beyond reading.") from error
    if not blocks:
        raise AudioError("The file holds no sound.")
    return np.concatenate(blocks), rate
