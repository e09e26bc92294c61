"""Many recordings at once: a table with a row for each, the count of each emotion, and a CSV to save."""

from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

import gradio as gr

from speech_emotion import ModelError
from speech_emotion.inference.batch import classify_files, to_csv
from speech_emotion.inference.prediction import NOT_SURE
from speech_emotion.ui import render
from speech_emotion.ui.latest import Latest
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.page import emotion_class, icon, label
from speech_emotion.ui.registry import classifier
from speech_emotion.ui.wording import emotion_name, refuse, span, text

MOST_FILES = 500  # at once: about as many minutes of sound as are classified in a few minutes
TOO_MANY = f"These are more than {MOST_FILES} recordings: send fewer at once."
COLUMNS = ("file", "emotion", "length")


def lay_out(listen: Listen) -> None:
    """Add the screen, and answer its events; the model is the first screen's."""
    gr.HTML(_dropzone(), elem_id="files", apply_default_css=False)
    chosen = gr.UploadButton("files", visible="hidden", file_count="multiple", type="filepath")
    state = gr.HTML("", elem_id="batch-state", apply_default_css=False)
    stop = gr.Button("stop", visible="hidden", elem_id="batch-stop")
    rows, latest = gr.State(), gr.State(Latest())
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    chosen.upload(
        classify_latest,
        [latest, chosen, listen.model, listen.language],
        [state, rows],
        trigger_mode="multiple",
        **quiet,
    )
    stop.click(show_stopped, [latest, rows, listen.language], state, queue=False, **quiet)
    listen.language.change(show, [rows, listen.language], state, queue=False, **quiet)


def classify_latest(
    latest: Latest, paths: list[str], model: str, language: str
) -> Iterator[tuple[str, list[dict]] | dict]:
    """Render as `classify` does until the visitor chooses other files or stops."""
    latest.choose(tuple(paths))
    yield from latest.answer(tuple(paths), classify(paths, model, language))


def classify(
    paths: list[str] | list[Path], model: str, language: str = "en"
) -> Iterator[tuple[str, list[dict]]]:
    """Render a table that grows by a row with each recording."""
    files = [(path.name, path) for path in map(Path, paths or [])]
    if len(files) > MOST_FILES:
        yield render.refusal(text("too_many", language, most=MOST_FILES)), []
        return
    try:
        heard = classifier(model)
    except ModelError as error:
        yield render.refusal(refuse(str(error), language)), []
        return
    rows: list[dict] = []
    yield show(rows, language, len(files)), rows
    for row in classify_files(heard, files):
        rows = [*rows, row]
        yield show(rows, language, len(files)), rows
    yield show(rows, language), rows


def show(rows: list[dict] | None, language: str, whole: int | None = None) -> str:
    """Render the answers so far, and how many recordings are done while more are to come."""
    if rows is None:
        return ""
    if whole is not None:
        bar = render.count_progress(len(rows), whole, language)
        stop, table = render.stop_button("batch-stop", language), _table(rows, language) if rows else ""
        return f"<div class='stack'>{bar}{stop}{table}</div>"
    heard = [row for row in rows if row["emotion"]]
    counts = Counter(row["emotion"] if row["sure"] else NOT_SURE for row in heard)
    shares = {name: count / len(heard) for name, count in counts.most_common()}
    bad = len(rows) - len(heard)
    note = text("batch_done", language, done=len(heard), whole=len(rows))
    note += f" {text('batch_bad', language, count=bad)}" if bad else ""
    card = (
        f"<div class='card stack' data-say='{escape(note)}'><p class='note batch-note'>{escape(note)}</p>"
        f"<ul class='rows'>{render.bars(shares, language)}</ul><div class='cluster downloads'>"
        f"{render.saving('save_csv', 'emotions.csv', 'text/csv', to_csv(rows), language, main=True)}</div>"
        "</div>"
    )
    return f"<div class='stack'>{card}{_filters(counts, bad, language)}{_table(rows, language)}</div>"


def show_stopped(latest: Latest, rows: list[dict] | None, language: str) -> str:
    """Stop, and render the answers so far."""
    latest.stop()
    return show(rows, language)


def _dropzone() -> str:
    return (
        f"<div class='dropzone'>{span('files_lead', 'p', 'class=lead')}<div class='cluster'>"
        "<button type='button' class='btn main' data-action='upload' data-input='files-input'>"
        f"{span('choose_files')}</button>"
        "<button type='button' class='btn' data-action='upload' data-input='folder-input'>"
        f"{span('choose_folder')}</button></div>"
        f"{span('files_limit', 'p', 'class=hint')}"
        f"<input type='file' id='files-input' data-many multiple hidden {label('choose_files')}>"
        f"<input type='file' id='folder-input' data-many webkitdirectory hidden {label('choose_folder')}>"
        "<audio id='row-player'></audio></div>"
    )


def _filters(counts: Counter, bad: int, language: str) -> str:
    options = "".join(
        f"<option value='{escape(name, quote=True)}'>{escape(emotion_name(name, language))} "
        f"({count})</option>"
        for name, count in counts.most_common()
    )
    options += f"<option value='none'>{escape(text('no_answer', language))} ({bad})</option>" if bad else ""
    return (
        "<div class='filters'><input type='search' id='batch-search' "
        f"aria-label='{escape(text('search', language))}' "
        f"placeholder='{escape(text('search', language))}'><select id='batch-filter' "
        f"aria-label='{escape(text('filter', language))}'>"
        f"<option value=''>{escape(text('every_row', language))}</option>{options}</select><span "
        "class='note' id='batch-shown'></span></div>"
    )


def _table(rows: list[dict], language: str) -> str:
    heads = "".join(
        "<th scope='col'><button type='button' class='btn small' data-action='sort'>"
        f"{escape(text(f'column_{name}', language))}</button></th>"
        for name in COLUMNS
    )
    body = "".join(_row(row, language) for row in rows)
    return (
        "<div class='table-scroll' id='batch-table' tabindex='0' role='group' "
        f"aria-label='{escape(text('nav_files', language))}'><table>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: dict, language: str) -> str:
    name = escape(row["file"], quote=True)
    hear = (
        f"<button type='button' class='btn small' data-action='row' data-file='{name}' "
        f"aria-label='{escape(text('hear_file', language), quote=True)} {name}'>▶</button> "
    )
    if row["emotion"]:
        kind = row["emotion"] if row["sure"] else NOT_SURE
        degree = f"{100 * row['confidence']:.0f}&nbsp;%"
        said = escape(emotion_name(row["emotion"], language))
        said = (
            f"{said} {degree}"
            if row["sure"]
            else f"{escape(emotion_name(NOT_SURE, language))} ({said} {degree})"
        )
        cell = f"<span class='cell-emotion {emotion_class(kind)}'>{icon(kind, little=True)}{said}</span>"
        cell += render.damage(row["damage"], language)
        order = f"{kind} {1 - row['confidence']:.4f}"
        length = f"{row['seconds']:.1f} s"
    else:
        kind, order, length = "none", "~", "–"
        cell = f"<span class='why'>{escape(refuse(row['error'], language))}</span>"
    return (
        f"<tr data-kind='{escape(kind, quote=True)}'><td data-value='{name}'>{hear}<span class='file'>"
        f"{name}</span></td>"
        f"<td data-value='{escape(order, quote=True)}'>{cell}</td><td data-value='{row['seconds'] or 0}'>"
        f"{length}</td></tr>"
    )
