import io

import av
import numpy as np
import pytest
import soundfile
from conftest import voice
from scipy.signal import correlate

from speech_emotion.audio.decoding import (
    SAMPLE_RATE,
    AudioError,
    encode_flac,
    header_duration,
    load_audio,
    load_channels,
    stream_audio,
    stream_channels,
    to_mono_16k,
    to_pcm,
)
from speech_emotion.audio.silence import trim_silence

CLIP = voice(seconds=1.5)


def encode(audio: np.ndarray, rate: int = SAMPLE_RATE, **options) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, **options)
    return buffer.getvalue()


def encode_av(audio: np.ndarray, container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=48_000, layout="mono")
        to_codec = av.AudioResampler(stream.codec_context.format or "fltp", "mono", 48_000, 960)
        frame = av.AudioFrame.from_ndarray(audio[None], format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for ready in [*to_codec.resample(frame), *to_codec.resample(None)]:
            file.mux(stream.encode(ready))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """The highest over all shifts: codecs delay."""
    return np.abs(correlate(a, b)).max() / (np.linalg.norm(a) * np.linalg.norm(b))


@pytest.mark.parametrize(
    "data",
    [
        encode(CLIP, format="WAV", subtype="PCM_16"),
        encode(CLIP, format="WAV", subtype="PCM_24"),
        encode(CLIP, format="WAV", subtype="DOUBLE"),
        encode(CLIP, format="FLAC"),
        encode(CLIP, format="AIFF"),
        encode(np.stack([CLIP, CLIP], axis=1), format="WAV"),
        encode(CLIP, format="OGG", subtype="VORBIS"),
        encode(CLIP, format="MP3"),
        encode_av(CLIP, "webm", "libopus"),
        encode_av(CLIP, "ipod", "aac"),
    ],
    ids=["wav16", "wav24", "wav64", "flac", "aiff", "stereo", "ogg", "mp3", "webm", "m4a"],
)
def test_formats_decode_to_the_same_sound(data, tmp_path):
    path = tmp_path / "clip.wav"  # the name's ending is not what decides
    path.write_bytes(data)
    audio = load_audio(path)
    assert audio.dtype == np.float32
    assert audio.ndim == 1
    assert abs(audio.size - CLIP.size) < 0.1 * SAMPLE_RATE
    assert correlation(audio, CLIP) > 0.98


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (encode(CLIP, format="FLAC"), 0),
        (encode(np.stack([CLIP, CLIP], axis=1), 44_100, format="WAV"), 1e-4),
        (encode(CLIP, 8_000, format="WAV"), 1e-4),
        (encode_av(CLIP, "webm", "libopus"), 1e-4),
    ],
    ids=["flac", "44.1", "8", "webm"],
)
@pytest.mark.parametrize("seconds", [0.1, 0.37, 5])
def test_blocks_together_are_the_whole_recording(data, tolerance, seconds):
    blocks = list(stream_audio(data, seconds))
    assert {block.size for block in blocks[:-1]} <= {int(seconds * SAMPLE_RATE)}
    assert 0 < blocks[-1].size <= seconds * SAMPLE_RATE
    np.testing.assert_allclose(np.concatenate(blocks), load_audio(data), atol=tolerance)


def test_a_long_recording_is_refused_when_its_limit_is_reached():
    blocks = stream_audio(encode(np.zeros(9 * SAMPLE_RATE), format="FLAC"), block_seconds=2, max_seconds=6)
    with pytest.raises(AudioError, match="longer than 6 seconds"):
        list(blocks)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (encode(CLIP, 44_100, format="WAV"), CLIP.size / 44_100),
        (encode_av(CLIP, "ipod", "aac"), 1.5),
        (encode_av(CLIP, "webm", "libopus"), 1.5),
        (b"not a sound " * 50, None),
    ],
    ids=["wav", "m4a", "webm", "text"],
)
def test_the_length_is_what_the_header_states(data, seconds):
    if seconds is None:
        assert header_duration(data) is None
    else:
        assert header_duration(data) == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("rate", [8_000, 24_414, 44_100, 96_000])
def test_rates_become_16_khz(rate):
    time = np.arange(rate) / rate
    audio = to_mono_16k(np.sin(2 * np.pi * 440 * time), rate)
    assert audio.size == SAMPLE_RATE
    assert np.abs(np.fft.rfft(audio)).argmax() == 440


def test_integers_are_scaled_and_channels_averaged():
    audio = to_mono_16k(np.array([[16384, 0], [-32768, -32768]], np.int16), SAMPLE_RATE)
    np.testing.assert_allclose(audio, [0.25, -1.0])


def stereo(right: np.ndarray) -> np.ndarray:
    return np.stack([CLIP, right], axis=1)


@pytest.mark.parametrize("rate", [SAMPLE_RATE, 44_100])
def test_an_inverted_channel_does_not_cancel_the_other(rate):
    noise = 1e-4 * np.random.default_rng(0).standard_normal(CLIP.size)
    for right in (-CLIP, -0.9 * CLIP + noise, 0.5 - CLIP):
        data = encode(np.tile(stereo(right), (4, 1)), rate, format="WAV", subtype="FLOAT")
        alone = load_audio(encode(np.tile(CLIP, 4), rate, format="WAV", subtype="FLOAT"))
        for audio in (load_audio(data), np.concatenate(list(stream_audio(data, 1.0)))):
            np.testing.assert_allclose(audio, alone, atol=1e-4)
    np.testing.assert_array_equal(to_mono_16k(stereo(-CLIP), SAMPLE_RATE), CLIP)


def test_channels_that_do_not_cancel_are_averaged():
    other = voice(pitch=90, seconds=1.5)
    for right in (CLIP, 0 * CLIP, other, 0.1 * CLIP):
        audio = load_audio(encode(stereo(right), format="WAV", subtype="FLOAT"))
        np.testing.assert_allclose(audio, (CLIP + right) / 2, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, SAMPLE_RATE, 44_100])
def test_channels_can_be_kept_apart(rate):
    other = voice(pitch=90, seconds=1.5)
    data = encode(stereo(other), rate, format="WAV", subtype="FLOAT")
    sides = [load_audio(encode(side, rate, format="WAV", subtype="FLOAT")) for side in (CLIP, other)]
    np.testing.assert_allclose(load_channels(data), np.stack(sides, axis=1), atol=1e-4)
    blocks = list(stream_channels(data, 0.4))
    assert {block.shape for block in blocks[:-1]} == {(6400, 2)}
    np.testing.assert_allclose(np.concatenate(blocks), np.stack(sides, axis=1), atol=1e-4)
    assert load_channels(encode(CLIP, format="FLAC")).shape == (CLIP.size, 1)
    with pytest.raises(AudioError, match=r"longer than 0\.1 seconds"):
        load_channels(data, max_seconds=0.1)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"not a sound " * 50, "not audio"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.wav\n", "not audio"),
        (encode(np.zeros(0, np.float32), format="WAV"), "no sound"),
        (encode(CLIP[:1], 96_000, format="WAV"), "no sound"),
        (encode(np.full(16_000, np.nan), format="WAV", subtype="DOUBLE"), "not numbers"),
        (encode(np.zeros(61 * SAMPLE_RATE), format="FLAC"), "longer than 60 seconds"),
    ],
    ids=["empty", "text", "lfs", "playlist", "header-only", "one-sample", "nan", "long"],
)
def test_what_is_no_usable_audio_is_refused_in_a_sentence(data, sentence):
    with pytest.raises(AudioError, match=sentence):
        load_audio(data)


@pytest.mark.parametrize("read", [load_audio, lambda data: np.concatenate(list(stream_audio(data, 1.0)))])
@pytest.mark.parametrize("kind", ["FLAC", "MP3", "OGG"])
def test_a_recording_damaged_on_its_way_serves_up_to_the_fault_or_says_so(read, kind):
    audio = np.tile(CLIP, 10)
    whole = encode(audio, format=kind)
    cut = whole[: len(whole) // 2]
    assert 0 < read(cut).size <= audio.size  # an MP3 states its length, and silence fills it
    scrambled = bytearray(whole)
    scrambled[len(whole) // 2 : len(whole) // 2 + 400] = bytes(range(200)) * 2
    assert read(bytes(scrambled)).size > 0
    lost = whole[:200] + bytes(len(whole) - 200)
    try:
        read(lost)
    except AudioError as error:
        assert str(error).endswith(".")


def test_a_stream_that_changes_its_rate_keeps_its_length():
    parts = []
    for rate in (48_000, 24_000):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="adts") as file:
            stream = file.add_stream("aac", rate=rate, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.tile(CLIP, 2)[None, : rate * 2], "fltp", "mono")
            frame.sample_rate = rate
            for ready in av.AudioResampler("fltp", "mono", rate, 1024).resample(frame):
                file.mux(stream.encode(ready))
            file.mux(stream.encode(None))
        parts.append((buffer.getvalue(), 2 * CLIP.size / rate))
    sound = b"".join(data for data, _ in parts)
    seconds = sum(seconds for _, seconds in parts)
    for audio in (load_audio(sound), np.concatenate(list(stream_audio(sound, 1.0)))):
        assert audio.size / SAMPLE_RATE == pytest.approx(seconds, abs=0.2)


@pytest.mark.parametrize("form", ["WAV", "AIFF", "FLAC", "MP3"])
def test_a_tag_before_the_sound_costs_none_of_it(form, tmp_path):
    sound = encode(CLIP, format=form)
    tag = b"ID3\4\0\0\0\0\x0f\x50" + bytes(2000)
    (tmp_path / "clip").write_bytes(tag + tag + sound)
    for source in (tmp_path / "clip", tag + tag + sound):
        np.testing.assert_array_equal(load_audio(source), load_audio(sound))


def test_a_missing_file_is_named():
    with pytest.raises(AudioError, match=r"'nowhere\.wav' cannot be read"):
        load_audio("/tmp/nowhere.wav")


def test_trimming_cuts_both_ends_and_nothing_inside():
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    audio = np.concatenate([pause, CLIP, pause, CLIP, pause])
    trimmed = trim_silence(audio)
    kept = (2 * CLIP.size + pause.size) / SAMPLE_RATE
    assert trimmed.size / SAMPLE_RATE == pytest.approx(kept, abs=0.06)
    assert np.array_equal(trim_silence(CLIP[:100]), CLIP[:100])


def test_flac_keeps_16_bits():
    np.testing.assert_allclose(load_audio(encode_flac(to_pcm(CLIP))), CLIP, atol=2**-15)
