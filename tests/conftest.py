"""Fixtures made by code: synthetic voices, miniature corpora, and a dataset and models made from them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hub import Hub
from scipy.signal import lfilter
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Model,
)

from data_prep.build import build_dataset
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.inference.reference import ReferenceHead
from speech_emotion.models.loading import new_classifier

ROOT = Path(__file__).parent.parent
# The first three formants in Hz of "ah", "ee", "oo", "eh", "aw" (Peterson and Barney 1952).
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SAMPLED = 40  # of the real recordings, every so many is in the sample, and all of RAVDESS's first actor


def voice(pitch: float = 150.0, seconds: float = 1.0, level: float = 0.3, seed: int = 0) -> np.ndarray:
    """Return a sound like a voice, harmonics of a wavering pitch in syllables: float32, 16 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.03 * np.sin(2 * np.pi * 5 * time))) / SAMPLE_RATE
    tone = sum(np.sin(harmonic * phase + rng.uniform(0, 6)) / harmonic for harmonic in range(1, 12))
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)
    sound = tone * syllables + 0.01 * rng.standard_normal(time.size)
    return (level * sound / np.abs(sound).max()).astype(np.float32)


def speak(pitch: float = 150.0, seconds: float = 2.0, level: float = 0.3, seed: int = 0) -> np.ndarray:
    """Return what a speech detector takes for speech: vowels of three resonances with hisses between them.

    float32, 16 kHz.
    """
    rng = np.random.default_rng(seed)
    sounds, phase, length = [], 0.0, 0
    while length < seconds * SAMPLE_RATE:
        count = int(rng.uniform(0.14, 0.24) * SAMPLE_RATE)
        course = np.arange(count) / count
        cycles = phase + np.cumsum(pitch * rng.uniform(0.9, 1.1) * (1.1 - 0.2 * course)) / SAMPLE_RATE
        phase = cycles[-1] % 1
        pulses = np.diff(np.floor(cycles), prepend=np.floor(cycles[0]))
        vowel = lfilter([1], [1, -0.97], pulses) + 0.002 * rng.standard_normal(count)
        for formant, width in zip(VOWELS[rng.integers(len(VOWELS))], (80, 90, 120), strict=True):
            radius = np.exp(-np.pi * width / SAMPLE_RATE)
            resonance = [1, -2 * radius * np.cos(2 * np.pi * formant / SAMPLE_RATE), radius**2]
            vowel = lfilter([sum(resonance)], resonance, vowel)
        hiss = lfilter([1, -0.95], [1], rng.standard_normal(SAMPLE_RATE // 20))
        sounds += [vowel / np.abs(vowel).max() * np.sin(np.pi * course) ** 0.5]
        sounds += [0.08 * hiss / np.abs(hiss).max()]
        length += count + hiss.size
    sound = np.concatenate(sounds)[: int(seconds * SAMPLE_RATE)]
    return (level * sound / np.abs(sound).max()).astype(np.float32)


def pause(seconds: float) -> np.ndarray:
    """Return silence, float32, 16 kHz."""
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)


def speak_utterances() -> np.ndarray:
    """Return three utterances of three seconds in rising voices, a pause before each: float32, 16 kHz."""
    return np.concatenate(
        [part for number in range(3) for part in (pause(1.5), speak(110 + 50 * number, 3, seed=number))]
    )


def write_wav(path: Path, audio: np.ndarray, rate: int = SAMPLE_RATE) -> Path:
    """Write a WAV file and the folders above it; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate)
    return path


def reset_peak_memory() -> int:
    """Make the kernel forget this process's peak memory; return the memory it has now, in kB (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def peak_memory() -> int:
    """Return the peak of this process's memory since the last reset, in kB (Linux)."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def unknown_numbers(card: str, report: dict) -> set[str]:
    """Return the numbers of a model card that are neither in its template nor in the report."""
    template = (ROOT / "model_card.md").read_text()
    known = set(NUMBER.findall(template)) | set(NUMBER.findall(json.dumps(report)))
    values = [float(number) for number in NUMBER.findall(json.dumps(report))]
    values += [len(report["speakers"]), report["parameters"] / 1e6]
    known |= {f"{value:.{digits}f}" for value in values for digits in range(4)}
    known |= {f"{100 * value:.{digits}f}" for value in values for digits in range(2)}
    return set(NUMBER.findall(card)) - known


@pytest.fixture(scope="session")
def small_corpora(tmp_path_factory) -> Path:
    """RAVDESS and SAVEE in miniature: speakers of every fold, and two emotions that differ in pitch."""
    return make_corpora(tmp_path_factory.mktemp("corpora"))


def make_corpora(root: Path) -> Path:
    for actor in (1, 2, 4, 8, 3, 6):
        for emotion, pitch in (("03", 260), ("04", 110)):
            for repetition in ("01", "02"):
                name = f"03-01-{emotion}-01-01-{repetition}-{actor:02}.wav"
                audio = voice(pitch + 3 * actor, seed=100 * actor + int(repetition))
                write_wav(root / "ravdess" / f"Actor_{actor:02}" / name, audio)
    for number, speaker in enumerate(("DC", "JE", "JK", "KL")):
        for emotion, pitch in (("h", 250), ("sa", 105)):
            write_wav(root / "ALL" / f"{speaker}_{emotion}01.wav", voice(pitch + number, seed=number), 16_000)
    return root


@pytest.fixture(scope="session")
def small_dataset(small_corpora, tmp_path_factory) -> Path:
    """The dataset of the miniature corpora, on disk."""
    output = tmp_path_factory.mktemp("data") / "emotion"
    build_dataset(small_corpora, output, workers=1)
    return output


@pytest.fixture(scope="session")
def cnn_folder(tmp_path_factory) -> Path:
    """An untrained spectrogram CNN as a model folder."""
    return make_model(tmp_path_factory.mktemp("models") / "untrained-cnn")


def make_model(folder: Path) -> Path:
    torch.manual_seed(0)
    model, extractor, _ = new_classifier("cnn", ["happy", "sad"], {"widths": [8, 8]})
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder_with_head(tmp_path_factory) -> Path:
    """An untrained wav2vec2 with a reference head, as a model folder."""
    folder = make_wav2vec2(tmp_path_factory.mktemp("models") / "knows-voices", ["angry", "happy", "neutral"])
    make_head(width=6, classes=3).save(folder, {})
    return folder


def make_wav2vec2(folder: Path, labels: list[str]) -> Path:
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=6, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, do_stable_layer_norm=True,
        feat_extract_norm="layer", conv_dim=(8, 8), conv_kernel=(400, 3), conv_stride=(160, 2),
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        id2label=dict(enumerate(labels)), label2id={label: index for index, label in enumerate(labels)},
    )  # fmt: skip
    Wav2Vec2ForSequenceClassification(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return folder


def make_head(width: int, classes: int, hidden: int = 5) -> ReferenceHead:
    rng = np.random.default_rng(0)
    weights = {
        "mean": rng.normal(size=width),
        "scale": rng.uniform(1, 2, width),
        "hidden.weight": rng.normal(size=(hidden, 2 * width)),
        "hidden.bias": rng.normal(size=hidden),
        "output.weight": rng.normal(size=(classes, hidden)),
        "output.bias": rng.normal(size=classes),
    }
    weights = {name: values.astype(np.float32) for name, values in weights.items()}
    return ReferenceHead(weights, share=0.5, temperature=2.0, threshold=0.6)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory) -> Path:
    """A wav2vec2 in miniature without a head, like a pretrained checkpoint."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(16, 16),
        conv_kernel=(80, 8), conv_stride=(40, 8), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        do_stable_layer_norm=True, feat_extract_norm="layer", mask_time_prob=0.0,
    )  # fmt: skip
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return folder


@pytest.fixture
def hub() -> Iterator[Hub]:
    """An empty hub on this machine."""
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The real recordings, in corpora/."""
    folder = ROOT / "corpora"
    if not folder.is_dir():
        pytest.skip("no recordings: put the corpora into corpora/ to run the tests that need them")
    return folder


@pytest.fixture(scope="session")
def real_dataset(corpora, tmp_path_factory) -> Path:
    """The dataset of a sample of the real recordings, on disk."""
    folder = tmp_path_factory.mktemp("real")
    recordings = sorted(path for path in corpora.rglob("*.wav") if path.is_file())
    chosen = {*recordings[::SAMPLED], *(path for path in recordings if path.parent.name == "Actor_01")}
    for path in (*chosen, *corpora.rglob("*.csv")):
        link = folder / "corpora" / path.relative_to(corpora)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    build_dataset(folder / "corpora", folder / "emotion", workers=1)
    return folder / "emotion"
