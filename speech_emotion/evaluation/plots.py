"""The pictures of a report, drawn with matplotlib."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from speech_emotion.evaluation.card import calibration_split, leaks
from speech_emotion.models.folder import NEVER, PICTURES, Threshold
from speech_emotion.palette import INK, SHADES
from speech_emotion.plotting import WAVE, finish_lines, style


def draw_pictures(folder: Path, report: dict) -> None:
    """Draw the card's `PICTURES` of a report into a folder."""
    note = "speakers heard in training (leaking)" if leaks(report["training"]) else "speakers never heard"
    title = f"{report['model']}: {report['clips']:,} clips of {note}, % of each row"
    calibration, selective = report["calibration"], report["selective"]
    tuned = calibration_split(report)
    figures = {
        "confusion_matrix": plot_confusion(np.array(report["confusion_matrix"]), report["labels"], title),
        "reliability": plot_reliability({tuned: calibration["validation"], "test": calibration}),
        "coverage": plot_coverage(
            {tuned: selective["validation"], "test": selective["test"]},
            selective["target_accuracy"],
            report["threshold"],
        ),
    }
    for name, figure in figures.items():
        figure.savefig(folder / PICTURES[name], dpi=110)


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
        finish_lines(axes)
        axes.set_xticks(np.arange(0, 1.01, 0.2), ["0", "0.2", "0.4", "0.6", "0.8", "1"])
    panels[0].set_ylabel("accuracy")
    figure.suptitle("Before and after the temperature; larger dots hold more clips", fontsize=11, color=INK)
    return figure


def plot_coverage(splits: dict[str, dict], target: float, threshold: Threshold) -> Figure:
    """Draw accuracy against the share of clips answered, for two splits, and where the threshold lies.

    Args:
        splits: by their names, `coverage`, `accuracy` and `curve` as a report has them.
        target: accuracy wanted, 0..1.
        threshold: confidence, 0..1, for all labels or for each.
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
    least = "their label's threshold" if isinstance(threshold, dict) else f"confidence {threshold:.2f}"
    title = f"Dots: only clips of {least} or more are answered"
    title = "No clip is answered: the model is never sure" if threshold == NEVER else title
    axes.set(
        xlabel="clips answered (%)", ylabel="right among them (%)", title=title, xlim=(0, 101), ylim=(0, 101)
    )
    finish_lines(axes)
    return figure
