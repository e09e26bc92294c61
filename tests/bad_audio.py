"""Files that a robust program must survive, made by code: each a recording, or a reason to refuse it.

The tests and `benchmarks/inputs.py` send every one through every entrance.
"""

import io
import itertools
import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np
import soundfile
from conftest import speak

from speech_emotion.audio.decoding import MAX_BYTES, MAX_CHANNELS, SAMPLE_RATE

SOUND, ANY = "", None  # expected of a file: that it is a recording; that it is one or is refused
HOURS = 10
NOT_AUDIO, NOTHING, LONG = "not audio", "no sound", "longer than 60 seconds"
NAMES = (
    "../../../etc/passwd", "..", "/", "a/b.wav", "C:\\clip.wav", "%2e%2e%2fclip.wav", "line\nbreak.wav", "tab\t.wav",
    "bell\a\x1b[31mred.wav", "zero\0byte.wav", "quote'\".wav", "<img src=x onerror=alert(1)>.wav", "=1+1.wav",
    "Stimme \u00fc \u4f60\u597d \U0001f3a4.wav", "\u202efdp.wav", "e\u0301.wav", " .wav", ".wav", "-h", "clip",
    "con.wav", "clip.raw", "clip.RAW", "a" * 251 + ".wav", "\u4f60" * 90 + ".wav", "a" * 4000 + ".wav",
)  # fmt: skip


@dataclass(frozen=True)
class BadAudio:
    """A file that is not what a careful person would send.

    Attributes:
        name: of the file, unique.
        content: its bytes.
        says: part of the sentence with which `load_audio` refuses it, or SOUND, or ANY where both will do.
    """

    name: str
    content: bytes
    says: str | None


@cache
def make_inputs() -> tuple[BadAudio, ...]:
    """Make them all, in a few seconds."""
    kinds = (broken, unusual, claims, bombs, playlists, references, foreign)
    made = tuple(BadAudio(*each) for each in itertools.chain.from_iterable(kind() for kind in kinds))
    assert len({each.name for each in made}) == len(made)
    return made


def encode(audio: np.ndarray | None = None, rate: int = SAMPLE_RATE, **options) -> bytes:
    """Encode samples with soundfile; a voice of a second without any."""
    buffer = io.BytesIO()
    soundfile.write(buffer, voice(rate) if audio is None else audio, rate, **{"format": "WAV"} | options)
    return buffer.getvalue()


def encode_av(
    container: str, codec: str, rate: int = 48_000, seconds: float = 1.0, layout: str = "mono"
) -> bytes:
    """Encode a voice with FFmpeg; silence where it is longer than a second."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        form = stream.codec_context.format or av.AudioFormat("fltp")
        convert = av.AudioResampler(form, layout, rate, 1024)
        audio = voice(rate) if seconds == 1 else np.zeros(int(seconds * rate), np.float32)
        frame = av.AudioFrame.from_ndarray(audio[None], "fltp", "mono")
        frame.sample_rate = rate
        for ready in [*convert.resample(frame), *convert.resample(None)]:
            file.mux(stream.encode(ready))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def voice(rate: int = SAMPLE_RATE) -> np.ndarray:
    """Make a second of a voice at a rate in Hz, by repeating and dropping samples: float32 of shape [rate]."""
    return speak(180, seconds=1)[np.arange(rate) * SAMPLE_RATE // rate]


def broken():
    """Return files that lost something on their way."""
    whole = {kind: encode(format=kind.upper()) for kind in ("wav", "flac", "ogg", "mp3", "aiff")}
    whole |= {"m4a": encode_av("ipod", "aac"), "webm": encode_av("webm", "libopus")}
    yield "empty.wav", b"", "empty"
    yield "pointer.wav", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"
    for kind, content in whole.items():
        yield (
            f"half.{kind}",
            content[: len(content) // 2],
            {"m4a": NOT_AUDIO, "ogg": NOTHING, "flac": ANY}.get(kind, SOUND),
        )
        yield f"head-4-bytes.{kind}", content[:4], NOT_AUDIO
        yield f"head-20-bytes.{kind}", content[:20], NOT_AUDIO
        yield f"zeros-after-200-bytes.{kind}", content[:200] + bytes(len(content) - 200), ANY
    yield "header-only.wav", whole["wav"][:44], NOTHING
    yield "header-only.flac", whole["flac"][:86], ANY
    yield "header-only.aiff", encode(np.zeros(0), format="AIFF"), NOTHING
    yield "no-body.mp3", b"ID3\4\0\0\0\0\0\0", NOT_AUDIO
    yield "one-sample.wav", encode(voice()[:1]), SOUND
    yield "three-samples.wav", encode(voice()[:3]), SOUND
    yield "three-samples-96k.wav", encode(voice()[:3], 96_000), ANY
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("huge", 1e300), ("large", 1e30)):
        audio = voice().astype(float)
        audio[5000] = value
        yield f"{name}.wav", encode(audio, subtype="DOUBLE"), "not numbers"
    yield "all-nan.wav", encode(np.full(SAMPLE_RATE, np.nan), subtype="FLOAT"), "not numbers"
    yield "integers-as-floats.wav", encode(voice() * 2**15, subtype="FLOAT"), SOUND
    yield "silence.wav", encode(np.zeros(SAMPLE_RATE)), SOUND
    yield "title-is-no-utf8.m4a", encode_av("ipod", "aac").replace(b"Lavf", b"\xff\xfe\xff\xfe"), SOUND


def unusual():
    """Return recordings in forms that few people use, and beyond the limits."""
    for subtype in (
        "PCM_U8",
        "PCM_24",
        "PCM_32",
        "FLOAT",
        "DOUBLE",
        "ULAW",
        "ALAW",
        "IMA_ADPCM",
        "MS_ADPCM",
        "GSM610",
    ):
        yield f"{subtype.lower()}.wav", encode(subtype=subtype), SOUND
    for form, subtype in (("RF64", None), ("W64", None), ("WAVEX", None), ("AU", None), ("CAF", None), ("NIST", None),
                          ("VOC", "PCM_16"), ("OGG", "OPUS")):  # fmt: skip
        yield f"{form.lower()}.{form.lower()}", encode(format=form, subtype=subtype), SOUND
    for rate in (8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000):
        yield f"{rate}-hz.wav", encode(rate=rate), SOUND
    for rate in (1, 4_000, 7_999, 192_001, 384_000, 2**31 - 1):
        yield f"{rate}-hz.wav", with_rate(rate), "samples a second"
    yield "0-hz.wav", with_rate(0), NOT_AUDIO
    for channels in range(2, MAX_CHANNELS + 1):
        yield f"{channels}-channels.wav", encode(np.tile(voice()[:, None], channels)), SOUND
    for channels in (MAX_CHANNELS + 1, 64, 1024):
        yield f"{channels}-channels.wav", encode(np.tile(voice()[:800, None], channels)), "channels"
    yield "8-channels-192k.flac", encode(np.tile(voice(192_000)[:, None], 8), 192_000, format="FLAC"), SOUND
    yield "8-channels.m4a", encode_av("ipod", "aac", layout="7.1"), SOUND
    yield "too-many-bytes.wav", bytes(MAX_BYTES + 1), "larger than 100 MB"


def with_rate(rate: int) -> bytes:
    """Encode a voice as WAV that states another rate in Hz."""
    content = bytearray(encode())
    content[24:28] = struct.pack("<I", rate)
    return bytes(content)


def claims():
    """Return a second of a voice that claims to last for hours, or for no time."""
    wav = bytearray(encode())
    wav[40:44] = struct.pack("<I", 2**32 - 1)
    yield "claims-4-gb.wav", bytes(wav), SOUND
    wav[40:44] = bytes(4)
    yield "claims-nothing.wav", bytes(wav), ANY
    au = bytearray(encode(format="AU"))
    au[8:12] = b"\xff" * 4
    yield "claims-nothing.au", bytes(au), SOUND
    yield f"claims-{HOURS}-hours.flac", with_samples(encode(format="FLAC"), HOURS * 3600 * SAMPLE_RATE), LONG
    yield "claims-a-little-more.flac", with_samples(encode(format="FLAC"), 50 * SAMPLE_RATE), ANY
    yield "claims-a-month.flac", with_samples(encode(format="FLAC"), 2**36 - 1), LONG
    yield "claims-nothing.flac", with_samples(encode(format="FLAC"), 0), SOUND
    ogg = bytearray(encode(format="OGG"))
    last = ogg.rindex(b"OggS")
    ogg[last + 6 : last + 14] = struct.pack("<q", HOURS * 3600 * SAMPLE_RATE)
    yield f"claims-{HOURS}-hours.ogg", bytes(ogg), ANY  # its checksum is wrong now
    m4a = encode_av("ipod", "aac")
    at = m4a.index(b"mdhd") + 16
    yield f"claims-{HOURS}-hours.m4a", m4a[:at] + struct.pack(">II", 1, HOURS * 3600) + m4a[at + 8 :], ANY


def with_samples(flac: bytes, samples: int) -> bytes:
    """Make a FLAC file whose header claims another number of samples; 0: unknown."""
    content = bytearray(flac)
    content[21] = content[21] & 0xF0 | samples >> 32
    content[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(content)


def bombs():
    """Return small files that take much time or memory where nobody looks out."""
    flac = silent_flac(2 * 3600)
    yield "two-hours.flac", flac, LONG
    yield "two-hours-unsaid.flac", with_samples(flac, 0), LONG
    minute = encode(np.zeros(61 * 8000, np.int16), 8000, format="OGG")
    yield "an-hour.ogg", minute * 60, LONG
    yield "two-minutes.opus", encode(np.zeros(120 * 8000, np.int16), 8000, format="OGG", subtype="OPUS"), LONG
    yield "two-minutes.m4a", encode_av("ipod", "aac", 8000, 120), LONG
    yield "two-minutes.webm", encode_av("webm", "libopus", 8000, 120), LONG
    yield "two-minutes.mp3", encode(np.zeros(120 * 8000, np.int16), 8000, format="MP3"), LONG
    for samples in (10**6, 3 * 10**7, 2**31):
        yield f"table-of-{samples}.m4a", m4a_of([track(samples)]), ANY
    yield "hundred-tracks.m4a", m4a_of([track(500_000)] * 100), ANY
    yield "deep-boxes.m4a", m4a_of([nested(50_000)]), "no sound"
    yield "a-sample-a-packet.mkv", in_packets(480_000), "too small to be read"
    yield "huge-tag.mp3", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(1000), ANY
    yield "huge-element.webm", b"\x1a\x45\xdf\xa3\x01" + b"\xff" * 6 + b"\xfe" + bytes(1000), NOT_AUDIO
    yield "large-picture.mov", picture_with_sound(), SOUND
    yield "sync-words.mp3", b"\xff\xfb\x90\x44" * 2_500_000, ANY
    yield "pages.ogg", b"OggS\0" * 2_000_000, NOT_AUDIO
    yield "chunks.wav", encode()[:12] + b"JUNK\0\0\0\0" * 1_000_000, ANY


def in_packets(count: int) -> bytes:
    """Write 16-bit samples at 8 kHz as Matroska, each in a packet of its own."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(count):
            packet = av.Packet(b"\x00\x10")
            packet.pts = packet.dts = number
            packet.stream, packet.time_base = stream, Fraction(1, 8000)
            file.mux(packet)
    return buffer.getvalue()


def silent_flac(seconds: int) -> bytes:
    """Encode silence at 8 kHz, block by block."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 8000, 1, format="FLAC") as file:
        for _ in range(0, seconds, 600):
            file.write(np.zeros(min(seconds, 600) * 8000, np.int16))
    return buffer.getvalue()


def picture_with_sound(side: int = 30_000) -> bytes:
    """Make a voice with a film of one picture, a few kilobytes that unpack to 900 million points."""
    rows = zlib.compress(bytes((1 + side // 8) * side))
    parts = ((b"IHDR", struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as file:
        film = file.add_stream("png", rate=1)
        film.width = film.height = 64
        film.pix_fmt = "monob"
        sound = file.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        packet = av.Packet(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        packet.stream, packet.pts, packet.dts, packet.time_base = film, 0, 0, Fraction(1)
        file.mux(packet)
        frame = av.AudioFrame.from_ndarray((voice() * 2**15).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = SAMPLE_RATE
        file.mux(sound.encode(frame))
    return buffer.getvalue()


def box(kind: bytes, *parts: bytes) -> bytes:
    """Make a box of an MP4 file (ISO/IEC 14496-12)."""
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def full_box(kind: bytes, *parts: bytes) -> bytes:
    """Make a box with a version and flags, all zero."""
    return box(kind, bytes(4), *parts)


def m4a_of(tracks: list[bytes]) -> bytes:
    """Make an MP4 file of tracks whose sound would lie in its first box."""
    return b"".join(
        [
            box(b"ftyp", b"M4A \0\0\0\0M4A isom"),
            box(b"mdat", bytes(64)),
            box(b"moov", full_box(b"mvhd", struct.pack(">4I", 0, 0, 1000, 1000), bytes(80)), *tracks),
        ]
    )


def track(samples: int, reference: bytes | None = None) -> bytes:
    """Make a track of 16-bit sound that claims so many samples, in this file or where a reference says."""
    rate = struct.pack(">I", SAMPLE_RATE << 16)
    entry = box(b"mp4a", bytes(6), b"\0\1", bytes(8), struct.pack(">4H", 1, 16, 0, 0), rate)
    if reference:
        entry = entry.replace(b"mp4a", b"sowt")
    reference = reference or box(b"url ", b"\0\0\0\1")
    table = box(
        b"stbl",
        full_box(b"stsd", struct.pack(">I", 1), entry),
        full_box(b"stts", struct.pack(">3I", 1, samples, 1)),
        full_box(b"stsc", struct.pack(">4I", 1, 1, samples, 1)),
        full_box(b"stsz", struct.pack(">2I", 1 if not reference else 2, samples)),
        full_box(b"stco", struct.pack(">2I", 1, 44)),
    )
    media = box(
        b"minf",
        full_box(b"smhd", bytes(4)),
        box(b"dinf", full_box(b"dref", struct.pack(">I", 1), reference)),
        table,
    )
    head = full_box(b"mdhd", struct.pack(">4I2H", 0, 0, SAMPLE_RATE, 1000, 0x55C4, 0))
    kind = full_box(b"hdlr", b"\0\0\0\0soun", bytes(13))
    return box(b"trak", box(b"mdia", head, kind, media))


def nested(depth: int) -> bytes:
    """Make boxes within boxes."""
    return b"".join(struct.pack(">I4s", 8 * (depth - level), b"trak") for level in range(depth))


def references(target: str = "/etc/hostname", url: str = "http://127.0.0.1:9/clip.wav"):
    """Return media files whose sound lies elsewhere: in a file of this machine, or at an address."""
    alias = bytearray(150)
    alias[4:6] = struct.pack(">H", 150)
    alis = full_box(
        b"alis", bytes(alias), struct.pack(">HH", 2, len(target)), target.encode(), b"\xff\xff\0\0"
    )
    for name, reference in (
        ("path", full_box(b"url ", f"file://{target}".encode(), b"\0")),
        ("address", full_box(b"url ", url.encode(), b"\0")),
        ("alias", alis),
    ):
        yield f"reference-{name}.mov", m4a_of([track(1000, reference)]), ANY
    movie = full_box(b"rdrf", b"url ", struct.pack(">I", len(url) + 1), url.encode(), b"\0")
    yield "reference-movie.mov", box(b"moov", box(b"rmra", box(b"rmda", movie))), "no sound"


def playlists(target: str = "/etc/hostname", url: str = "http://127.0.0.1:9/clip.wav"):
    """Return lists and descriptions of media that lie elsewhere."""
    for at, place in (("path", target), ("file", f"file://{target}"), ("address", url)):
        segment = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{place}\n#EXT-X-ENDLIST\n"
        adaptation = f"<AdaptationSet mimeType='audio/mp4'><Representation id='a'><BaseURL>{place}</BaseURL>"
        texts = {
            "m3u8": segment,
            "m3u": f"{place}\n",
            "pls": f"[playlist]\nFile1={place}\nNumberOfEntries=1\n",
            "ffconcat": f"ffconcat version 1.0\nfile '{place}'\n",
            "asx": f"<asx version='3.0'><entry><ref href='{place}'/></entry></asx>",
            "xspf": f"<playlist><trackList><track><location>{place}</location></track></trackList></playlist>",
            "mpd": f"<MPD type='static'><Period>{adaptation}</Representation></AdaptationSet></Period></MPD>",
            "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\na=control:{place}\nm=audio 9 RTP/AVP 0\n",
            "wpl": f"<smil><body><seq><media src='{place}'/></seq></body></smil>",
        }
        for kind, text in texts.items():
            yield f"{at}.{kind}", text.encode(), NOT_AUDIO
        yield f"{at}-as-sound.m4a", segment.encode(), NOT_AUDIO


def foreign():
    """Return files of other kinds, some of two kinds at once."""
    rng = np.random.default_rng(0)
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    page = b"<html><script>alert(1)</script></html>"
    for size in (1, 100, 10_000, 1_000_000):
        yield f"random-{size}.wav", rng.bytes(size), NOT_AUDIO
    yield "zeros.wav", bytes(1_000_000), NOT_AUDIO
    yield "ones.mp3", b"\xff" * 1_000_000, NOT_AUDIO
    yield "text.wav", b"not a sound " * 50, NOT_AUDIO
    yield "picture.mp3", png, NOT_AUDIO
    yield "page.flac", page, NOT_AUDIO
    yield "program.ogg", b"\x7fELF\2\1\1" + bytes(100), NOT_AUDIO
    yield "archive.m4a", b"PK\3\4" + bytes(100), NOT_AUDIO
    yield "flac-named.wav", encode(format="FLAC"), SOUND
    yield "wav-named.mp3", encode(), SOUND
    yield "wav-named.raw", encode(), SOUND
    yield "m4a-named.RAW", encode_av("ipod", "aac"), SOUND
    yield "samples.raw", (voice() * 2**15).astype("<i2").tobytes(), NOT_AUDIO
    yield "m4a-named.wav", encode_av("ipod", "aac"), SOUND
    yield "wav-then-page.wav", encode() + page, SOUND
    yield "wav-then-archive.wav", encode() + b"PK\5\6" + bytes(18), SOUND
    yield "page-in-wav.wav", with_chunk(b"LIST", page), SOUND
    yield "playlist-in-wav.wav", with_chunk(b"LIST", b"#EXTM3U\nhttp://127.0.0.1:9/a.wav\n"), SOUND
    yield "tag-before.wav", b"ID3\4\0\0\0\0\0\x14" + bytes(20) + encode(), SOUND
    yield "page-before.mp3", page + encode(format="MP3"), ANY
    yield "picture-before.ogg", png + encode(format="OGG"), ANY


def with_chunk(kind: bytes, content: bytes) -> bytes:
    """Put a chunk before the sound of a WAV file."""
    wav = encode()
    content += b"\0" * (len(content) % 2)
    return wav[:36] + kind + struct.pack("<I", len(content)) + content + wav[36:]
