import math
import re
from dataclasses import astuple
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from speech_emotion.inference.streaming import EASE_SECONDS, ease
from speech_emotion.labels import SCHEMES
from speech_emotion.palette import EMOTIONS
from speech_emotion.ui.avatar import ACCESSORIES, NOT_SURE, POSES, blend, draw_face, draw_icons, express

EVEN = dict.fromkeys(SCHEMES["core8"], 1 / 8)
NUMBER, COLOUR = re.compile(r"-?\d*\.?\d+"), re.compile("#[0-9a-f]+")


def numbers(probabilities: dict[str, float]) -> np.ndarray:
    return np.array(astuple(blend(probabilities)))


def test_every_emotion_of_every_scheme_has_a_pose_in_its_colour():
    assert (
        set(POSES) - {NOT_SURE} == set(EMOTIONS) >= {label for labels in SCHEMES.values() for label in labels}
    )
    for label, colour in EMOTIONS.items():
        assert astuple(blend({label: 1.0}))[:3] == pytest.approx(to_rgb(colour))


def test_no_two_emotions_make_one_face():
    for one, other in combinations(POSES, 2):
        shapes = numbers({one: 1.0})[3:], numbers({other: 1.0})[3:]  # apart from colour
        assert np.count_nonzero(np.abs(shapes[0] - shapes[1]) > 0.1) >= 3, (one, other)


def test_a_blend_is_linear():
    mixed = numbers({"happy": 0.6, "sad": 0.3, "angry": 0.1})
    parts = 0.6 * numbers({"happy": 1.0}) + 0.3 * numbers({"sad": 1.0}) + 0.1 * numbers({"angry": 1.0})
    np.testing.assert_allclose(mixed, parts)
    np.testing.assert_allclose(numbers({"happy": 6, "sad": 3, "angry": 1}), mixed)  # weights of any sum


@pytest.mark.parametrize("other", [label for label in POSES if label != "neutral"])
def test_a_drawing_does_not_jump_when_the_probabilities_creep(other):
    def coordinates(share: float) -> list[float]:
        drawing = draw_face({other: share, "neutral": 1 - share}).partition("<g ")[2]
        return [float(part) for part in NUMBER.findall(COLOUR.sub("", drawing))]

    # A second emotion takes over within a fifth of the range, so a creeping step is that much smaller.
    frames = [coordinates(step / 300) for step in range(301)]
    assert len({len(frame) for frame in frames}) == 1
    assert np.abs(np.diff(frames, axis=0)).max() < 4  # of a drawing 220 wide


def test_a_clear_answer_has_its_own_face_and_no_speck_of_another():
    clear = express({"angry": 0.55, "sad": 0.2, "fearful": 0.15, "happy": 0.1})
    assert astuple(clear) == pytest.approx(astuple(POSES["angry"]))
    near = express({"angry": 0.5, "sad": 0.4, "fearful": 0.1})
    assert near.tear == 0 < near.steam < 1
    even = express({"angry": 0.5, "sad": 0.5})
    assert [getattr(even, name) for name in ACCESSORIES] == [0] * len(ACCESSORIES)
    assert even.brow == pytest.approx((POSES["angry"].brow + POSES["sad"].brow) / 2)


def test_not_being_sure_has_a_face_of_its_own():
    assert astuple(express(EVEN, doubt=1.0)) == pytest.approx(astuple(POSES[NOT_SURE]))
    assert express({"happy": 1.0}, doubt=0.5).cock == pytest.approx(POSES[NOT_SURE].cock / 2)


def test_every_pose_is_an_icon():
    icons = ElementTree.fromstring(draw_icons())
    assert {each.get("id") for each in icons} == {f"face-{label.replace(' ', '-')}" for label in POSES}


def test_a_label_without_a_pose_counts_as_neutral_and_so_does_nothing():
    assert blend({"smug": 1.0}) == blend({"neutral": 1.0}) == blend({}) == blend({"happy": 0.0})
    np.testing.assert_allclose(numbers({"smug": 0.5, "sad": 0.5}), numbers({"neutral": 0.5, "sad": 0.5}))


@pytest.mark.parametrize("probabilities", [{}, EVEN, *({label: 1.0} for label in POSES)], ids=str)
def test_a_drawing_is_xml_of_its_size_without_ids_that_another_could_clash_with(probabilities):
    root = ElementTree.fromstring(draw_face(probabilities, 96))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height"), root.get("role")) == ("96", "96", "img")
    assert not [each for each in root.iter() if "id" in each.attrib]
    assert "nan" not in draw_face(probabilities)


@pytest.mark.parametrize(
    ("probabilities", "sentence"),
    [
        ({"sad": 0.1, "happy": 0.6, "surprised": 0.3}, "A face that looks happy, a little surprised"),
        ({"happy": 0.8, "sad": 0.2}, "A face that looks happy, a little sad"),
        ({"happy": 0.81, "sad": 0.19}, "A face that looks happy"),
        ({"angry": 1.0}, "A face that looks angry"),
        ({}, "A face that looks neutral"),
    ],
)
def test_a_drawing_says_what_it_shows(probabilities, sentence):
    assert ElementTree.fromstring(draw_face(probabilities)).get("aria-label") == sentence


def test_a_hostile_label_stays_text():
    label = '\'/><script>alert("1")</script>&'
    drawing = draw_face({label: 1.0})
    root = ElementTree.fromstring(drawing)
    assert root.get("aria-label") == f"A face that looks {label}"
    assert "<script" not in drawing


def test_easing_starts_at_once_and_then_follows_by_its_time_constant():
    happy, sad = {"happy": 1.0, "sad": 0.0}, {"happy": 0.0, "sad": 1.0}
    assert ease(None, sad, 0.0) == ease({}, sad, 0.1) == sad
    assert ease(happy, sad, 0.0) == happy
    assert ease(happy, sad, EASE_SECONDS)["happy"] == pytest.approx(math.exp(-1))
    assert ease(happy, sad, 60.0) == pytest.approx(sad)


def test_easing_in_small_steps_comes_where_one_large_step_does():
    happy, sad = {"happy": 0.9, "sad": 0.1}, {"happy": 0.2, "sad": 0.8}
    shown = happy
    for _ in range(30):
        shown = ease(shown, sad, 0.02)
        assert sum(shown.values()) == pytest.approx(1)
    assert shown == pytest.approx(ease(happy, sad, 0.6))


def test_easing_sums_to_one_between_models_of_other_labels_and_after_rounding():
    shown = ease({"happy": 1.0}, {"amused": 0.7, "sleepy": 0.3}, EASE_SECONDS)
    assert shown["happy"] == pytest.approx(math.exp(-1))
    assert sum(shown.values()) == pytest.approx(1)
    assert sum(ease(None, {"happy": 0.333, "sad": 0.333, "calm": 0.333}, 1).values()) == pytest.approx(1)
