import hashlib

import numpy as np
import pytest
import soundfile
from conftest import voice

from data_prep.checks import Checked, check_audio
from speech_emotion.audio.decoding import SAMPLE_RATE, load_audio, to_pcm
from speech_emotion.audio.silence import TRIM_DB

CLIP = voice(seconds=1.0)
SQUARE = np.sign(np.sin(2 * np.pi * 200 * np.arange(SAMPLE_RATE) / SAMPLE_RATE + 0.1)).astype(np.float32)
CLICK = np.eye(1, SAMPLE_RATE, SAMPLE_RATE // 2)[0]


def damaged(value: float) -> np.ndarray:
    samples = CLIP.astype(np.float64)
    samples[5_000] = value
    return samples


def write(path, content, rate=SAMPLE_RATE, **options):
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, content, rate, **options)
    return path


@pytest.mark.parametrize(
    ("name", "content", "options", "reason"),
    [
        ("a.wav", b"", {}, "The file is empty"),
        ("a.wav", b"version https://git-lfs.github.com/spec/v1\n", {}, "run git lfs pull"),
        ("a.wav", b"RIFF....WAVEjunk" * 9, {}, "not audio"),
        ("a.mp3", bytes(range(256)) * 40, {}, "not audio"),
        ("a.flac", b"fLaC" + bytes(90), {}, "not audio"),
        ("a.wav", np.zeros(0), {}, "no sound"),
        ("a.wav", np.zeros(SAMPLE_RATE), {}, "silent"),
        ("a.flac", 0.002 * CLIP, {}, "silent"),
        ("a.mp3", np.zeros(SAMPLE_RATE), {}, "silent"),
        ("a.wav", np.full(SAMPLE_RATE, 0.2), {}, "a flat line"),
        ("a.flac", np.full((48_000, 2), -0.7), {"rate": 48_000}, "a flat line"),
        ("a.wav", np.full(SAMPLE_RATE, 0.2) + 0.001 * CLIP, {}, "a flat line"),
        ("a.wav", np.clip(1e4 * CLIP, -1, 1), {}, "clipped to a flat line"),
        ("a.wav", SQUARE, {"rate": 44_100, "subtype": "PCM_24"}, "clipped to a flat line"),
        ("a.flac", np.stack([SQUARE, SQUARE], axis=1), {}, "clipped to a flat line"),
        ("a.wav", 2**15 * CLIP, {"subtype": "FLOAT"}, "clipped to a flat line"),
        ("a.wav", CLICK, {}, "clipped to a flat line"),
        ("a.wav", CLIP[:3_000], {}, "shorter than 0.2 s"),
        ("a.wav", np.pad(CLIP[:2_000], SAMPLE_RATE), {}, "shorter than 0.2 s without its silence"),
        ("a.flac", np.tile(CLIP, 61), {}, "longer than 60 s"),
        ("a.wav", damaged(np.nan), {"subtype": "DOUBLE"}, "not numbers"),
        ("a.wav", damaged(np.inf), {"subtype": "FLOAT"}, "not numbers"),
    ],
)
def test_a_file_that_holds_no_clip_is_refused_with_its_reason(name, content, options, reason, tmp_path):
    path = write(tmp_path / name, content, **options)
    refused = check_audio(path, TRIM_DB)
    assert isinstance(refused, str)
    assert reason in refused


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("loud.wav", np.clip(6 * CLIP, -1, 1), {}),  # clipped, and still speech
        ("offset.wav", 0.3 + 0.3 * CLIP, {}),
        ("faint.wav", 0.02 * CLIP, {}),
        ("coarse.wav", CLIP, {"subtype": "PCM_U8"}),
        ("phone.wav", CLIP[::2], {"rate": 8_000, "subtype": "ULAW"}),
        ("pop.wav", np.concatenate([[1.0], 0.1 * CLIP]), {}),
        ("stereo.flac", np.stack([CLIP, 0.5 * CLIP], axis=1), {"rate": 48_000}),
        ("lossy.ogg", CLIP, {}),
        ("lossy.mp3", CLIP, {}),
        ("tone.wav", 0.5 * np.sin(2 * np.pi * 220 * np.arange(SAMPLE_RATE) / SAMPLE_RATE), {}),
    ],
)
def test_poor_recordings_of_something_are_kept(name, content, options, tmp_path):
    assert isinstance(check_audio(write(tmp_path / name, content, **options), TRIM_DB), Checked)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_hash_is_of_the_samples_that_the_stored_flac_decodes_to(rate, tmp_path):
    checked = check_audio(write(tmp_path / "a.wav", voice(seconds=1.0, level=1.0), rate), None)
    stored = load_audio(checked.flac)
    assert hashlib.sha256(to_pcm(stored).tobytes()).hexdigest() == checked.sha256
    assert checked.seconds == stored.size / SAMPLE_RATE


def test_sixteen_bits_at_16_khz_are_stored_as_they_were(tmp_path):
    path = write(tmp_path / "a.wav", CLIP)
    np.testing.assert_array_equal(load_audio(check_audio(path, None).flac), load_audio(path))


def test_silence_goes_at_both_ends_unless_it_is_asked_to_stay(tmp_path):
    pause = np.zeros(SAMPLE_RATE // 2)
    path = write(tmp_path / "a.wav", np.concatenate([pause, CLIP, pause, CLIP, pause]))
    assert check_audio(path, None).seconds == 3.5
    assert check_audio(path, TRIM_DB).seconds == pytest.approx(2.5, abs=0.06)
