"""A longer recording: one sentence, a curve over the waveform, the strongest moments, and files to save."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from speech_emotion.inference.batch import to_csv
from speech_emotion.inference.events import describe_recording
from speech_emotion.inference.prediction import NOT_SURE, Segment
from speech_emotion.inference.stretches import Stretch, find_stretches, smooth
from speech_emotion.inference.timeline import Timeline
from speech_emotion.labels import PLAIN
from speech_emotion.ui import render
from speech_emotion.ui.page import emotion_class, icon
from speech_emotion.ui.render import clock
from speech_emotion.ui.wording import emotion_name, text

OUTLINE_POINTS = 1200  # of a waveform at most
CURVE_POINTS = 240
MOMENTS = 5  # the strongest, that are listed
SIDES = ("lane_left", "lane_right")  # names of the two channels
LEAST_SHARE = 0.02  # of the speech, for an emotion to get a curve of its own


@dataclass(frozen=True)
class Lane:
    """What one person says in a recording.

    Attributes:
        name: as the page shows it at first.
        segments: in order.
        peaks: of the waveform, as in `Timeline`.
    """

    name: str
    segments: list[Segment]
    peaks: np.ndarray


def merge(timelines: Sequence[Timeline]) -> Timeline:
    """Return one timeline of everything that is said on a recording's channels, in order."""
    if len(timelines) == 1:
        return timelines[0]
    segments = sorted(
        (each for timeline in timelines for each in timeline.segments), key=lambda each: each.start
    )
    size = max(timeline.peaks.size for timeline in timelines)
    peaks = np.max([np.pad(each.peaks, (0, size - each.peaks.size)) for each in timelines], axis=0)
    return Timeline(segments, max(each.seconds for each in timelines), peaks)


def page(
    timelines: Sequence[Timeline],
    name: str,
    engine: str,
    language: str,
    whole: float | None = None,
    note: str = "",
    compared: str = "",
) -> str:
    """Render a longer recording's answer.

    Args:
        timelines: one of the recording, or one of each channel where two people have a channel each.
        name: of the file.
        engine: what computed it, with the model's name.
        language: a key of `LANGUAGES`.
        whole: the recording's length in seconds while it is still being heard, so that the picture stays put.
        note: a sentence about what is missing, such as that it was stopped.
        compared: HTML about what the utterances were compared with.
    """
    timeline = merge(timelines)
    seconds = max(timeline.seconds, whole or 0.0)
    names = [text(key, language) for key in SIDES] if len(timelines) > 1 else [""]
    lanes = [Lane(side, each.segments, each.peaks) for side, each in zip(names, timelines, strict=True)]
    labels = _curves(timeline)
    found = {
        each: [find_stretches(lane.segments, each, timeline.seconds) for lane in lanes] for each in labels
    }
    main = _main(found)
    title, said = headline(timeline, lanes, found, main, language)
    shares = timeline.shares()
    unsure = shares.get(NOT_SURE, 0.0)
    facts = [name, text("utterances", language, count=len(timeline.segments))]
    if unsure:
        facts.append(text("unsure_share", language, share=f"{100 * unsure:.0f}"))
    peak = max(float(timeline.peaks.max(initial=0.0)), 1e-3)
    rows = "".join(
        _lane(
            number,
            lane,
            timeline,
            seconds,
            peak,
            labels,
            {each: found[each][number] for each in labels},
            language,
            len(lanes) > 1,
        )
        for number, lane in enumerate(lanes)
    )
    chips = "".join(
        f"<button type='button' class='chip {emotion_class(each)}' data-action='curve' "
        f"data-curve='{escape(each)}' "
        f"aria-pressed='{str(each == main).lower()}'>"
        f"{icon(each)}{escape(emotion_name(each, language))}</button>"
        for each in labels
    )
    zoom = "".join(
        f"<button type='button' class='btn small' data-action='zoom' data-zoom='{how}'>"
        f"{escape(text(f'zoom_{how}', language))}</button>"
        for how in ("in", "out", "whole")
    )
    moments = "".join(_moments(each, lanes, language) for each in labels)
    return (
        f"<article class='card call' lang='{language}' data-seconds='{seconds:.2f}' "
        f"data-emotion='{escape(main)}' "
        f"data-say='{escape(said, quote=True)}'>"
        f"<div><h2 class='label {emotion_class(main)}'>{title}</h2>"
        f"<p class='note'>{escape(' · '.join(facts))}</p>"
        f"{f'<p class=note>{escape(note)}</p>' if note else ''}{compared}</div>"
        "<div class='top'><div class='cluster' role='group' "
        f"aria-label='{escape(text('curve_of', language))}'>{chips}</div>"
        "</div>"
        "<div class='scroll' id='timeline' tabindex='0' role='group' "
        f"aria-label='{escape(text('timeline', language))}'><div class='whole'>"
        f"{rows}<div class='playhead' aria-hidden='true' hidden></div>"
        "<div class='axis' aria-hidden='true'></div>"
        "</div></div>"
        f"<div class='top'><p class='hint'>{escape(text('timeline_hint', language))}</p>"
        f"<div class='cluster'>{zoom}</div></div>"
        f"<div class='two'><div>{moments}</div>"
        f"<div class='stack'><h3>{escape(text('whole_recording', language))}</h3>"
        f"<ul class='cluster shares'>{render.tags(shares, language)}</ul>"
        f"{_files(timeline, lanes, name, found, main, language)}</div></div>"
        f"<p class='law'>{escape(text('law', language))}</p>"
        f"<p class='note'>{escape(engine)}. {escape(text('often_wrong', language))}</p></article>"
    )


def headline(
    timeline: Timeline, lanes: list[Lane], found: dict[str, list[list[Stretch]]], main: str, language: str
) -> tuple[str, str]:
    """Return the sentence above a recording, as HTML and as plain text."""
    stretches = [each for lane in found.get(main, []) for each in lane]
    if stretches:
        total, mark = sum(each.seconds for each in stretches), "\N{OBJECT REPLACEMENT CHARACTER}"
        key = "stretch_one" if len(stretches) == 1 else "stretches"
        sentence = text(
            key,
            language,
            emotion=mark,
            count=len(stretches),
            time=clock(total),
            whole=clock(timeline.seconds),
        )
        name = emotion_name(main, language)
        bold = escape(sentence).replace(mark, f"<b>{escape(name)}</b>")
        return bold, sentence.replace(mark, name)
    shares = timeline.shares()
    first = next(iter(shares), NOT_SURE)
    if first == NOT_SURE:
        sentence = text("mostly_unsure", language)
    elif shares[first] <= 0.5:
        sentence = text("mixed", language)
    else:
        sentence = text("mostly", language, emotion=emotion_name(first, language))
    return escape(sentence), sentence


def _curves(timeline: Timeline) -> list[str]:
    """Return the emotions that get a curve, those with most probability first; plain ones last."""
    totals: dict[str, float] = {}
    for segment in timeline.segments:
        for each, share in segment.probabilities.items():
            totals[each] = totals.get(each, 0.0) + share * (segment.end - segment.start)
    whole = sum(totals.values()) or 1.0
    order = sorted(totals, key=lambda each: (each in PLAIN, -totals[each]))
    return [each for each in order if totals[each] / whole >= LEAST_SHARE] or order[:1]


def _main(found: dict[str, list[list[Stretch]]]) -> str:
    """Return the emotion that the headline is about: the one with the most and strongest stretches."""
    weight = {
        each: sum(stretch.seconds * stretch.mean for lane in lanes for stretch in lane)
        for each, lanes in found.items()
        if each not in PLAIN
    }
    return max(weight, key=weight.get, default=next(iter(found), NOT_SURE))


def _lane(
    number: int,
    lane: Lane,
    timeline: Timeline,
    seconds: float,
    peak: float,
    labels: list[str],
    found: dict[str, list[Stretch]],
    language: str,
    named: bool,
) -> str:
    """Render one person's chart above the strip of what they say."""
    head = ""
    if named:
        said = escape(text("utterances", language, count=len(lane.segments)))
        turns = "".join(
            f"<span class='{emotion_class(each)}' data-curve-of='{escape(each)}'>"
            f"{escape(_count_stretches(each, stretches, language))}</span>"
            for each, stretches in found.items()
        )
        head = (
            f"<div class='lane-head'><label class='visually-hidden' for='lane-{number}'>"
            f"{escape(text('lane_name', language))}</label>"
            f"<input type='text' class='lane-name' id='lane-{number}' data-lane='{number}' "
            f"value='{escape(lane.name, quote=True)}'>"
            f"<span class='note'>{said}{turns}</span></div>"
        )
    curves = "".join(_curve(lane, each, timeline.seconds, seconds) for each in labels)
    marks = "".join(
        f"<div class='stretch {emotion_class(each)}' data-curve-of='{escape(each)}' "
        f"style='left:{stretch.start / seconds:.3%};width:{stretch.seconds / seconds:.3%}'>"
        f"<span>{clock(stretch.start)} – {clock(stretch.end)}</span></div>"
        for each, stretches in found.items()
        for stretch in stretches
    )
    segments = "".join(_segment(each, seconds, language) for each in lane.segments)
    return (
        f"<div class='lane'>{head}<div class='chart zoomable'><svg viewBox='0 0 {seconds:.2f} 100' "
        "preserveAspectRatio='none' "
        f"aria-hidden='true'>{_outline(lane.peaks, timeline.seconds, peak)}{curves}</svg>{marks}</div>"
        f"<div class='segments' role='group' aria-label='{escape(text('segments', language))}'>"
        f"{segments}</div></div>"
    )


def _count_stretches(emotion: str, stretches: list[Stretch], language: str) -> str:
    """Return how long a person sounds like one emotion, to stand behind the number of utterances."""
    if not stretches:
        return ""
    total = clock(sum(each.seconds for each in stretches))
    return text("stretches_count", language, emotion=emotion_name(emotion, language), time=total)


def _curve(lane: Lane, emotion: str, heard: float, seconds: float) -> str:
    times, values = smooth(lane.segments, emotion, heard)
    step = max(1, times.size // CURVE_POINTS)
    points = [
        f"{at:.2f} {98 - 92 * value:.1f}" for at, value in zip(times[::step], values[::step], strict=True)
    ]
    line = "L".join(points)
    return (
        f"<g class='{emotion_class(emotion)}' data-curve-of='{escape(emotion)}'>"
        f"<path class='under' d='M0 98L{line}L{times[-1]:.2f} 98Z'/><path class='curve' d='M{line}'/></g>"
    )


def _outline(peaks: np.ndarray, seconds: float, most: float) -> str:
    if not peaks.size:
        return ""
    step = -(-peaks.size // OUTLINE_POINTS)
    wide = seconds / peaks.size * step
    peaks = np.pad(peaks, (0, -peaks.size % step)).reshape(-1, step).max(axis=1)
    peaks = np.sqrt(peaks / most)  # so that quiet speech is visible next to a shout
    upper = " ".join(f"{x * wide:.2f},{50 - 40 * peak:.1f}" for x, peak in enumerate(peaks))
    lower = " ".join(f"{x * wide:.2f},{50 + 40 * peak:.1f}" for x, peak in reversed(list(enumerate(peaks))))
    return f"<polygon class='wave' points='{upper} {lower}'/>"


def _segment(segment: Segment, seconds: float, language: str) -> str:
    words = describe_segment(segment, language)
    return (
        "<button type='button' class='segment "
        f"{emotion_class(segment.label)}{'' if segment.sure else ' unsure'}' "
        f"data-action='play' data-start='{segment.start:.2f}' data-end='{segment.end:.2f}' "
        f"data-name='{escape(segment.name)}' "
        f"data-words='{escape(words)}' title='{escape(words)}' aria-label='{escape(words)}' tabindex='-1' "
        f"style='left:{segment.start / seconds:.3%};width:{(segment.end - segment.start) / seconds:.3%}'>"
        "</button>"
    )


def describe_segment(segment: Segment, language: str) -> str:
    """Return a segment in words: emotion, from when to when, and how sure."""
    key = "segment_sure" if segment.sure else "segment_unsure"
    return text(
        key,
        language,
        emotion=emotion_name(segment.label, language),
        start=clock(segment.start),
        end=clock(segment.end),
        share=f"{100 * segment.confidence:.0f}",
    )


def _moments(emotion: str, lanes: list[Lane], language: str) -> str:
    """Render the strongest moments of an emotion, each with a button that plays it."""
    every = [(each, number) for number, lane in enumerate(lanes) for each in lane.segments]
    every = [pair for pair in every if pair[0].label == emotion]
    best = sorted(every, key=lambda pair: -pair[0].confidence)[:MOMENTS]
    rows = "".join(
        f"<li class='{emotion_class(emotion)}'><button type='button' class='btn small' data-action='play' "
        f"data-start='{each.start:.2f}' "
        f"data-end='{each.end:.2f}' "
        f"aria-label='{escape(text('play_from', language, time=clock(each.start)))}'>▶ "
        f"{clock(each.start)}</button>"
        f"{_who(lanes[number], number, each, language)}"
        f"<span class='bar{'' if each.sure else ' pale'}' aria-hidden='true'>"
        f"<i style='width:{each.confidence:.0%}'></i></span>"
        f"<span class='percent'>{100 * each.confidence:.0f}&nbsp;%</span></li>"
        for each, number in best
    )
    title = escape(text("strongest", language, emotion=emotion_name(emotion, language)))
    body = (
        f"<ul class='moments'>{rows}</ul>"
        if rows
        else f"<p class='hint'>{escape(text('no_moment', language))}</p>"
    )
    return f"<div data-curve-of='{escape(emotion)}'><h3>{title}</h3>{body}</div>"


def _who(lane: Lane, number: int, segment: Segment, language: str) -> str:
    """Render the speaker of a moment, or, where speakers have no names, its emotion."""
    if lane.name:
        return f"<span data-lane-name='{number}'>{escape(lane.name)}</span>"
    name = emotion_name(segment.label, language)
    return f"<span>{escape(name if segment.sure else text('perhaps', language, emotion=name))}</span>"


def _files(
    timeline: Timeline,
    lanes: list[Lane],
    name: str,
    found: dict[str, list[list[Stretch]]],
    main: str,
    language: str,
) -> str:
    """Render the buttons that save the recording's answer."""
    stem = name.rpartition(".")[0] or name
    rows = [
        ({"person": _mark(lanes, segment)} if len(lanes) > 1 else {})
        | {"from": clock(segment.start), "to": clock(segment.end)}
        | segment.row()
        for segment in timeline.segments
    ]
    described = describe_recording(timeline)
    if len(lanes) > 1:
        for segment, row in zip(timeline.segments, described["segments"], strict=True):
            row["person"] = _mark(lanes, segment)
    return (
        "<div class='cluster downloads'>"
        + render.saving("save_csv", f"{stem}.csv", "text/csv", to_csv(rows), language, main=True)
        + render.saving(
            "save_json",
            f"{stem}.json",
            "application/json",
            json.dumps(described, indent=1, ensure_ascii=False),
            language,
        )
        + render.saving(
            "save_srt", f"{stem}.srt", "application/x-subrip", to_srt(timeline, lanes, language), language
        )
        + render.saving("save_vtt", f"{stem}.vtt", "text/vtt", to_vtt(timeline, lanes, language), language)
        + render.saving(
            "save_report",
            f"{stem}.html",
            "text/html",
            report(timeline, lanes, name, found, main, language),
            language,
        )
        + "</div>"
    )


def to_srt(timeline: Timeline, lanes: list[Lane], language: str) -> str:
    """Write the emotions as SubRip subtitles."""
    return "\n".join(
        f"{number}\n{_stamp(each.start, ',')} --> {_stamp(each.end, ',')}\n"
        f"{_caption(each, lanes, language)}\n"
        for number, each in enumerate(timeline.segments, 1)
    )


def to_vtt(timeline: Timeline, lanes: list[Lane], language: str) -> str:
    """Write the emotions as WebVTT subtitles."""
    cues = "\n".join(
        f"{_stamp(each.start, '.')} --> {_stamp(each.end, '.')}\n{_caption(each, lanes, language)}\n"
        for each in timeline.segments
    )
    return f"WEBVTT\n\n{cues}"


def report(
    timeline: Timeline,
    lanes: list[Lane],
    name: str,
    found: dict[str, list[list[Stretch]]],
    main: str,
    language: str,
) -> str:
    """Write a report of one page that opens in any browser and prints on paper."""
    title, _ = headline(timeline, lanes, found, main, language)
    shares = "".join(
        f"<tr><th>{escape(emotion_name(each, language))}</th><td>{100 * share:.0f} %</td></tr>"
        for each, share in timeline.shares().items()
    )
    stretches = "".join(
        f"<li>{f'‹{number}›, ' if len(lanes) > 1 else ''}{escape(emotion_name(each, language))}: "
        f"{clock(stretch.start)} – {clock(stretch.end)}</li>"
        for each, of_lanes in found.items()
        if each not in PLAIN
        for number, lane in enumerate(of_lanes)
        for stretch in lane
    )
    times, values = smooth(timeline.segments, main, timeline.seconds)
    line = "L".join(
        f"{800 * at / timeline.seconds:.1f} {118 - 110 * value:.1f}"
        for at, value in zip(times[::3], values[::3], strict=True)
    )
    return (
        f"<!doctype html><html lang='{language}'><meta charset='utf-8'><meta name='viewport' "
        "content='width=device-width'>"
        f"<title>{escape(name)}</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:820px;margin:32px auto;padding:0 20px}"
        "h1{font-size:26px;line-height:1.2}table{border-collapse:collapse}svg{width:100%;height:auto}"
        "th,td{text-align:left;padding:4px 18px 4px 0}</style>"
        f"<h1>{title}</h1><p>{escape(name)}, {clock(timeline.seconds)}</p>"
        f"<svg viewBox='0 0 800 120' role='img' aria-label='{escape(emotion_name(main, language))}'><path "
        "d='M0 118H800' stroke='#8a8694'/>"
        f"<path d='M{line}' fill='none' stroke='#c2410c' stroke-width='2'/></svg>"
        f"<h2>{escape(text('stretches_title', language))}</h2><ul>{stretches or '<li>–</li>'}</ul>"
        f"<h2>{escape(text('whole_recording', language))}</h2><table>{shares}</table>"
        f"<p>{escape(text('law', language))} {escape(text('often_wrong', language))}</p></html>"
    )


def _caption(segment: Segment, lanes: list[Lane], language: str) -> str:
    words = emotion_name(segment.name, language)
    return f"{_mark(lanes, segment)}: {words}" if len(lanes) > 1 else words


def _mark(lanes: list[Lane], segment: Segment) -> str:
    """Return the placeholder of a person's name; the browser fills the name in when it saves the file."""
    return next(
        f"‹{number}›" for number, lane in enumerate(lanes) if any(segment is each for each in lane.segments)
    )


def _stamp(seconds: float, mark: str) -> str:
    """Write 83.5 seconds as `00:01:23.500`, with this mark before the milliseconds."""
    whole = round(1000 * seconds)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{mark}{whole % 1000:03}"
