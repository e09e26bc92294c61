"""The audio contract: 16 kHz mono float32 samples, or one sentence that says why there are none.

Corpora, training and the app all decode here, so that a model hears the same samples everywhere. This module
alone decides what is accepted. soundfile (libsndfile) reads WAV, AIFF, FLAC, Ogg and MP3; PyAV, whose wheel
carries FFmpeg, reads the rest: docs/formats.md lists what was tried. soxr resamples with its high quality.
"""

import ctypes
import functools
import io
import itertools
import os
import reprlib
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
GUESSED_PACKET_SECONDS = 0.02  # of sound in a packet whose container does not state it
MAX_BAD_PACKETS = 1000  # in a row; the recording ends where so many cannot be decoded
NOTICED_SECONDS = 0.05  # a smaller loss is not mentioned
ROUNDED_SECONDS = 0.2  # by which a header may miss the length of the sound: a codec's delay, rounding
MAX_FFMPEG_BYTES = 16 * 2**20  # for one allocation: an hour of sound needs tables of 5 MB

_EXACT = ("ape", "caf", "flac", "mov", "tta", "wav", "wv")  # whose headers count samples
_LFS_POINTER = b"version https://git-lfs"
_TAG, _TAG_HEAD = b"ID3", 10  # of titles and pictures before the sound; bytes that say how long they are
_NOTHING = "The file holds no sound."
_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's, of a stream whose header states no length
_DAMAGED = "This file is not audio, or it is damaged beyond reading."
# Containers that hold their own media. A playlist or a network format could make FFmpeg open other addresses.
_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,dtshd,dv,eac3,flac,flv,gxf,ilbc,loas,matroska,mlp,mov,"
    "mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nsv,nut,ogg,oma,pvf,qcp,rm,shn,sox,swf,tak,truehd,tta,voc,w64,"
    "wav,wv,xwma"
)
# Telephony without a container: nothing but the file's name tells these apart.
_BY_SUFFIX = {
    ".al": "alaw", ".alaw": "alaw", ".g722": "g722", ".g723": "g723_1", ".g726": "g726", ".g729": "g729",
    ".gsm": "gsm", ".sln": "sln", ".ul": "mulaw", ".ulaw": "mulaw",
}  # fmt: skip
_TELEPHONE_RATE = {"alaw": "8000", "mulaw": "8000"}  # Hz; FFmpeg would take 44,100
_HEADERLESS = (".pcm", ".raw")  # samples alone, whose rate and width nothing tells
_SAMPLES_ALONE = "This file has samples without a header that says how to read them: save it as WAV."
# FFmpeg's own AMR decoders stop at a pause that is coded as comfort noise.
_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}


class AudioError(ValueError):
    """Audio that cannot be used; the message is a sentence meant for the person who supplied it."""

    @classmethod
    def unexpected(cls, error: Exception) -> "AudioError":
        """Return the error for a file on which a library fails unexpectedly."""
        return cls(
            f"This file cannot be read, and the reason is new to this program ({type(error).__name__})."
        )


@dataclass(frozen=True)
class NamedBytes:
    """The content of a file that is not on this machine, with its name.

    Attributes:
        content: the bytes of the file.
        name: of the file; its ending alone tells telephone formats without a header apart.
    """

    content: bytes
    name: str


File = str | PathLike | bytes | NamedBytes  # a path on this machine, or the content of a file


@dataclass
class Damage:
    """The parts of a recording that could not be decoded.

    Attributes:
        seconds: the length of sound that could not be decoded.
    """

    seconds: float = 0.0

    def __str__(self) -> str:
        """Return a sentence for a person; empty where nothing worth mentioning was lost."""
        if self.seconds < NOTICED_SECONDS:
            return ""
        return (
            f"The recording is damaged: {self.seconds:.1f} seconds of it could not be read and are left out."
        )


def limit_ffmpeg_memory() -> None:
    """Limit each allocation of FFmpeg, in all of this process, to `MAX_FFMPEG_BYTES`.

    A header of a few hundred bytes can claim tables of gigabytes. Call this at the start of a program that
    decodes untrusted files; importing this module changes nothing for its host.
    """
    set_most = ctypes.CDLL(av._core.__file__).av_max_alloc
    set_most.argtypes, set_most.restype = [ctypes.c_size_t], None
    set_most(MAX_FFMPEG_BYTES)


def load_audio(source: File, max_seconds: float = MAX_SECONDS, damage: Damage | None = None) -> np.ndarray:
    """Decode a local file, or a file's bytes, to the contract.

    Args:
        source: a path on this machine (never opened as a URL), or the content of an audio file.
        max_seconds: the longest duration accepted, in seconds; decoding stops there.
        damage: collects what could not be decoded of it.

    Returns:
        float32 samples of shape [n], 16 kHz, the mean of the channels; where they would cancel each other, as
        with one channel inverted, the louder one.

    Raises:
        AudioError: nothing there, no audio in it, damaged, beyond a limit, or samples that are not numbers.
    """
    return to_mono_16k(*decode_audio(source, max_seconds, damage), max_seconds)


def decode_audio(
    source: File, max_seconds: float = MAX_SECONDS, damage: Damage | None = None
) -> tuple[np.ndarray, int]:
    """Decode a local file, or a file's bytes, at its own rate.

    Args:
        source: as in `load_audio`.
        max_seconds: likewise.
        damage: likewise.

    Returns:
        float32 samples of shape [n], mixed down as in `load_audio`, and their sampling rate in Hz.

    Raises:
        AudioError: as `load_audio`.
    """
    blocks, rates = zip(*_mix_down(_decode(source, max_seconds, damage)), strict=True)
    return np.concatenate(blocks), rates[0]


def load_channels(source: File, max_seconds: float = MAX_SECONDS, damage: Damage | None = None) -> np.ndarray:
    """Decode a local file, or a file's bytes, and keep its channels apart.

    Args:
        source: as in `load_audio`.
        max_seconds: likewise.
        damage: likewise.

    Returns:
        float32 samples of shape [n, channels], 16 kHz.

    Raises:
        AudioError: as `load_audio`.
    """
    return np.concatenate(list(stream_channels(source, max_seconds, max_seconds, damage)))


def stream_audio(
    source: File,
    block_seconds: float,
    max_seconds: float = MAX_RECORDING_SECONDS,
    damage: Damage | None = None,
) -> Iterator[np.ndarray]:
    """Decode a recording to the contract block by block, so that its length costs no memory.

    Args:
        source: as in `load_audio`.
        block_seconds: length of a block in seconds.
        max_seconds: the longest duration accepted, in seconds.
        damage: collects what could not be decoded, up to where the blocks have come.

    Yields:
        float32 samples of shape [block_seconds * 16000], the last block shorter, never empty.

    Raises:
        AudioError: as `load_audio`, when it comes to that place.
    """
    return _stream(_mix_down(_decode(source, max_seconds, damage)), block_seconds)


def stream_channels(
    source: File,
    block_seconds: float,
    max_seconds: float = MAX_RECORDING_SECONDS,
    damage: Damage | None = None,
) -> Iterator[np.ndarray]:
    """Decode a recording block by block and keep its channels apart, as where each has its own speaker.

    Args:
        source: as in `load_audio`.
        block_seconds: as in `stream_audio`.
        max_seconds: likewise.
        damage: likewise.

    Yields:
        float32 samples of shape [block_seconds * 16000, channels], the last block shorter, never empty.

    Raises:
        AudioError: as `stream_audio`.
    """
    return _stream(_decode(source, max_seconds, damage), block_seconds)


def check_file(source: File) -> None:
    """Check that a file is there and neither empty nor too large, without decoding it.

    Raises:
        AudioError: it is not.
    """
    with _open(source):
        pass


def header_duration(source: File) -> float | None:
    """Return the length that a recording's header states, in seconds; None where it states none."""
    with _open(source) as file:
        if sound := _open_sound(file):
            return sound.frames / sound.samplerate
        try:
            with _open_container(file, _suffix(source)) as container:
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
    mono = to_mono(samples, rate, max_seconds)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")
    if mono.size == 0:  # less than a sample at 16 kHz
        raise AudioError(_NOTHING)
    return mono


def to_mono(samples: np.ndarray, rate: int, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Mix decoded samples down to mono float32 at their own rate; the rest is as in `to_mono_16k`."""
    _check_form(rate, samples.shape[1] if samples.ndim == 2 else 1)
    if len(samples) == 0:
        raise AudioError(_NOTHING)
    _check_length(len(samples) / rate, max_seconds)
    seconds = _regroup([_as_floats(samples).reshape(len(samples), -1)], rate)
    return np.concatenate([block for block, _ in _mix_down((second, rate) for second in seconds)])


def to_pcm(audio: np.ndarray) -> np.ndarray:
    """Round shape-[n] samples in -1..1 to 16 bits, clipped: what decoding divides by 2**15 again."""
    return np.clip(np.round(audio * 2**15), -(2**15), 2**15 - 1).astype("<i2")


def encode_flac(pcm: np.ndarray) -> bytes:
    """Encode shape-[n] 16 kHz int16 samples as FLAC, the form in which the dataset stores clips."""
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _stream(blocks: Iterable[tuple[np.ndarray, int]], block_seconds: float) -> Iterator[np.ndarray]:
    """Resample blocks, shape [n] or [n, channels], to 16 kHz and regroup them to one length."""

    def resampled() -> Iterator[np.ndarray]:
        resampler = None
        for block, rate in blocks:
            if rate != SAMPLE_RATE:
                channels = block.shape[1] if block.ndim == 2 else 1
                resampler = resampler or soxr.ResampleStream(rate, SAMPLE_RATE, channels, quality="HQ")
                block = resampler.resample_chunk(block)
            yield block
        if resampler:
            yield resampler.resample_chunk(block[:0], last=True)

    empty = True
    for block in _regroup(resampled(), int(block_seconds * SAMPLE_RATE)):
        empty = False
        yield block
    if empty:  # less than a sample at 16 kHz
        raise AudioError(_NOTHING)


def _regroup(pieces: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Join pieces and cut them anew: each of `size` rows, the last shorter, none empty."""
    held, length = [], 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= size:
            whole = np.concatenate(held)
            *full, rest = np.split(whole, range(size, length + 1, size))
            yield from full
            held, length = [rest], len(rest)
    if length:
        yield np.concatenate(held)


def _mix_down(blocks: Iterable[tuple[np.ndarray, int]]) -> Iterator[tuple[np.ndarray, int]]:
    """Average the channels of blocks of shape [n, channels]; where they cancel each other, pick one.

    A channel alone leaves 1 / channels**2 of its power in the mean. Less than half of that is left only where
    another is its inverse: stereo whose one side is wired the wrong way round.
    """
    picked = 0
    for block, rate in blocks:
        mono = block.mean(axis=1)
        power = block.var(axis=0)
        if 2 * len(power) ** 2 * mono.var() < power.max():
            if (
                2 * power[picked] < power.max()
            ):  # inverses have one power: the pick stays in all of a recording
                picked = int(power.argmax())
            mono = block[:, picked]
        yield mono, rate


def _as_floats(samples: np.ndarray) -> np.ndarray:
    """Return shape-[n, channels] samples as float32 in -1..1, scaled where they are integers."""
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / float(np.iinfo(samples.dtype).max + 1)
    if not (np.abs(samples) <= LOUDEST).all():  # NaN is not
        raise AudioError("The recording is damaged: some of its samples are not numbers that sound can have.")
    return samples.astype(np.float32, copy=False)


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
def _open(source: File) -> Iterator[BinaryIO]:
    """Open a source, refusing what holds nothing or too much. Decoders get the open file, never its name."""
    if isinstance(source, NamedBytes):
        source = source.content
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
    """Open a regular file without its name, and return its size in bytes, too.

    A device or a pipe might never end, or never begin. Of a file whose name ends in .raw, soundfile would
    believe the name.
    """
    name = reprlib.repr(path.name)
    try:
        facts = path.stat()
        regular = stat.S_ISREG(facts.st_mode)
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
        # Unbuffered: decoders seek often, and each seek would empty a buffer.
        file = os.fdopen(os.open(path, flags), "rb", buffering=0) if regular else None
    except OSError as error:
        raise AudioError(f"The file {name} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a zero byte in its name
        raise AudioError(f"The file {name} cannot be read: no file has such a name.") from error
    if file is None:
        raise AudioError(f"{name} is not a file.")
    return file, facts.st_size


def _suffix(source: File) -> str:
    name = source.name if isinstance(source, NamedBytes) else source
    return "" if isinstance(name, bytes) else Path(name).suffix.lower()


def _decode(source: File, max_seconds: float, damage: Damage | None) -> Iterator[tuple[np.ndarray, int]]:
    """Decode in blocks of a second, within the limits.

    Yields:
        At least once: float32 samples of shape [n, channels], never empty, and their rate in Hz. Rate and
        channels are always the same.
    """
    with _open(source) as file:
        damage = Damage() if damage is None else damage
        if sound := _open_sound(file):
            pieces = _read_sound(sound, file, max_seconds, damage)
        else:
            pieces = _read_container(file, _suffix(source), max_seconds, damage)
        first = next(pieces, None)
        if first is None:
            raise AudioError(_NOTHING)
        rate, length = first[1], 0
        for block in _regroup((piece for piece, _ in itertools.chain([first], pieces)), rate):
            length += len(block)
            _check_length(length / rate, max_seconds)
            yield _as_floats(block), rate


def _read_sound(
    sound: soundfile.SoundFile, file: BinaryIO, max_seconds: float, damage: Damage
) -> Iterator[tuple[np.ndarray, int]]:
    """Read with libsndfile: float32 samples of shape [n, channels], never empty, and their rate in Hz."""
    rate, length = sound.samplerate, 0
    _check_form(rate, sound.channels)
    _check_length(sound.frames / rate, max_seconds)
    try:
        # SoundFile.blocks would go on, with nothing, to the length that a header claims.
        while len(block := sound.read(rate, dtype="float32", always_2d=True)):
            length += len(block)
            yield block, rate
    except soundfile.LibsndfileError as error:
        if (
            sound.format != "FLAC" and not length
        ):  # a recording cut off in transfer still serves up to the cut
            raise AudioError(_DAMAGED) from error
    if (
        sound.format == "FLAC" and length < sound.frames
    ):  # libsndfile stops at the first fault, FFmpeg goes on
        file.seek(0)
        for block, rate in _read_container(file, "", max_seconds, damage):
            rest, length = block[max(length, 0) :], length - len(block)
            if len(rest):
                yield rest, rate
    else:
        damage.seconds += (sound.frames - length) / rate


def _read_container(
    file: BinaryIO, suffix: str, max_seconds: float, damage: Damage
) -> Iterator[tuple[np.ndarray, int]]:
    """Read with FFmpeg: float32 samples of shape [n, channels], never empty, and their rate in Hz."""
    target = form = to_float = None
    try:
        with _open_container(file, suffix) as container:
            if not container.streams.audio:
                raise AudioError("There is no sound in this file.")
            _check_length(_stated_by(container), max_seconds)
            length, stated = 0.0, _stated_exactly(container)
            for frame in _read_frames(container, damage):
                length += frame.samples / frame.sample_rate
                _check_form(frame.sample_rate, frame.layout.nb_channels)
                # The first frame decides: a stream that changes its rate or channels is brought to it.
                target = target or (frame.layout, frame.sample_rate)
                if form != (form := (frame.format.name, frame.layout.name, frame.sample_rate)):
                    to_float = av.AudioResampler("flt", *target)
                # Not "fltp": PyAV reads a ninth plane beside eight, where there is no memory.
                for block in to_float.resample(frame):
                    yield block.to_ndarray().reshape(-1, block.layout.nb_channels), block.sample_rate
            if stated - length > ROUNDED_SECONDS:  # what a container passed over without a word
                damage.seconds = max(damage.seconds, stated - length)
    except av.FFmpegError as error:
        if not target:
            raise AudioError(_SAMPLES_ALONE if suffix in _HEADERLESS else _DAMAGED) from error
    if not target and damage.seconds:
        raise AudioError(_DAMAGED)


def _read_frames(container: av.container.InputContainer, damage: Damage) -> Iterator[av.AudioFrame]:
    """Decode the packets of the first stream of sound; skip and count those that cannot be decoded."""
    stream = container.streams.audio[0]
    decoder = stream.codec_context
    if decoder.name in _DECODERS:
        decoder = av.CodecContext.create(_DECODERS[decoder.name], "r")
    packets, failed, frames, samples = container.demux(stream), 0, 0, 0
    while failed < MAX_BAD_PACKETS:
        packet = None
        try:
            packet = next(packets, None)
            if packet is None:
                return
            decoded = decoder.decode(packet)
        except av.FFmpegError:
            failed += 1
            damage.seconds += _seconds(packet)
            if packet is None:
                packets = container.demux(stream)
            continue
        for frame in decoded:
            failed, frames, samples = 0, frames + 1, samples + frame.samples
            if frames >= SEVERAL and samples < LEAST_SAMPLES * frames:
                raise AudioError("The sound in this file is cut into pieces too small to be read.")
            yield frame


def _open_sound(file: BinaryIO) -> soundfile.SoundFile | None:
    """Open a file with libsndfile, which reads it through Python: so a path and its content sound the same.

    Returns:
        None, and the file at its beginning again, where libsndfile does not know it; or where its header does
        not state its length, as FLAC from a pipe: then libsndfile loses the end.
    """
    head = file.read(_TAG_HEAD)
    file.seek(0)
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.LibsndfileError:
        sound = None
    if sound and sound.format != "MP3" and head.startswith(_TAG):  # libsndfile would lose as much of the end
        file.seek(_tag_length(head))
        sound = _open_sound(io.BytesIO(file.read()))
    if sound and sound.frames < _UNKNOWN_FRAMES:
        return sound
    file.seek(0)
    return None


def _tag_length(head: bytes) -> int:
    """Return the length of an ID3 tag from its first bytes, the last four of which hold seven bits each."""
    return _TAG_HEAD + sum(
        (byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
    )


def _seconds(packet: av.Packet | None) -> float:
    """Return the length of a packet's sound in seconds, as its container states it, but one at most."""
    stated = packet and packet.duration and packet.time_base
    return min(float(packet.duration * packet.time_base), 1.0) if stated else GUESSED_PACKET_SECONDS


def _open_container(file: BinaryIO, suffix: str) -> av.container.InputContainer:
    form = _BY_SUFFIX.get(suffix)
    options = {
        "format_whitelist": form or _CONTAINERS,
        "codec_whitelist": _audio_codecs(),
        "max_streams": "8",
    }
    if form in _TELEPHONE_RATE:
        options["sample_rate"] = _TELEPHONE_RATE[form]
    return av.open(file, format=form, options=options, metadata_errors="ignore")  # or odd titles raise


@functools.cache
def _audio_codecs() -> str:
    """List FFmpeg's decoders of sound: a film's pictures are never decoded, not even to learn their size."""
    return ",".join(name for name in sorted(av.codecs_available) if _is_audio_decoder(name))


def _is_audio_decoder(name: str) -> bool:
    try:
        return av.Codec(name, "r").type == "audio"
    except ValueError:  # FFmpeg can only encode it
        return False


def _stated_by(container: av.container.InputContainer) -> float | None:
    # Of a bare AAC stream FFmpeg guesses the length.
    guessed = container.format.name == "aac"
    return None if guessed or not container.duration else container.duration / av.time_base


def _stated_exactly(container: av.container.InputContainer) -> float:
    """Return the length of the sound in seconds where the container's header counts its samples, else 0."""
    stream = container.streams.audio[0]
    exact = stream.duration and container.format.name.split(",")[0] in _EXACT
    return float(stream.duration * stream.time_base) if exact else 0.0
