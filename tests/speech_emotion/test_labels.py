import doctest

import pytest

from data_prep.corpora import CORPORA
from speech_emotion import labels
from speech_emotion.labels import POLICY, SCHEMES, check_labels, list_labels, map_label


def test_examples_in_docstrings_hold():
    assert doctest.testmod(labels).failed == 0


def test_every_word_of_every_corpus_has_a_row():
    words = {word for corpus in CORPORA.values() for word in corpus.EMOTIONS.values()}
    assert words == set(POLICY)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_maps_onto_exactly_its_labels(scheme):
    mapped = {map_label(word, scheme) for word in POLICY} - {None}
    assert mapped == set(SCHEMES[scheme])
    assert list(SCHEMES[scheme]) == sorted(SCHEMES[scheme])


def test_every_rule_has_a_reason():
    assert all(len(rule.why) > 10 for rule in POLICY.values())


def test_unknown_words_and_schemes_are_errors():
    with pytest.raises(KeyError, match="no row for 'hangry'"):
        map_label("hangry")
    with pytest.raises(KeyError, match="known: core8"):
        map_label("happy", "core9")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["bored"], "1 labels"),
        ([f"mood {number}" for number in range(51)], "51 labels"),
        (["bored", "bored"], "not all different"),
        (["bored", "<b>x</b>"], "no word"),
        (["bored", "=1+1"], "no word"),
        (["bored", "Error"], "means something else"),
    ],
)
def test_words_that_make_no_set_of_labels_are_refused(words, reason):
    with pytest.raises(ValueError, match=reason):
        check_labels(words)


def test_labels_of_ones_own_are_sorted_and_those_of_a_scheme_are_its_own():
    assert list_labels("own", ["relief", "boredom", "relief"]) == ("boredom", "relief")
    assert list_labels("core8", ["happy"]) == SCHEMES["core8"]
    check_labels(["Émotion forte", "無関心"])
