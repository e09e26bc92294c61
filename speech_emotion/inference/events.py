"""Events in a recording that a program can react to: an emotion that lasts, or one that changes."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from speech_emotion.inference.prediction import Segment
from speech_emotion.inference.timeline import Timeline

PERSIST_SECONDS = 6.0  # of speech from which on an emotion lasts
GAP_SECONDS = 3.0  # without that emotion end it
PERSISTENT = {"angry": "agitation", "sleepy": "drowsiness"}  # the event of each emotion that lasts


@dataclass(frozen=True)
class Event:
    """A moment in a recording to react to.

    Attributes:
        kind: `agitation`, `drowsiness` or `turn`.
        start: in seconds from the recording's beginning.
        end: likewise.
        text: a sentence for a person, about how the voice sounds.
    """

    kind: str
    start: float
    end: float
    text: str


def find_events(timeline: Timeline) -> list[Event]:
    """Find the events of a recording.

    An emotion lasts where its sure segments add up to `PERSIST_SECONDS`, with less than `GAP_SECONDS` between
    one and the next and no other sure segment there. A model without the label `sleepy` never reports
    drowsiness. A turn lasts from the end of one emotion to the beginning of the next.

    Returns:
        The events, sorted by start, then by end.
    """
    events = [
        Event("turn", one.end, other.start, f"The tone of voice changes from {one.name} to {other.name}.")
        for one, other in timeline.turning_points()
    ]
    for run in _runs(timeline):
        spoken = sum(each.end - each.start for each in run)
        kind = PERSISTENT.get(run[0].name)
        if kind and spoken >= PERSIST_SECONDS:
            text = f"The voice sounds {run[0].name} for {spoken:.0f} seconds."
            events.append(Event(kind, run[0].start, run[-1].end, text))
    return sorted(events, key=lambda event: (event.start, event.end))


def describe_recording(timeline: Timeline) -> dict:
    """Return a timeline and its events as plain types for JSON."""
    return timeline.to_dict() | {"events": [asdict(event) for event in find_events(timeline)]}


def _runs(timeline: Timeline) -> Iterator[list[Segment]]:
    """Yield the sure segments in runs of one emotion without long gaps."""
    run: list[Segment] = []
    for segment in timeline.segments:
        if not segment.sure:
            continue
        if run and (segment.name != run[-1].name or segment.start - run[-1].end >= GAP_SECONDS):
            yield run
            run = []
        run.append(segment)
    if run:
        yield run
