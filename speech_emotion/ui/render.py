"""Answers as a visitor sees them: HTML made of a model's labels and numbers; what was sent is escaped."""

import base64
import json
from html import escape

import numpy as np

from speech_emotion.inference.batch import to_csv
from speech_emotion.inference.events import describe_recording, find_events
from speech_emotion.inference.prediction import NOT_SURE, Prediction, Segment
from speech_emotion.inference.timeline import PEAK_SECONDS, Timeline
from speech_emotion.models.folder import Threshold, is_sure
from speech_emotion.palette import emotion_colour
from speech_emotion.ui.avatar import draw_face
from speech_emotion.ui.wording import Advice, headings

PIXELS_PER_SECOND = 12  # of a timeline; a longer one than the page is wide scrolls
OUTLINE_POINTS = 1500  # of a waveform at most
TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)  # seconds between marks of the time axis
MOST_MARKS = 12
EVENTS_SHOWN = 8


def hint(sentence: str) -> str:
    """Lay out what invites where there is no result yet."""
    return f"<div class='answer'><p class='hint'>{escape(sentence)}</p></div>"


def refusal(sentence: str) -> str:
    """Lay out the sentence that stands where a result cannot."""
    return f"<div class='answer'><p class='refusal' role='alert'>{escape(sentence)}</p></div>"


def notice(sentences: list[str]) -> str:
    """Lay out what every visitor should know, above all screens."""
    return "".join(f"<p class='refusal' role='status'>{escape(sentence)}</p>" for sentence in sentences)


def prediction_card(prediction: Prediction, note: str) -> str:
    """Lay out face and label above a bar per class, in the model's order and each emotion's colour.

    Args:
        prediction: what the classifier said.
        note: one line under the label.
    """
    title = _title(prediction.label, prediction.sure)
    return _card(prediction.probabilities, 96, title, note, bars(prediction.probabilities, prediction.label))


def summary_card(timeline: Timeline, note: str) -> str:
    """Lay out what a longer recording holds: share of speech per emotion, and how often it changes."""
    shares = timeline.shares()
    if not shares:
        return hint(note)
    first = next(iter(shares))
    turns = len(timeline.turning_points())
    changes = {0: "It does not change.", 1: "It changes once."}.get(turns, f"It changes {turns} times.")
    title = "Mixed" if first != NOT_SURE and shares[first] <= 0.5 else f"Mostly {first}"
    body = f"<p class='caption'>Share of the speech</p>{bars(shares, first)}"
    face = {name: share for name, share in shares.items() if name != NOT_SURE}
    return _card(face, 96, title, f"{note} {len(timeline.segments)} utterances. {changes}", body)


def live_card(probabilities: dict[str, float], threshold: Threshold, milliseconds: list[float]) -> str:
    """Lay out the emotion of this moment with a large face, and how long the answers take."""
    label = max(probabilities, key=probabilities.get)
    latest, slow = milliseconds[-1], float(np.percentile(milliseconds, 95))
    note = f"Answered in {latest:.0f} ms; 95 % of the last answers within {slow:.0f} ms."
    title = _title(label, is_sure(threshold, label, probabilities[label]))
    return _card(probabilities, 160, title, note, bars(probabilities, label))


def comparison(verdict: str, models: list[tuple[str, str]]) -> str:
    """Lay out what models say side by side: their names, and the cards of each."""
    cards = "".join(
        f"<section class='model'><h3>{escape(name)}</h3>{card}</section>" for name, card in models
    )
    return f"<p class='verdict'>{escape(verdict)}</p><div class='compare'>{cards}</div>"


def advice_card(advice: Advice, language: str) -> str:
    """Lay out advice under its headings, in the language that it is written in."""
    titles = headings(language)
    parts = [
        f"<h3>{escape(titles[name])}</h3><p>{escape(text)}</p>"
        for name in ("summary", "sounds_like", "confusion")
        if (text := getattr(advice, name))
    ]
    suggestions = "".join(f"<li>{escape(each)}</li>" for each in advice.suggestions)
    parts += [f"<h3>{escape(titles['suggestions'])}</h3><ul>{suggestions}</ul>"]
    parts += [f"<p class='caution'>{escape(advice.caution)}</p>"]
    return f"<div class='advice' lang='{language}'>{''.join(parts)}</div>"


def _title(label: str, sure: bool) -> str:
    return label if sure else f"Not sure; perhaps {label}"


def _card(face: dict[str, float], size: int, title: str, note: str, body: str) -> str:
    """Lay out a face of so many pixels beside a title and a note, and a body of HTML below them."""
    return (
        f"<div class='answer'><div class='head'>{draw_face(face, size)}"
        f"<div><p class='label'>{escape(title)}</p><p class='note'>{escape(note)}</p></div></div>{body}</div>"
    )


def bars(shares: dict[str, float], top: str) -> str:
    """Lay out a bar for each share of 1, the top one in bold."""
    return (
        "<dl>"
        + "".join(
            f"<dt class='{'top' if name == top else ''}'>{escape(name)}</dt>"
            f"<dd class='bar{' unsure' if name == NOT_SURE else ''}'>"
            f"<span style='width:{share:.1%};--colour:{emotion_colour(name)}'></span></dd>"
            f"<dd class='percent'>{share:.0%}</dd>"
            for name, share in shares.items()
        )
        + "</dl>"
    )


def timeline_strip(timeline: Timeline, name: str | None = None) -> str:
    """Lay out a recording's waveform over its segments, each a button that asks to play it.

    Args:
        timeline: of the recording so far.
        name: of the recording, for the files to save; None while it is still heard.
    """
    width = int(timeline.seconds * PIXELS_PER_SECOND)
    segments = "".join(_segment(segment, timeline.seconds) for segment in timeline.segments)
    return (
        "<div class='timeline' role='group' aria-label='Emotions over time; press one to hear it'>"
        f"<div class='scroll'><div class='strip' style='min-width:min({width}px, 6000px)'>"
        f"{_outline(timeline)}<div class='segments'>{segments}</div>{_axis(timeline.seconds)}</div></div>"
        f"{_legend(timeline)}{_events(timeline)}{_downloads(timeline, name) if name else ''}</div>"
    )


def progress(seconds: float, stated: float | None) -> str:
    """Lay out how far into a recording listening has come, a moving bar where its length is not known."""
    value = f" max='{stated:.1f}' value='{seconds:.1f}'" if stated else ""
    whole = f" of {clock(stated)}" if stated else ""
    return f"<div class='progress'><progress{value}></progress>{clock(seconds)}{whole} heard</div>"


def clock(seconds: float) -> str:
    """Write 83 seconds as `1:23`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _segment(segment: Segment, seconds: float) -> str:
    words = f"{segment.name}, {clock(segment.start)} to {clock(segment.end)}"
    if segment.sure:
        words += f", {segment.confidence:.0%}"
    else:
        words += f", perhaps {segment.label}"
    colour = emotion_colour(segment.name)
    return (
        f"<button type='button' class='segment{'' if segment.sure else ' unsure'}' "
        f"data-start='{segment.start:.2f}' title='{escape(words)}' aria-label='{escape(words)}' "
        f"style='left:{segment.start / seconds:.3%};width:{(segment.end - segment.start) / seconds:.3%};"
        f"--colour:{colour}'></button>"
    )


def _outline(timeline: Timeline) -> str:
    peaks = timeline.peaks
    step = -(-peaks.size // OUTLINE_POINTS)
    peaks = np.pad(peaks, (0, -peaks.size % step)).reshape(-1, step).max(axis=1)
    peaks = peaks / max(float(peaks.max()), 1e-3)
    upper = " ".join(f"{x},{50 - 48 * peak:.1f}" for x, peak in enumerate(peaks))
    lower = " ".join(f"{x},{50 + 48 * peak:.1f}" for x, peak in reversed(list(enumerate(peaks))))
    extent = timeline.seconds / PEAK_SECONDS / step
    return (
        f"<svg class='wave' viewBox='0 0 {extent:.2f} 100' preserveAspectRatio='none' aria-hidden='true'>"
        f"<polygon points='{upper} {lower}'/></svg>"
    )


def _axis(seconds: float) -> str:
    step = next((tick for tick in TICKS if seconds / tick <= MOST_MARKS), TICKS[-1])
    marks = "".join(
        f"<span style='left:{at / seconds:.3%}'>{clock(at)}</span>" for at in range(0, int(seconds) + 1, step)
    )
    return f"<div class='axis' aria-hidden='true'>{marks}</div>"


def _legend(timeline: Timeline) -> str:
    keys = "".join(
        f"<li class='{'unsure' if name == NOT_SURE else ''}' style='--colour:{emotion_colour(name)}'>"
        f"{escape(name)}</li>"
        for name in timeline.shares()
    )
    return f"<ul class='legend'>{keys}</ul>"


def _events(timeline: Timeline) -> str:
    events = find_events(timeline)
    rows = "".join(
        f"<li><button type='button' class='moment' data-start='{event.start:.2f}'>{clock(event.start)}"
        f"</button> {escape(event.text)}</li>"
        for event in events[:EVENTS_SHOWN]
    )
    more = len(events) - EVENTS_SHOWN
    rest = f"<li class='note'>and {more} more, in the files below</li>" if more > 0 else ""
    return f"<ul class='events'>{rows}{rest}</ul>" if events else ""


def _downloads(timeline: Timeline, name: str) -> str:
    described = json.dumps(describe_recording(timeline), indent=1)
    links = (
        _link(f"{name}.csv", "text/csv", to_csv(timeline.rows()), "Save CSV"),
        _link(f"{name}.json", "application/json", described, "Save JSON"),
    )
    return f"<p class='downloads'>{' '.join(links)}</p>"


def _link(name: str, mime: str, text: str, words: str) -> str:
    """Lay out a link that saves a text as a file; the link holds the text, the server keeps nothing."""
    content = base64.b64encode(text.encode(errors="replace")).decode()
    return f"<a download='{escape(name)}' href='data:{mime};base64,{content}'>{words}</a>"


def count_progress(done: int, whole: int) -> str:
    """Lay out how many of so many are done."""
    return f"<div class='progress'><progress max='{whole}' value='{done}'></progress>{done} of {whole}</div>"


def counts_card(shares: dict[str, float], note: str, table: str) -> str:
    """Lay out each emotion's share of many recordings, and the table to save as CSV."""
    return (
        f"<div class='answer short'><p class='note'>{escape(note)}</p>{bars(shares, next(iter(shares)))}"
        f"<p class='downloads'>{_link('emotions.csv', 'text/csv', table, 'Save CSV')}</p></div>"
    )
