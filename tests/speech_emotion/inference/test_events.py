import json

import numpy as np

from speech_emotion.inference.events import Event, describe_recording, find_events
from speech_emotion.inference.prediction import Segment
from speech_emotion.inference.timeline import Timeline

LABELS = ("angry", "calm", "sleepy")


def timeline(*segments: tuple) -> Timeline:
    """Make a timeline of segments: start, end, label, and whether it is sure, which it is unless said."""
    return Timeline([segment(*each) for each in segments], segments[-1][1] if segments else 1.0, np.zeros(1))


def segment(start: float, end: float, label: str, sure: bool = True) -> Segment:
    shares = {name: 0.8 if name == label else 0.1 for name in LABELS}
    return Segment(start, end, label, shares, sure)


def persisting(*segments: tuple) -> list[tuple]:
    return [
        (each.kind, each.start, each.end) for each in find_events(timeline(*segments)) if each.kind != "turn"
    ]


def test_anger_that_stays_is_agitation_in_a_sentence_about_the_voice():
    assert find_events(timeline((1, 5, "angry"), (6, 9, "angry"), (9, 11, "angry"))) == [
        Event("agitation", 1, 11, "The voice sounds angry for 9 seconds.")
    ]


def test_it_stays_from_six_seconds_of_speech_on():
    assert persisting((0, 4, "angry"), (4, 6, "angry")) == [("agitation", 0, 6)]
    assert persisting((0, 4, "angry"), (4, 5.9, "angry")) == []
    assert persisting((0, 2, "angry"), (4, 5.5, "angry"), (7, 8, "angry")) == []  # pauses are not angry


def test_a_gap_of_three_seconds_ends_it():
    assert persisting((0, 4, "angry"), (6.9, 9, "angry")) == [("agitation", 0, 9)]
    assert persisting((0, 4, "angry"), (7, 9, "angry")) == []
    assert persisting((0, 7, "angry"), (10, 17, "angry")) == [("agitation", 0, 7), ("agitation", 10, 17)]


def test_unsure_segments_neither_count_nor_end_it_unless_they_last():
    assert persisting((0, 4, "angry"), (4, 6, "calm", False), (6, 8, "angry")) == [("agitation", 0, 8)]
    assert persisting((0, 4, "angry"), (4, 7, "angry", False), (7, 10, "angry")) == []
    assert persisting((0, 4, "angry", False), (4, 8, "angry", False)) == []


def test_another_emotion_ends_it():
    assert persisting((0, 4, "angry"), (4, 5, "calm"), (5, 9, "angry")) == []


def test_only_anger_and_sleepiness_are_waited_for():
    assert find_events(timeline((0, 4, "sleepy"), (4, 8, "sleepy"))) == [
        Event("drowsiness", 0, 8, "The voice sounds sleepy for 8 seconds.")
    ]
    assert find_events(timeline((0, 40, "calm"))) == []


def test_a_turn_lasts_from_one_emotion_to_the_next():
    assert find_events(timeline((0, 2, "calm"), (2, 3, "sleepy", False), (4, 5, "angry"))) == [
        Event("turn", 2, 4, "The tone of voice changes from calm to angry.")
    ]


def test_events_are_in_order():
    events = find_events(timeline((0, 2, "calm"), (2, 9, "angry"), (9.5, 12, "calm"), (12, 19, "sleepy")))
    assert [(each.kind, each.start) for each in events] == [
        ("turn", 2), ("agitation", 2), ("turn", 9), ("turn", 12), ("drowsiness", 12),
    ]  # fmt: skip


def test_a_recording_without_segments_has_no_events():
    assert find_events(timeline()) == []


def test_a_program_gets_the_events_with_the_timeline():
    recording = timeline((0, 4, "angry"), (4, 8, "angry"), (9, 11, "calm"))
    described = describe_recording(recording)
    assert described["segments"] == recording.to_dict()["segments"]
    assert [event["kind"] for event in described["events"]] == ["agitation", "turn"]
    assert json.loads(json.dumps(described)) == described
