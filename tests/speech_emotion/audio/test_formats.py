"""Every format that docs/formats.md lists, made with Debian's FFmpeg or PyAV's own."""

import io
import re
import shutil
import subprocess

import av
import numpy as np
import pytest
from conftest import ROOT, speak, write_wav
from scipy.signal import correlate

from speech_emotion.audio.decoding import (
    SAMPLE_RATE,
    AudioError,
    Damage,
    NamedBytes,
    load_audio,
    stream_audio,
)

CLIP = speak(seconds=3)
PICTURES = "-f lavfi -i testsrc=size=64x48:rate=25:duration=3"
# Of each name: FFmpeg's options, and the least correlation with what was encoded.
FORMATS = {
    "wav": ("", 0.99), "adpcm.wav": ("-c:a adpcm_ms", 0.98), "gsm.wav": ("-ar 8000 -c:a libgsm_ms", 0.6),
    "g726.wav": ("-ar 8000 -c:a g726", 0.8), "w64": ("", 0.99), "au": ("", 0.99), "aiff": ("", 0.99),
    "caf": ("", 0.99), "voc": ("-ar 8000 -c:a pcm_u8", 0.8), "sox": ("", 0.99), "sf": ("-f ircam", 0.99),
    "flac": ("", 0.99), "wv": ("", 0.99), "tta": ("", 0.99), "mlp": ("-ar 48000 -strict -2", 0.99),
    "thd": ("-ar 48000 -strict -2", 0.99), "mp3": ("", 0.95), "mp2": ("-ar 44100", 0.95), "ogg": ("", 0.95),
    "opus": ("-c:a libopus", 0.8), "spx": ("-c:a libspeex", 0.6), "flac.oga": ("-c:a flac -f ogg", 0.99),
    "ogv": (f"{PICTURES} -c:v libtheora -c:a libvorbis -f ogg", 0.95), "m4a": ("", 0.95),
    "alac.m4a": ("-c:a alac", 0.99), "aac": ("", 0.95), "latm": ("-c:a aac -f latm", 0.95),
    "mp4": (f"{PICTURES} -c:v mpeg4 -c:a aac", 0.95), "mov": (f"{PICTURES} -c:v mpeg4 -c:a pcm_s16le", 0.99),
    "3gp": ("-c:a aac", 0.95), "webm": ("-c:a libopus", 0.8), "mkv": (f"{PICTURES} -c:v mpeg4", 0.9),
    "avi": (f"{PICTURES} -c:v mpeg4 -c:a libmp3lame", 0.95), "flv": (f"{PICTURES} -c:v flv1 -ar 44100", 0.95),
    "mpg": (f"{PICTURES} -c:v mpeg1video -c:a mp2 -ar 44100 -f mpeg", 0.95), "ts": ("-f mpegts -c:a aac", 0.95),
    "nut": ("-c:a flac", 0.99), "swf": ("-ar 44100 -c:a libmp3lame", 0.95), "wma": ("-ar 44100", 0.9),
    "asf": ("-ar 44100 -c:a wmav2", 0.9), "rm": ("-ar 8000 -c:a real_144 -f rm", 0.5), "ac3": ("-ar 48000", 0.95),
    "eac3": ("-ar 48000", 0.95), "dts": ("-ar 48000 -strict -2", 0.95), "g722": ("-f g722", 0.9),
    "g726": ("-ar 8000 -c:a g726 -f g726", 0.8), "gsm": ("-ar 8000 -c:a libgsm", 0.8),
    "ulaw": ("-ar 8000 -f mulaw", 0.9), "alaw": ("-ar 8000 -f alaw", 0.9), "sln": ("-ar 8000 -f s16le", 0.9),
}  # fmt: skip
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="FFmpeg is not installed")


@pytest.fixture(scope="module")
def encode(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")

    def encode(name, options, audio=CLIP):
        source, target = write_wav(folder / "source.wav", audio), folder / f"clip.{name}"
        command = ["ffmpeg", "-y", "-v", "error", "-i", source, *options.split(), target]
        subprocess.run(command, check=True, capture_output=True)
        return target

    return encode


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the highest correlation over all shifts: codecs delay."""
    return np.abs(correlate(a, b)).max() / (np.linalg.norm(a) * np.linalg.norm(b))


@needs_ffmpeg
@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_read(name, encode):
    options, least = FORMATS[name]
    path, damage = encode(name, options), Damage()
    audio = load_audio(path, damage=damage)
    assert audio.size / SAMPLE_RATE == pytest.approx(3, abs=0.12)
    assert correlation(audio, CLIP) > least
    assert str(damage) == ""
    np.testing.assert_array_equal(load_audio(NamedBytes(path.read_bytes(), path.name)), audio)


def test_the_documents_list_the_formats_that_are_tried():
    listed = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "formats.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted([*FORMATS, "amr", "amr.3gp", "sph"])


def encode_amr(container: str) -> bytes:
    """Encode a voice, two seconds of silence and another voice as AMR whose pauses are comfort noise."""
    audio = np.concatenate([speak(seconds=2), np.zeros(2 * SAMPLE_RATE, np.float32), speak(200, seconds=2)])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream("libopencore_amrnb", rate=8000, layout="mono", options={"dtx": "1"})
        stream.codec_context.bit_rate = 12_200
        frame = av.AudioFrame.from_ndarray(audio[None], "fltp", "mono")
        frame.sample_rate = SAMPLE_RATE
        for ready in av.AudioResampler("s16", "mono", 8000, 160).resample(frame):
            file.mux(stream.encode(ready))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("container", ["amr", "3gp"])
def test_comfort_noise_is_a_pause_and_not_the_end(container):
    data, damage = encode_amr(container), Damage()
    assert len(data) < 10_000  # 6 s without pauses would take 9,600 bytes and the container
    audio = load_audio(data, damage=damage)
    assert audio.size / SAMPLE_RATE == pytest.approx(6, abs=0.1)
    assert np.abs(audio[36_000:60_000]).max() < 0.01
    assert correlation(audio[-32_000:], speak(200, seconds=2)) > 0.5
    assert str(damage) == ""


def test_sphere_is_read():
    samples = (CLIP * 2**15).astype("<i2").tobytes()
    facts = [
        f"sample_count -i {CLIP.size}", "sample_n_bytes -i 2", "channel_count -i 1", "sample_byte_format -s2 01",
        "sample_rate -i 16000", "sample_coding -s3 pcm", "end_head", "",
    ]  # fmt: skip
    header = "\n".join(["NIST_1A", "   1024", *facts]).encode()
    np.testing.assert_allclose(load_audio(header.ljust(1024) + samples), CLIP, atol=2**-14)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options", "count", "least"),
    [
        ("ts", "-f mpegts -c:a aac", 1, 29.9),
        ("alac.m4a", "-c:a alac", 1, 29.7),
        ("aac", "", 64, 29.9),
        ("mp4", "-c:a aac -movflags faststart", 512, 29.8),
        ("flac", "", 64, 29.7),
        ("wma", "-ar 44100", 64, 29.8),
    ],
)
def test_a_damaged_packet_does_not_end_a_recording(name, options, count, least, encode):
    content = bytearray(encode(name, options, speak(seconds=30)).read_bytes())
    at = len(content) * 2 // 5
    content[at : at + count] = bytes(byte ^ 0xFF for byte in content[at : at + count])
    damage = Damage()
    audio = load_audio(bytes(content), damage=damage)
    assert audio.size / SAMPLE_RATE > least
    assert audio.size / SAMPLE_RATE + damage.seconds == pytest.approx(30, abs=0.2)
    np.testing.assert_allclose(np.concatenate(list(stream_audio(bytes(content), 5.0))), audio, atol=1e-4)


@needs_ffmpeg
def test_a_damaged_recording_says_how_much_was_lost(encode, cnn_folder, capsys):
    from speech_emotion import EmotionClassifier
    from speech_emotion.cli import main
    from speech_emotion.inference.batch import classify_files
    from speech_emotion.inference.timeline import iter_timeline

    path = encode("alac.m4a", "-c:a alac", speak(seconds=10))
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 5] ^= 0xFF
    path.write_bytes(content)
    sentence = r"The recording is damaged: 0\.\d seconds of it could not be read and are left out\."
    classifier = EmotionClassifier.from_pretrained(cnn_folder)
    assert re.fullmatch(sentence, classifier.predict(path).damage)
    *_, timeline = iter_timeline(classifier, path)
    assert re.fullmatch(sentence, timeline.to_dict()["damage"])
    [row] = classify_files(classifier, [(path.name, path)])
    assert re.fullmatch(sentence, row["damage"])
    main([str(path), "--model", str(cnn_folder)])
    assert re.search(sentence, capsys.readouterr().err)


@needs_ffmpeg
@pytest.mark.parametrize(("name", "options"), [("m4a", ""), ("flac", "")])
def test_a_truncated_file_gets_one_answer_wherever_it_is_sent(name, options, encode, cnn_folder):
    from speech_emotion import EmotionClassifier
    from speech_emotion.inference.batch import classify_files
    from speech_emotion.ui.endpoints import classify

    path = encode(name, options, speak(seconds=6))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    classifier, said = EmotionClassifier.from_pretrained(cnn_folder), set()
    for ask in (load_audio, lambda path: list(stream_audio(path, 30.0)), classifier.predict):
        try:
            ask(path)
        except AudioError as error:
            said.add(str(error))
        else:
            said.add("")
    said.add(next(classify_files(classifier, [("a", path)]))["error"] or "")
    try:
        classify(str(path), "cnn")
    except Exception as error:  # Gradio's own
        said.add(error.message)
    assert len(said) == 1
    assert (said == {""}) == (name == "flac")
