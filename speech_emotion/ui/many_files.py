"""Many recordings at once: a table with a row for each, the count of each emotion, and a CSV to save."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pandas as pd

from speech_emotion import ModelError
from speech_emotion.inference.batch import classify_files, is_recording, to_csv
from speech_emotion.ui import render
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.registry import classifier

MOST_FILES = 500  # at once: about as many minutes of sound as are judged in a few minutes
INVITATION = f"Choose up to {MOST_FILES} recordings of up to a minute each; every one gets a row."
TOO_MANY = f"These are more than {MOST_FILES} recordings: send fewer at once."
COLUMNS = {
    "file": "File",
    "emotion": "Emotion",
    "sure": "Sure",
    "confidence": "Confidence (%)",
    "seconds": "Seconds",
    "error": "Why there is no answer",
}


def lay_out(listen: Listen) -> None:
    """Add the screen, and answer its events; the model is the first screen's."""
    with gr.Row():
        files = gr.File(file_count="multiple", label="Recordings", elem_id="files", height=180)
        folder = gr.File(file_count="directory", label="Or a whole folder", elem_id="folder", height=180)
    state = gr.HTML(render.hint(INVITATION), elem_id="batch-state")
    stop = gr.Button("Stop", visible=False, elem_id="batch-stop")
    table = gr.Dataframe(
        headers=list(COLUMNS.values()), interactive=False, visible=False, wrap=True, elem_id="batch-table"
    )
    judging = [
        chosen.upload(answer, [chosen, listen.model], [state, table, stop], api_visibility="private")
        for chosen, answer in ((files, judge), (folder, judge_folder))
    ]
    stop.click(lambda: gr.Button(visible=False), None, stop, cancels=judging, api_visibility="private")
    for chosen in (files, folder):
        chosen.clear(
            lambda: (render.hint(INVITATION), gr.Dataframe(visible=False), gr.Button(visible=False)),
            None,
            [state, table, stop],
            cancels=judging,
            api_visibility="private",
            queue=False,
        )


def judge_folder(paths: list[str], model: str) -> Iterator[tuple]:
    """Judge what is named like audio among a folder's files, in the order of the names."""
    # Each lies in a folder of its own by now, so its name is what is left of the order.
    recordings = sorted(filter(is_recording, map(Path, paths)), key=lambda path: path.name)
    if recordings:
        yield from judge(recordings, model)
    else:
        refused = render.refusal("There is no recording in this folder.")
        yield refused, gr.Dataframe(visible=False), gr.Button(visible=False)


def judge(paths: list[str] | list[Path], model: str) -> Iterator[tuple]:
    """Show a table that grows by a row with each recording."""
    if len(paths) > MOST_FILES:
        yield render.refusal(TOO_MANY), gr.Dataframe(visible=False), gr.Button(visible=False)
        return
    try:
        heard = classifier(model)
    except ModelError as error:
        yield render.refusal(str(error)), gr.Dataframe(visible=False), gr.Button(visible=False)
        return
    rows, files = [], [(path.name, path) for path in map(Path, paths)]
    yield render.count_progress(0, len(files)), gr.skip(), gr.Button(visible=True)
    for row in classify_files(heard, files):
        rows.append(row)
        yield render.count_progress(len(rows), len(files)), show(rows), gr.skip()
    yield summarise(rows), show(rows), gr.Button(visible=False)


def show(rows: list[dict]) -> gr.Dataframe:
    """Show the columns that a person reads."""
    table = pd.DataFrame(rows)[list(COLUMNS)].astype(object)
    table["confidence"] = table["confidence"].map(lambda share: round(100 * share), na_action="ignore")
    table["sure"] = table["sure"].map({True: "yes", False: "no"})
    return gr.Dataframe(table.fillna("").rename(columns=COLUMNS), visible=True)


def summarise(rows: list[dict]) -> str:
    """Lay out how often each emotion was heard, and the CSV."""
    heard = [row["emotion"] for row in rows if row["emotion"]]
    if not heard:
        return render.refusal("None of these recordings can be judged; the table says why.")
    counts = {label: count / len(heard) for label, count in Counter(heard).most_common()}
    bad = len(rows) - len(heard)
    note = f"{len(heard)} of {len(rows)} recordings judged" + (f", {bad} could not be." if bad else ".")
    return render.counts_card(counts, note, to_csv(rows))
