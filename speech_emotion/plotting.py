"""Matplotlib figures of a clip, and the style that every figure shares."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import welch
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import FRAME_LENGTH, HOP_LENGTH
from speech_emotion.palette import INK, SHADES

WAVE = "#2a78b5"


N_MELS = 80


def plot_views(audio: np.ndarray, title: str, colour: str, seconds: float, peak: float) -> Figure:
    """Draw a clip's waveform and spectrum above its mel spectrogram.

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        title: a line above it.
        colour: of the waveform and the spectrum.
        seconds: where the time axes end, so that pictures of several clips compare.
        peak: where the amplitude axis ends, likewise.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    figure.suptitle(title, color=INK, fontsize=13, fontweight="bold")
    views = figure.subplot_mosaic([["wave", "spectrum"], ["mel", "mel"]], height_ratios=(1, 1.3))
    draw_waveform(views["wave"], audio, colour)
    views["wave"].set(xlabel="time (s)", xlim=(0, seconds), ylim=(-peak, peak))

    draw_spectrum(views["spectrum"], audio, colour)
    draw_mel(views["mel"], audio)
    views["mel"].set(xlim=(0, seconds))
    return figure


def mel_spectrogram_db(audio: np.ndarray) -> np.ndarray:
    """Compute the mel spectrogram of shape-[n] 16 kHz samples: dB below its loudest cell, [mels, frames]."""
    mel = MelSpectrogram(SAMPLE_RATE, 1024, FRAME_LENGTH, HOP_LENGTH, n_mels=N_MELS)(torch.from_numpy(audio))
    levels = AmplitudeToDB(top_db=80)(mel).numpy()
    return levels - levels.max()


def style(axes: Axes) -> None:
    """Apply to axes the ink and the sizes that every picture here has."""
    axes.title.set(fontsize=11, color=INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.label.set(color=INK, fontsize=10)
    axes.yaxis.label.set(color=INK, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(INK)


def draw_waveform(axes: Axes, audio: np.ndarray, colour: str) -> None:
    """Draw the waveform of shape-[n] 16 kHz samples."""
    axes.plot(*_envelope(audio), color=colour, linewidth=0.6)
    axes.set(ylabel="amplitude", title="Waveform")
    style(axes)


def draw_spectrum(axes: Axes, audio: np.ndarray, colour: str) -> None:
    """Draw the power spectrum of shape-[n] 16 kHz samples, in dB below its peak."""
    frequencies, power = welch(audio, SAMPLE_RATE, nperseg=min(SAMPLE_RATE // 20, audio.size))
    levels = 10 * np.log10(power / max(power.max(), 1e-12) + 1e-8)
    axes.plot(frequencies, levels, color=colour, linewidth=1.2)
    axes.set(
        xlabel="frequency (Hz)",
        ylabel="level (dB)",
        title="Spectrum",
        xlim=(0, SAMPLE_RATE / 2),
        ylim=(-80, 3),
    )
    style(axes)


def draw_mel(axes: Axes, audio: np.ndarray) -> None:
    """Draw the mel spectrogram of shape-[n] 16 kHz samples, in dB below its peak."""
    image = axes.imshow(
        mel_spectrogram_db(audio), origin="lower", aspect="auto", cmap="magma", vmin=-80, vmax=0,
        extent=(0, audio.size / SAMPLE_RATE, 0, N_MELS),
    )  # fmt: skip
    ticks = np.array([250, 500, 1000, 2000, 4000])
    axes.set_yticks(_mel_position(ticks), [str(tick) for tick in ticks])
    axes.set(xlabel="time (s)", ylabel="frequency (Hz)", title="Mel spectrogram")
    bar = axes.figure.colorbar(image, ax=axes, label="level (dB)", pad=0.01)
    for part in (axes, bar.ax):
        style(part)


def finish_lines(axes: Axes) -> None:
    """Add to a chart of lines its grid, its legend and the style of all charts."""
    axes.grid(color=SHADES[2], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right")
    style(axes)


def _envelope(audio: np.ndarray, points: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Thin a long waveform to the extremes of equal stretches, which draw the same picture."""
    stretch = -(-audio.size // points)
    padded = np.pad(audio, (0, -audio.size % stretch)).reshape(-1, stretch)
    extremes = np.stack([padded.min(axis=1), padded.max(axis=1)], axis=1).ravel()
    return np.linspace(0, audio.size / SAMPLE_RATE, extremes.size), extremes


def _mel_position(hertz: np.ndarray) -> np.ndarray:
    """Return the mel band (HTK scale, as torchaudio's default) of frequencies in Hz."""
    return N_MELS * np.log1p(hertz / 700) / np.log1p(SAMPLE_RATE / 2 / 700)
