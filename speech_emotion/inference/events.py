"""What a game or a support team waits for in a recording: a tone of voice that stays or changes."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from speech_emotion.inference.timeline import Segment, Timeline

PERSIST_SECONDS = 6.0  # a tone of voice that is heard for as long stays
GAP_SECONDS = 3.0  # as long a gap ends it
PERSISTENT = {
    "angry": "agitation",
    "sleepy": "drowsiness",
}  # the emotions that are waited for, and their events


@dataclass(frozen=True)
class Event:
    """Something in a recording to react to.

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

    An emotion persists where it is heard for `PERSIST_SECONDS` in all, in sure segments with less than
    `GAP_SECONDS` between one and the next and no other sure one there. Models that do not know `sleepy` never
    report drowsiness. A turn lasts from the end of one emotion to the beginning of the next.

    Returns:
        By their start, then by their end.
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
    """Give a timeline and its events as JSON would have them: what programs get and visitors save."""
    return timeline.to_dict() | {"events": [asdict(event) for event in find_events(timeline)]}


def _runs(timeline: Timeline) -> Iterator[list[Segment]]:
    """Give the sure segments in runs of one emotion without long gaps."""
    run: list[Segment] = []
    for segment in timeline.segments:
        if not segment.prediction.sure:
            continue
        if run and (segment.name != run[-1].name or segment.start - run[-1].end >= GAP_SECONDS):
            yield run
            run = []
        run.append(segment)
    if run:
        yield run
