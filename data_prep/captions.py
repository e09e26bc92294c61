"""The texts under the pictures of a dataset: how to read each, with figures computed from the clips' table.

The table is that of `data_prep.charts`.
"""

import pandas as pd

from data_prep.charts import BIN
from data_prep.feature_map import NEIGHBOURS, Neighbours
from data_prep.splits import ASIDE

NOT_STATED = "not stated"


def describe_dataset(clips: pd.DataFrame) -> str:
    """Describe the size of the dataset."""
    corpora = clips["corpus"].nunique()
    return (
        f"{len(clips):,} clips, {clips['duration'].sum() / 3600:.1f} hours, of "
        f"{clips['speaker'].nunique():,} speakers in {corpora} {'corpus' if corpora == 1 else 'corpora'}. "
        "An emotion has the same colour in every picture."
    )


def describe_emotions(clips: pd.DataFrame) -> str:
    """Describe the common and rare emotions, and the score of always guessing the commonest."""
    counts = clips["emotion"].value_counts()
    present, absent = counts[counts > 0], sorted(counts.index[counts == 0])
    most, least = present.index[0], present.index[-1]
    text = (
        f"A bar is the number of clips of one emotion. The most common is {most} ({present[most]:,} clips), "
        f"the rarest {least} ({present[least]:,}). Always answering “{most}” would be right for "
        f"{present[most] / len(clips):.1%} of the clips; read a model's accuracy against that."
    )
    return text + (f" No clip is labelled {', '.join(absent)}." if absent else "")


def describe_corpora(clips: pd.DataFrame) -> str:
    """Describe the largest corpus."""
    shares = clips["corpus"].value_counts(normalize=True)
    return (
        f"A bar is the number of clips of one corpus. {shares.index[0]} holds {shares.iloc[0]:.1%} of all "
        "clips, and weighs as much in any average over clips."
    )


def describe_grid(clips: pd.DataFrame) -> str:
    """Describe the emotions that only one corpus has."""
    spread = clips.groupby("emotion", observed=True)["corpus"].agg(["nunique", "first"])
    alone = spread[spread["nunique"] == 1]
    text = "A number counts clips; the darker its cell, the larger its share of the row's corpus; – is none."
    if clips["corpus"].nunique() > 1 and len(alone):
        pairs = ", ".join(f"{label} ({row['first']})" for label, row in alone.iterrows())
        text += f" In one corpus only: {pairs}; a model can tell that by how the corpus was recorded."
    return text


def describe_languages(clips: pd.DataFrame) -> str:
    """Describe the share of the commonest language, and the languages that one corpus alone has."""
    hours = clips.groupby("language")["duration"].sum().sort_values(ascending=False) / 3600
    corpora = clips.groupby("language")["corpus"].nunique()
    alone = sorted(corpora.index[corpora == 1])
    text = (
        f"A bar is the hours of one language, divided by corpus. {hours.index[0]} has "
        f"{hours.iloc[0] / hours.sum():.0%} of {hours.sum():.1f} hours."
    )
    if len(hours) > 1 and alone:
        text += f" From one corpus only: {', '.join(alone)}; a model can tell these by the room."
    return text


def describe_genders(clips: pd.DataFrame) -> str:
    """Describe the share of each gender, and the corpora with one gender only."""
    shares = clips["gender"].value_counts(normalize=True)
    parts = ", ".join(f"{gender} {share:.1%}" for gender, share in shares.items())
    text = f"A shade is the speakers' gender as the corpus states it. Of all clips: {parts}."
    stated = clips[clips["gender"] != NOT_STATED].groupby("corpus")["gender"].unique()
    alone = [f"{corpus} ({genders[0]})" for corpus, genders in stated.items() if len(genders) == 1]
    return text + (f" One gender only: {', '.join(alone)}." if alone else "")


def describe_speakers(clips: pd.DataFrame) -> str:
    """Describe the number of speakers, and whether any is in two splits."""
    counts = clips["speaker"].value_counts()
    splits = clips[clips["split"] != ASIDE].groupby("speaker")["split"].nunique()
    shared = (splits > 1).sum()
    rule = f"{shared:,} of them are in two splits or more." if shared else "No speaker is in two splits."
    return (
        f"A column is one of {len(counts):,} speakers, its height the number of clips, its shade the split. "
        f"{rule} Mind the vertical axes, which differ between corpora: a speaker has between "
        f"{counts.min():,} and {counts.max():,} clips."
    )


def describe_splits(clips: pd.DataFrame) -> str:
    """Describe the clips and speakers of each split."""
    sizes = clips.groupby("split", observed=True)["speaker"].agg(["size", "nunique"])
    parts = "; ".join(
        f"{split} {row['size']:,} clips of {row['nunique']:,} speakers" for split, row in sizes.iterrows()
    )
    text = (
        "A bar is a split, divided on the left by corpus, on the right by emotion: splits whose right bars "
        f"are alike hold the same mix of emotions. There are: {parts}."
    )
    return text + (f" {ASIDE} neither trains nor tests." if ASIDE in sizes.index else "")


def describe_durations(clips: pd.DataFrame) -> str:
    """Describe the durations of the clips."""
    seconds = clips["duration"]
    low, high = seconds.quantile(0.25), seconds.quantile(0.75)
    return (
        f"A column is the share of a corpus's clips that last so long, in steps of {BIN:g} s; the dashed "
        f"line is the median. The vertical axes differ. Half of all clips last {low:.1f} to {high:.1f} s, "
        f"the shortest {seconds.min():.1f} s, the longest {seconds.max():.1f} s."
    )


def describe_example(clip: pd.Series) -> str:
    """Describe a clip and its three views."""
    said = f", “{clip['statement']}”" if pd.notna(clip["statement"]) else ""
    return (
        f"{clip['speaker']}, {clip['channel']}{said}, {clip['duration']:.1f} s. Waveform: how loud the "
        "voice is from moment to moment. Spectrum: how strong each frequency is over the whole clip, 0 dB "
        "the strongest. Mel spectrogram: both together, bright is strong, the stripes one above the other "
        "are the voice's harmonics."
    )


def describe_map(score: Neighbours | None) -> str:
    """Describe how to read the map, with figures that back it."""
    text = (
        "A point is a clip, in the colour of its emotion; a small panel shows one corpus, others in grey. "
        "Clips that sound alike by eGeMAPS (pitch, loudness, timbre, tempo) are close together; distances "
        "between far groups mean nothing."
    )
    if score is None:
        return f"{text} Too few corpora have enough clips and speakers to put it in figures."
    return (
        f"{text} In figures: the {NEIGHBOURS} nearest clips of other speakers, by all features, name a "
        f"clip's corpus in {score.corpus:.0%} of cases (guessing: {1 / len(score.corpora):.0%}) and its "
        f"emotion in {score.emotion:.0%} (guessing: {score.chance:.0%}); the nearest clips of other corpora "
        f"name the emotion in {score.emotion_elsewhere:.0%}. The gap between the last two (part of it "
        "because there are fewer clips to be near to) is why a model is measured on a corpus that it has not "
        "heard. (Recall averaged "
        f"over {', '.join(score.corpora)}; emotions: {', '.join(score.labels)}.)"
    )
