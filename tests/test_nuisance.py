"""A shipped model answers a clip alike in every file format, gain and rate, and refuses sounds without speech."""

from collections.abc import Iterator

import numpy as np
import pytest
import soxr
from bad_audio import encode
from conftest import ROOT, SAMPLE_RATE, speak

from speech_emotion import AudioError, EmotionClassifier
from speech_emotion.dataset import open_dataset, read_clip

SHIPPED = ("wav2vec2", "cnn")
ALIKE = 0.02  # by how much a probability may move: 16 bits round a faint clip, floats do not
RESAMPLED = 0.2  # resampling and back loses what lies near 8 kHz


@pytest.fixture(scope="module", params=SHIPPED)
def classifier(request) -> EmotionClassifier:
    return EmotionClassifier.from_pretrained(ROOT / "models" / request.param)


def variants(audio: np.ndarray) -> Iterator[tuple[str, bytes, float]]:
    """Yield variants of a clip: name, file, and by how much its probabilities may move."""
    padded = np.pad(audio, (3_333, 40_007))
    yield "FLAC", encode(audio, format="FLAC"), ALIKE
    yield "stereo", encode(np.stack([audio, audio], axis=1)), ALIKE
    yield "24 bits", encode(audio, subtype="PCM_24"), ALIKE
    yield "float", encode(audio, subtype="FLOAT"), ALIKE
    yield "half the gain", encode(0.5 * audio, subtype="FLOAT"), ALIKE
    yield "twice the gain", encode(2 * audio, subtype="FLOAT"), ALIKE
    yield "silence around it", encode(padded), ALIKE
    for rate in (44_100, 48_000):
        for name, samples in (("", audio), (", silence around it", padded)):
            resampled = soxr.resample(samples, SAMPLE_RATE, rate, quality="HQ")
            yield f"{rate} Hz{name}", encode(resampled, rate), RESAMPLED


def compare(classifier: EmotionClassifier, audio: np.ndarray) -> bool:
    """Compare every variant of a clip with the clip; return whether its label leads clearly."""
    plain = classifier.predict(encode(audio))
    first, second = sorted(plain.probabilities.values(), reverse=True)[:2]
    for name, content, tolerance in variants(audio):
        variant = classifier.predict(content)
        assert variant.probabilities == pytest.approx(plain.probabilities, abs=tolerance), name
        assert variant.label == plain.label or first - second < 2 * tolerance, name
    return first - second > 2 * ALIKE


def test_a_synthetic_voice_gets_the_same_answer_in_every_variant(classifier):
    assert sum(compare(classifier, speak(110 + 40 * seed, 1.5, seed=seed)) for seed in range(2)) > 0


def test_a_real_voice_gets_the_same_answer_in_every_variant(classifier):
    folder = ROOT / "data" / "emotion"
    if not folder.is_dir():
        pytest.skip("no dataset: make data writes data/emotion from the recordings in corpora/")
    rows = open_dataset(str(folder))["test"]
    clips = [read_clip(rows[index]) for index in range(5, len(rows), len(rows) // 8)]
    assert sum(compare(classifier, clip) for clip in clips) > 2


def test_a_batch_gets_the_answers_of_its_clips(classifier):
    clips = [speak(110 + 30 * seed, 0.6 + 0.7 * seed, seed=seed) for seed in range(5)]
    for clip, probabilities in zip(clips, classifier.classify_segments(clips), strict=True):
        [alone] = classifier.classify_segments([clip])
        assert probabilities.argmax() == alone.argmax()
        assert probabilities == pytest.approx(alone, abs=ALIKE)


def tone(frequency: np.ndarray | float, harmonics: int = 1) -> np.ndarray:
    """Return three seconds of a tone; its frequency in Hz is a number or has shape [48000]."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(frequency, 3 * SAMPLE_RATE)) / SAMPLE_RATE
    return sum(np.sin(number * phase) / number for number in range(1, harmonics + 1))


def sounds_without_speech() -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and samples of sounds without speech."""
    time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    rng = np.random.default_rng(0)
    notes = np.repeat([262, 294, 330, 349, 392, 440], SAMPLE_RATE // 2)
    white = rng.standard_normal(time.size)
    yield "white noise", white
    yield "brown noise", np.cumsum(white - white.mean())
    yield "noise in bursts", white * (np.sin(2 * np.pi * 3 * time) > 0)
    yield "hum", tone(50, 8)
    yield "sweep", tone(100 * 40 ** (time / 3))
    yield "major chord", tone(262) + tone(330) + tone(392)
    yield "chord of strings", tone(196, 6) + tone(247, 6) + tone(294, 6)
    yield "melody", tone(notes, 3) * np.exp(-4 * (time % 0.5))
    yield "melody with vibrato", tone(notes * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * time)), 3)
    yield "clicks", (np.arange(time.size) % 4000 == 0).astype(float)
    yield "telephone", (tone(697) + tone(1209)) * (time % 0.4 < 0.2)


@pytest.mark.parametrize(
    ("name", "sound"), sounds_without_speech(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_sound_without_speech_is_refused(name, sound, cnn_folder):
    classifier = EmotionClassifier.from_pretrained(cnn_folder)
    with pytest.raises(AudioError, match="Nobody speaks"):
        classifier.predict(0.5 * sound / np.abs(sound).max())
