"""Pictures of a whole dataset: each function draws a matplotlib figure from the table of the clips.

The table has a row for each clip: `emotion` and `split`, Categoricals in the order of labels and splits;
`corpus`, `speaker`, `gender`, `language`; `duration` in seconds.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from speech_emotion.palette import DENSITY, INK, SHADES, corpus_colours, emotion_colour
from speech_emotion.plotting import style

WIDTH = 8  # inches
COLUMNS = 55  # in a row of the speakers' picture, AXIS of them taken by each vertical axis
AXIS = 3
LONGEST_NAME = 10  # letters of a speaker's name that fit under a column
NARROWEST = 6  # columns a corpus takes at least, so that its name fits
MOST_SPEAKERS = 2 * (COLUMNS - AXIS)  # of a corpus that are drawn, those with the most clips
MAP_COLUMNS = 5  # panels of corpora side by side on the map
LONGEST = 10.0  # seconds; longer clips are counted in the last column
BIN = 0.25  # seconds


def plot_emotions(clips: pd.DataFrame) -> Figure:
    """Draw the clips of each emotion as bars."""
    counts = clips["emotion"].value_counts(sort=False)
    return _bars(counts, [emotion_colour(label) for label in counts.index])


def plot_corpora(clips: pd.DataFrame) -> Figure:
    """Draw the clips of each corpus as bars."""
    counts = clips["corpus"].value_counts().sort_index()
    return _bars(counts, list(corpus_colours(list(counts.index)).values()))


def plot_genders(clips: pd.DataFrame) -> Figure:
    """Draw the clips of each corpus by the speaker's gender."""
    counts = pd.crosstab(clips["corpus"], clips["gender"])
    colours = _shades(counts.columns)
    figure = Figure(figsize=(WIDTH, 1.5 + 0.4 * len(counts)), layout="constrained")
    axes = figure.subplots()
    _stack(axes, counts, colours)
    for position, total in enumerate(counts.sum(axis=1)):
        axes.annotate(f"{total:,}", (total, position), (4, 0), textcoords="offset points", va="center",
                      color=INK, fontsize=9)  # fmt: skip
    axes.set(xlabel="clips")
    axes.margins(x=0.1)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def plot_languages(clips: pd.DataFrame) -> Figure:
    """Draw the hours of each language as bars, divided by corpus."""
    hours = clips.groupby(["language", "corpus"])["duration"].sum().unstack(fill_value=0) / 3600
    hours = hours.loc[hours.sum(axis=1).sort_values(ascending=False).index]
    figure = Figure(figsize=(WIDTH, 2.6 + 0.4 * len(hours)), layout="constrained")
    axes = figure.subplots()
    _stack(axes, hours, corpus_colours(list(hours.columns)))
    for position, total in enumerate(hours.sum(axis=1)):
        axes.annotate(f"{total:.1f}", (total, position), (4, 0), textcoords="offset points", va="center",
                      color=INK, fontsize=9)  # fmt: skip
    axes.set(xlabel="hours")
    axes.margins(x=0.1)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def plot_grid(clips: pd.DataFrame) -> Figure:
    """Draw the clips of each emotion in each corpus as a grid, shaded by the share of the corpus."""
    counts = pd.crosstab(clips["corpus"], clips["emotion"], dropna=False)
    shares = counts.div(counts.sum(axis=1), axis=0).fillna(0).to_numpy()  # a corpus may have no label
    figure = Figure(figsize=(max(WIDTH, 2 + 0.75 * counts.shape[1]), 1.3 + 0.5 * len(counts)))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap=DENSITY, vmin=0, vmax=max(0.5, shares.max()), aspect="auto")
    for row, column in np.ndindex(*shares.shape):
        count, dark = counts.iat[row, column], shares[row, column] > 0.4
        axes.text(column, row, f"{count:,}" if count else "–", ha="center", va="center", fontsize=10,
                  color="white" if dark else INK)  # fmt: skip
    axes.set_xticks(range(counts.shape[1]), counts.columns, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(counts)), counts.index)
    style(axes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def plot_splits(clips: pd.DataFrame) -> Figure:
    """Draw each split's clips by corpus, and next to that the share of each emotion in it."""
    splits = clips["split"].cat.remove_unused_categories()
    corpora = pd.crosstab(splits, clips["corpus"])
    emotions = pd.crosstab(splits, clips["emotion"], dropna=False, normalize="index") * 100
    figure = Figure(figsize=(1.25 * WIDTH, 3.4 + 0.25 * len(splits.cat.categories)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _stack(left, corpora, corpus_colours(list(corpora.columns)))
    _stack(right, emotions, {label: emotion_colour(label) for label in emotions.columns})
    left.set(xlabel="clips", title="by corpus")
    left.xaxis.set_major_locator(MaxNLocator(5))
    right.set(xlabel="% of the split's clips", title="by emotion", xlim=(0, 100))
    for axes in (left, right):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=4, frameon=False, fontsize=8)
    return figure


def plot_speakers(clips: pd.DataFrame) -> Figure:
    """Draw a column per speaker, shaded by split; small corpora share a row, large ones take two."""
    counts = pd.crosstab([clips["corpus"], clips["speaker"]], clips["split"])
    colours = _shades(counts.columns)
    rows = _pack_speakers(counts)
    # Axes are placed by hand, so that a column is as wide in every corpus.
    column, panel, names, head = 0.22, 1.2, 0.75, 0.7  # inches
    width, height = column * COLUMNS, head + len(rows) * (panel + names)
    figure = Figure(figsize=(width, height))
    for row, parts in enumerate(rows):
        bottom = height - head - row * (panel + names) - panel
        left = 0
        for heading, speakers, top in parts:
            left += AXIS
            box = (left * column / width, bottom / height, len(speakers) * column / width, panel / height)
            axes = figure.add_axes(box)
            _stack(axes, speakers, colours, upright=True)
            axes.set(xlim=(-0.5, len(speakers) - 0.5), ylim=(0, 1.05 * top))
            axes.set_title(heading, loc="left", color=INK, fontsize=11)
            axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
            axes.tick_params(axis="x", labelrotation=90, labelsize=8, length=0)
            left += max(len(speakers), NARROWEST)
    handles = [Patch(color=colour, label=split) for split, colour in colours.items()]
    figure.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False, fontsize=10)
    return figure


def plot_durations(clips: pd.DataFrame) -> Figure:
    """Draw how long clips are, a histogram for each corpus on one time axis."""
    corpora = corpus_colours(sorted(clips["corpus"].unique()))
    end = min(LONGEST, np.ceil(clips["duration"].max()))
    edges = np.arange(0, end + BIN, BIN)
    figure = Figure(figsize=(WIDTH, 0.8 + 1.05 * len(corpora)), layout="constrained")
    panels = figure.subplots(len(corpora), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (corpus, colour) in zip(panels, corpora.items(), strict=True):
        seconds = clips.loc[clips["corpus"] == corpus, "duration"]
        share = np.full(len(seconds), 100 / len(seconds))
        axes.hist(seconds.clip(upper=end - BIN / 2), edges, weights=share, color=colour)
        axes.axvline(seconds.median(), color=INK, linestyle="--", linewidth=1)
        axes.set_title(f"{corpus}: median {seconds.median():.1f} s", loc="left", color=INK, fontsize=11)
        axes.set(ylabel="%", xlim=(0, end))
        style(axes)
    longer = (clips["duration"] > end).sum()
    note = f" (the last column also holds the {longer:,} clips longer than {end:g} s)" if longer else ""
    panels[-1].set(xlabel=f"seconds{note}")
    return figure


def plot_map(clips: pd.DataFrame, points: np.ndarray, method: str) -> Figure:
    """Draw every clip as a point in the colour of its emotion: all together, and below each corpus by itself.

    Seventeen colours cannot be told apart, so a corpus has a panel of its own, with the others in grey.

    Args:
        clips: the table.
        points: shape [clips, 2].
        method: how the points were computed; a line above them.
    """
    colours = {label: emotion_colour(label) for label in clips["emotion"].cat.categories}
    shades = clips["emotion"].astype(str).map(colours).to_numpy()
    corpora = clips.groupby("corpus").indices
    lines = -(-len(corpora) // MAP_COLUMNS)
    side = 1.25 * WIDTH / MAP_COLUMNS  # inches of a small panel
    figure = Figure(figsize=(1.25 * WIDTH, 5.5 + side * lines), layout="constrained")
    figure.suptitle(method, color=INK, fontsize=11)
    grid = figure.add_gridspec(1 + lines, MAP_COLUMNS, height_ratios=[4.5, *[side] * lines])
    everything = figure.add_subplot(grid[0, :])
    order = np.random.default_rng(0).permutation(len(clips))  # a group drawn last would hide the others
    everything.scatter(*points[order].T, s=8, c=shades[order], linewidths=0)
    everything.set_title("all corpora")
    panels = [everything]
    for number, (corpus, its) in enumerate(corpora.items()):
        axes = figure.add_subplot(grid[1 + number // MAP_COLUMNS, number % MAP_COLUMNS])
        axes.scatter(*points.T, s=3, c="#e5e9f0", linewidths=0)
        axes.scatter(*points[its].T, s=8, c=shades[its], linewidths=0)
        axes.set_title(corpus)
        panels.append(axes)
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        axes.set_aspect("equal", adjustable="datalim")
        style(axes)
        axes.spines[:].set_visible(False)
    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=8, frameon=False, fontsize=9)
    return figure


def _bars(counts: pd.Series, colours: list[str]) -> Figure:
    figure = Figure(figsize=(WIDTH, 0.9 + 0.38 * len(counts)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(range(len(counts)), counts, color=colours)
    labels = [f"{count:,} ({count / counts.sum():.1%})" for count in counts]
    axes.bar_label(bars, labels, padding=4, color=INK, fontsize=10)
    axes.set_yticks(range(len(counts)), counts.index)
    axes.set(xlabel="clips", xlim=(0, 1.17 * counts.max()), ylim=(len(counts) - 0.4, -0.6))
    style(axes)
    return figure


def _shades(names: pd.Index) -> dict[str, str]:
    return {name: SHADES[index % len(SHADES)] for index, name in enumerate(names)}


def _stack(axes: Axes, counts: pd.DataFrame, colours: dict[str, str], upright: bool = False) -> None:
    """Draw a bar per row of counts, the columns one after the other in it."""
    start = np.zeros(len(counts))
    for name, colour in colours.items():
        if upright:
            axes.bar(range(len(counts)), counts[name], bottom=start, color=colour, width=0.8)
        else:
            axes.barh(range(len(counts)), counts[name], left=start, color=colour, label=name)
        start += counts[name].to_numpy()
    (axes.set_xticks if upright else axes.set_yticks)(range(len(counts)), counts.index)
    if not upright:
        axes.set_ylim(len(counts) - 0.4, -0.6)
    style(axes)


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _pack_speakers(counts: pd.DataFrame) -> list[list[tuple[str, pd.DataFrame, int]]]:
    """Cut corpora into stretches that fit a row, and put each into the first row with room.

    Args:
        counts: clips by (corpus, speaker) and split.

    Returns:
        Rows of (heading, clips by speaker and split, the most clips of any speaker of the corpus).
    """
    stretches = []
    for corpus, speakers in counts.groupby(level="corpus"):
        its = speakers.droplevel("corpus").rename(
            lambda name, corpus=corpus: _shorten(name.removeprefix(f"{corpus}-"))
        )
        drawn = its.loc[sorted(its.sum(axis=1).nlargest(MOST_SPEAKERS).index)]
        name = corpus if len(drawn) == len(its) else f"{corpus}, {len(drawn)} of {len(its)} speakers"
        for start in range(0, len(drawn), COLUMNS - AXIS):
            heading = f"{name}, continued" if start else name
            stretches.append((heading, drawn.iloc[start : start + COLUMNS - AXIS], drawn.sum(axis=1).max()))
    rows, room = [], []
    for stretch in stretches:
        need = AXIS + max(len(stretch[1]), NARROWEST)
        row = next((index for index, left in enumerate(room) if left >= need), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(COLUMNS)
        rows[row].append(stretch)
        room[row] -= need
    return rows
