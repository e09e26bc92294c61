"""The page answers the latest request of each visitor."""

import gradio as gr

from speech_emotion.ui.latest import Latest

NOTHING = [gr.skip()]  # changes nothing on the page


def test_an_answer_ends_when_another_recording_is_chosen():
    latest = Latest()
    latest.choose("first")
    first = latest.answer("first", iter("abc"))
    assert next(first) == "a"
    latest.choose("second")
    assert list(first) == NOTHING
    assert list(latest.answer("first", iter("abc"))) == NOTHING  # it had waited for its turn
    assert list(latest.answer("second", iter("de"))) == ["d", "e"]


def test_a_second_answer_about_a_recording_ends_the_first():
    latest = Latest()
    latest.choose("call")
    first, second = (latest.answer("call", iter("abc")) for _ in range(2))
    assert (next(first), next(second)) == ("a", "a")
    assert list(first) == NOTHING
    assert list(second) == ["b", "c"]


def test_a_recording_that_was_stopped_can_be_answered_again():
    latest = Latest()
    latest.choose("call")
    answer = latest.answer("call", iter("abc"))
    next(answer)
    latest.stop()
    assert list(answer) == NOTHING
    assert list(latest.answer("call", iter("abc"))) == ["a", "b", "c"]
