"""Pictures: of a clip for the app, of a model's confusions for reports. All return matplotlib figures."""

import numpy as np
import torch
from matplotlib.figure import Figure
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from speech_emotion.audio import FRAME_LENGTH, HOP_LENGTH, SAMPLE_RATE

INK = "#3b4252"  # text and axes: readable on white
WAVE = "#2a78b5"
N_MELS = 80


def plot_clip(audio: np.ndarray) -> Figure:
    """Draw a clip's waveform above its mel spectrogram on one time axis.

    Args:
        audio: float32 samples of shape [n], 16 kHz.
    """
    seconds = audio.size / SAMPLE_RATE
    figure = Figure(figsize=(12, 5), layout="constrained")
    wave, mel = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.8))

    wave.plot(*_envelope(audio), color=WAVE, linewidth=0.6)
    wave.set(ylabel="amplitude", ylim=(-1.05, 1.05), title="Waveform")

    levels = mel_spectrogram_db(audio)
    image = mel.imshow(
        levels, origin="lower", aspect="auto", extent=(0, seconds, 0, N_MELS), cmap="magma", vmin=-80, vmax=0
    )
    ticks = np.array([250, 500, 1000, 2000, 4000])
    mel.set_yticks(_mel_position(ticks), [f"{tick / 1000:g}" for tick in ticks])
    mel.set(xlabel="time (s)", ylabel="frequency (kHz)", title="Mel spectrogram", xlim=(0, seconds))
    bar = figure.colorbar(image, ax=mel, label="level (dB)", pad=0.01)
    for axes in (wave, mel, bar.ax):
        _style(axes)
    return figure


def mel_spectrogram_db(audio: np.ndarray) -> np.ndarray:
    """Compute the mel spectrogram of shape-[n] 16 kHz samples: dB below its loudest cell, [mels, frames]."""
    mel = MelSpectrogram(SAMPLE_RATE, 1024, FRAME_LENGTH, HOP_LENGTH, n_mels=N_MELS)(torch.from_numpy(audio))
    levels = AmplitudeToDB(top_db=80)(mel).numpy()
    return levels - levels.max()


def plot_confusion(matrix: np.ndarray, labels: list[str], title: str) -> Figure:
    """Draw a confusion matrix in percent of each row.

    Args:
        matrix: counts, rows the true class, columns the predicted one, shape [classes, classes].
        labels: class names in that order.
        title: a line above it.
    """
    totals = matrix.sum(axis=1, keepdims=True)
    shares = 100 * matrix / np.maximum(totals, 1)
    figure = Figure(figsize=(6.6, 5.8), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(*shares.shape):
        value = shares[row, column]
        axes.text(
            column,
            row,
            f"{value:.0f}",
            ha="center",
            va="center",
            color="white" if value > 55 else INK,
            fontsize=10,
        )
    names = [f"{label} ({count})" for label, count in zip(labels, totals[:, 0], strict=True)]
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="predicted", ylabel="true (clips)", title=title)
    _style(axes)
    axes.spines[:].set_visible(False)
    return figure


def _envelope(audio: np.ndarray, points: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Thin a long waveform to the extremes of equal stretches, which draw the same picture."""
    stretch = -(-audio.size // points)
    padded = np.pad(audio, (0, -audio.size % stretch)).reshape(-1, stretch)
    extremes = np.stack([padded.min(axis=1), padded.max(axis=1)], axis=1).ravel()
    return np.linspace(0, audio.size / SAMPLE_RATE, extremes.size), extremes


def _mel_position(hertz: np.ndarray) -> np.ndarray:
    """Give the mel band (HTK scale, as torchaudio's default) of frequencies in Hz."""
    return N_MELS * np.log1p(hertz / 700) / np.log1p(SAMPLE_RATE / 2 / 700)


def _style(axes) -> None:
    axes.title.set(fontsize=11, color=INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.label.set(color=INK, fontsize=10)
    axes.yaxis.label.set(color=INK, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(INK)
