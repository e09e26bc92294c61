"""Examples to press, one per emotion, where a prepared dataset is on disk or named; none are shipped.

`EXAMPLES_DATA` names another one than `data/emotion`: a folder, or a dataset's id on the hub.
"""

import os
import tempfile
from pathlib import Path

import gradio as gr

from speech_emotion.ui.listen import Listen

PREPARED = Path(__file__).parents[2] / "data" / "emotion"
FOLDER = tempfile.TemporaryDirectory(prefix="examples-")  # goes when the app ends
DATA = os.environ.get("EXAMPLES_DATA") or (str(PREPARED) if PREPARED.is_dir() else None)


def lay_out(listen: Listen) -> None:
    """Add a row of examples under the recording; nothing where there is no dataset."""
    clips = find_clips(DATA) if DATA else {}
    if not clips:
        return
    folder = Path(FOLDER.name)
    for label, content in clips.items():
        (folder / f"{label}.flac").write_bytes(content)
    gr.Examples(
        [[str(folder / f"{label}.flac")] for label in clips],
        listen.voice,
        label="Examples from the test set, by what the actor meant",
        example_labels=list(clips),
        api_visibility="private",
    )


def find_clips(data: str) -> dict[str, bytes]:
    """Give the first test clip of each emotion, as FLAC; speakers of the test split are new to the models."""
    from speech_emotion.dataset import open_dataset

    try:
        rows = open_dataset(data)["test"]
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    labels, found = rows.features["emotion"].names, {}
    for index, emotion in enumerate(rows["emotion"]):
        if labels[emotion] not in found:
            found[labels[emotion]] = index
    return {label: rows[found[label]]["audio"]["bytes"] for label in labels if label in found}
