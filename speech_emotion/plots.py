"""Pictures: of a clip for the app, of what a report measured. All return matplotlib figures."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import welch
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from speech_emotion.audio import FRAME_LENGTH, HOP_LENGTH, SAMPLE_RATE
from speech_emotion.palette import INK, SHADES, emotion_colour

WAVE = "#2a78b5"
N_MELS = 80


def plot_hearing(audio: np.ndarray, middles: np.ndarray, drops: np.ndarray, label: str) -> Figure:
    """Draw what a model hears of a clip: waveform, what moved its decision, mel spectrogram, spectrum.

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        middles: of the stretches that were silenced one after another, in seconds, shape [stretches].
        drops: by how much the label's probability fell without each, shape [stretches].
        label: what the model hears.
    """
    figure = Figure(figsize=(12, 7), layout="constrained")
    views = figure.subplot_mosaic(
        [["wave", "spectrum"], ["moved", "spectrum"], ["mel", "spectrum"]],
        height_ratios=(1, 0.8, 1.8),
        width_ratios=(3, 1),
    )
    seconds = audio.size / SAMPLE_RATE
    _draw_waveform(views["wave"], audio, WAVE)
    peak = 1.05 * max(float(np.abs(audio).max()), 1e-3)
    views["wave"].set(xlim=(0, seconds), ylim=(-peak, peak))

    step = middles[1] - middles[0] if middles.size > 1 else seconds
    colours = np.where(drops > 0, emotion_colour(label), SHADES[1])
    views["moved"].bar(middles, 100 * drops, width=0.9 * step, color=colours)
    reach = 1.1 * max(100 * float(np.abs(drops).max()), 5.0)
    views["moved"].axhline(0, color=INK, linewidth=0.8)
    views["moved"].set(
        xlim=(0, seconds),
        ylim=(-reach, reach),
        ylabel="percent",
        title=f"What speaks for “{label}”: its probability falls by so much when this moment is silenced",
    )
    style(views["moved"])
    _draw_mel(views["mel"], audio)
    views["mel"].set(xlim=(0, seconds))
    _draw_spectrum(views["spectrum"], audio, WAVE)
    return figure


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
    _draw_waveform(views["wave"], audio, colour)
    views["wave"].set(xlabel="time (s)", xlim=(0, seconds), ylim=(-peak, peak))

    _draw_spectrum(views["spectrum"], audio, colour)
    _draw_mel(views["mel"], audio)
    views["mel"].set(xlim=(0, seconds))
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
    style(axes)
    axes.spines[:].set_visible(False)
    return figure


def plot_reliability(splits: dict[str, dict]) -> Figure:
    """Draw accuracy against confidence before and after temperature scaling, for two splits.

    Args:
        splits: by their names, `ece`, `ece_before`, `bins` and `bins_before` as a report has them.
    """
    figure = Figure(figsize=(9.6, 5.0), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (split, own) in zip(panels, splits.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":", label="perfectly calibrated")
        clips = sum(each["clips"] for each in own["bins"])
        for bins, error, colour, name in (
            (own["bins_before"], own["ece_before"], SHADES[1], "before"),
            (own["bins"], own["ece"], WAVE, "after"),
        ):
            confidence = [each["confidence"] for each in bins]
            accuracy = [each["accuracy"] for each in bins]
            area = [15 + 1200 * each["clips"] / clips for each in bins]
            axes.plot(confidence, accuracy, color=colour, label=f"{name}: error {error:.3f}")
            axes.scatter(confidence, accuracy, area, color=colour, alpha=0.35, linewidths=0, clip_on=False)
        axes.set(title=f"{split} speakers, {clips:,} clips", xlabel="confidence", xlim=(0, 1), ylim=(0, 1))
        _finish(axes)
        axes.set_xticks(np.arange(0, 1.01, 0.2), ["0", "0.2", "0.4", "0.6", "0.8", "1"])
    panels[0].set_ylabel("accuracy")
    figure.suptitle("Before and after the temperature; larger dots hold more clips", fontsize=11, color=INK)
    return figure


def plot_coverage(splits: dict[str, dict], target: float, threshold: float) -> Figure:
    """Draw accuracy against the share of clips answered, for two splits, and where the threshold lies.

    Args:
        splits: by their names, `coverage`, `accuracy` and `curve` as a report has them.
        target: accuracy wanted, 0..1.
        threshold: confidence, 0..1.
    """
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.axhline(100 * target, color=INK, linewidth=1, linestyle=":", label=f"{target:.0%} wanted")
    for (split, own), colour in zip(splits.items(), (SHADES[1], WAVE), strict=True):
        coverage = [100 * point["coverage"] for point in own["curve"]]
        axes.plot(
            coverage,
            [100 * point["accuracy"] for point in own["curve"]],
            color=colour,
            label=f"{split} speakers",
        )
        if own["accuracy"] is not None:
            axes.plot(100 * own["coverage"], 100 * own["accuracy"], "o", color=colour, markersize=8)
    title = f"Dots: only clips of confidence {threshold:.2f} or more are answered"
    axes.set(
        xlabel="clips answered (%)", ylabel="right among them (%)", title=title, xlim=(0, 101), ylim=(0, 101)
    )
    _finish(axes)
    return figure


def style(axes: Axes) -> None:
    """Give axes the ink and the sizes that every picture here has."""
    axes.title.set(fontsize=11, color=INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.label.set(color=INK, fontsize=10)
    axes.yaxis.label.set(color=INK, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(INK)


def _draw_waveform(axes: Axes, audio: np.ndarray, colour: str) -> None:
    axes.plot(*_envelope(audio), color=colour, linewidth=0.6)
    axes.set(ylabel="amplitude", title="Waveform")
    style(axes)


def _draw_spectrum(axes: Axes, audio: np.ndarray, colour: str) -> None:
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


def _draw_mel(axes: Axes, audio: np.ndarray) -> None:
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


def _finish(axes: Axes) -> None:
    """Give a chart of lines its grid, its legend and the style of all charts."""
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
    """Give the mel band (HTK scale, as torchaudio's default) of frequencies in Hz."""
    return N_MELS * np.log1p(hertz / 700) / np.log1p(SAMPLE_RATE / 2 / 700)
