import json
import re
import string
from collections.abc import Iterator

import pytest
from conftest import ROOT

from speech_emotion.inference.classifier import Prediction
from speech_emotion.palette import EMOTIONS
from speech_emotion.ui.wording import (
    LANGUAGES,
    PHRASES,
    REFUSALS,
    TEXTS,
    Advice,
    advise,
    emotion_name,
    headings,
    most_confused,
    refuse,
    text,
)

LABELS = ["angry", "happy", "sad"]
FORBIDDEN = (
    "diagnos", "disorder", "disease", "störung", "krank", "symptom", "autis", "normal",
    "feels", "fühlt", "suffer", "leide", "unfortunately", "you should", "you must", "you need to", "you have to",
    "du solltest", "du musst", "of course", "natürlich", "obviously", "offensichtlich", "!",
)  # fmt: skip
HEDGES = {
    "en": {"sounds_like": " often ", "may_express": " may express "},
    "de": {"sounds_like": " oft ", "may_express": " kann "},
}
each_language = pytest.mark.parametrize("language", LANGUAGES)


def predict(label: str = "angry", confidence: float = 0.9, sure: bool = True) -> Prediction:
    """A prediction of three classes; of the other two, the later one is likelier."""
    first, second = (each for each in LABELS if each != label)
    rest = 1 - confidence
    shares = {label: confidence, first: 0.25 * rest, second: 0.75 * rest}
    return Prediction(label, {each: shares[each] for each in LABELS}, 2.0, sure, "PyTorch")


def answered(label: str, angry: int, happy: int, sad: int) -> dict:
    """A report in which clips that were really angry, happy and sad were given one label."""
    column = LABELS.index(label)
    matrix = [[clips if index == column else 9 for index in range(3)] for clips in (angry, happy, sad)]
    return {"labels": LABELS, "confusion_matrix": matrix}


def texts(phrases: dict | list | str, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text with the keys that lead to it."""
    if isinstance(phrases, str):
        yield path, phrases
    else:
        pairs = phrases.items() if isinstance(phrases, dict) else enumerate(phrases)
        for key, value in pairs:
            yield from texts(value, f"{path}/{key}")


def shape(phrases: dict | list | str) -> dict | str | frozenset:
    """What has to be the same in every language: keys, lists, and the placeholders of a text."""
    if isinstance(phrases, dict):
        return {key: shape(value) for key, value in phrases.items()}
    if isinstance(phrases, list):
        return "list"
    parts = [part for part in string.Formatter().parse(phrases) if part[1] is not None]
    assert not any(spec or conversion for _, _, spec, conversion in parts)
    fields = [field for _, field, _, _ in parts]
    assert len(set(fields)) == len(fields)
    return frozenset(fields)


def test_english_and_german_are_there_by_their_own_names():
    assert {"en": "English", "de": "Deutsch"}.items() <= LANGUAGES.items()


@each_language
def test_a_language_has_the_keys_and_placeholders_of_english(language):
    assert shape(PHRASES[language]) == shape(PHRASES["en"])


def test_placeholders_are_those_that_are_filled():
    assert shape(PHRASES["en"]["sentences"]) == {
        "sure": {"emotion", "share"},
        "fairly_sure": {"emotion", "share"},
        "not_sure": {"emotion", "share"},
        "second": {"other", "share"},
        "confusion": {"emotion", "other", "share"},
        "unknown": {"emotion"},
        "caution": set(),
    }
    for key in ("headings", "emotions", "ask", "practice"):
        assert not any("{" in words or "}" in words for _, words in texts(PHRASES["en"][key]))


@each_language
def test_every_emotion_has_words_of_its_own(language):
    emotions = PHRASES[language]["emotions"]
    assert set(emotions) == set(EMOTIONS)
    for key in ("name", "sounds_like", "may_express"):
        assert len({words[key] for words in emotions.values()}) == len(EMOTIONS)
    for words in emotions.values():
        assert len(words["suggestions"]) in (2, 3)
        assert any(each.endswith("?") for each in words["suggestions"])
    assert len(PHRASES[language]["ask"]) in (2, 3)


@each_language
def test_a_file_has_no_key_twice_and_no_empty_or_ragged_text(language):
    def unique(pairs: list[tuple]) -> dict:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    file = ROOT / "speech_emotion" / "ui" / "phrases" / f"{language}.json"
    phrases = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=unique)
    for path, words in texts(phrases):
        assert words and words == words.strip() and "  " not in words and '"' not in words, path
        single = path == "/language" or path.startswith(("/headings", "/labels")) or path.endswith("/name")
        assert words.endswith((".", "?")) != single, path


@each_language
def test_no_phrase_judges_commands_or_says_what_somebody_feels(language):
    for path, words in texts(PHRASES[language]):
        for word in FORBIDDEN:
            # That a voice does not tell how somebody feels has to name what it does not tell; and "you do
            # not have to" is the opposite of a command.
            allowed = path == "/sentences/caution" and word in ("feels", "fühlt")
            assert allowed or word not in words.lower().replace("you do not have to", ""), f"{path}: {word}"


@pytest.mark.parametrize("language", HEDGES)
def test_what_is_said_of_voices_is_hedged(language):
    for words in PHRASES[language]["emotions"].values():
        for key, hedge in HEDGES[language].items():
            assert hedge in words[key]


@each_language
def test_headings_are_those_of_what_has_one(language):
    assert set(headings(language)) == {"summary", "sounds_like", "confusion", "suggestions"}
    assert set(headings(language)) < set(Advice.__annotations__)


@pytest.mark.parametrize(
    ("confidence", "sure", "start"),
    [
        (1.0, True, "To the model, this voice sounds angry. The model is sure: "),
        (0.8, True, "To the model, this voice sounds angry. The model is sure: "),
        (0.79, True, "To the model, this voice sounds angry. The model is fairly sure: "),
        (0.5, True, "To the model, this voice sounds angry. The model is fairly sure: "),
        (0.5, False, "The model is not sure"),
        (0.95, False, "The model is not sure"),  # its threshold may be anywhere
    ],
)
def test_the_words_say_how_sure_the_model_is(confidence, sure, start):
    advice = advise(predict(confidence=confidence, sure=sure), {})
    assert advice.summary.startswith(start)
    assert f"{confidence:.0%}" in advice.summary


def test_a_sure_answer_has_its_own_description_and_suggestions():
    words = PHRASES["en"]["emotions"]["sad"]
    advice = advise(predict("sad", 0.9), {})
    assert advice == Advice(
        summary="To the model, this voice sounds sad. The model is sure: it gives this answer a probability of 90%. "
        + words["may_express"],
        may_express=words["may_express"],
        second="",
        sounds_like=words["sounds_like"],
        confusion="",
        suggestions=words["suggestions"],
        caution=PHRASES["en"]["sentences"]["caution"],
    )
    assert advise(predict("sad", 0.9), {}, "de").summary.startswith(
        "Für das Modell klingt diese Stimme traurig."
    )


def test_a_fairly_sure_answer_names_the_second_likeliest_too():
    advice = advise(predict("angry", 0.6), {})
    assert "The second most likely answer is “sad” (30%)." in advice.summary
    assert advice.suggestions == PHRASES["en"]["emotions"]["angry"]["suggestions"]


@each_language
def test_an_unsure_answer_names_two_emotions_and_suggests_to_ask(language):
    phrases = PHRASES[language]
    advice = advise(predict("angry", 0.5, sure=False), answered("angry", 50, 50, 50), language)
    first, second = (phrases["emotions"][label] for label in ("angry", "sad"))
    assert re.search(rf"{first['name']}. \(50.+{second['name']}. \(38", advice.summary)
    assert advice.sounds_like == f"{first['sounds_like']} {second['sounds_like']}"
    assert advice.suggestions == phrases["ask"]
    assert first["may_express"] not in advice.summary
    assert advice.confusion == ""


def test_the_confusion_is_what_such_answers_most_often_really_were():
    advice = advise(predict("angry"), answered("angry", angry=60, happy=10, sad=30))
    assert advice.confusion == (
        "In tests, “sad” was the right answer for 30% of the recordings that this model called “angry”."
    )
    advice = advise(predict("happy"), answered("happy", angry=30, happy=60, sad=10), "de")
    assert advice.confusion == (
        "In Tests war „wütend“ die richtige Antwort bei 30\xa0% der Aufnahmen, "
        "die dieses Modell „fröhlich“ genannt hat."
    )


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ((45, 5, 0), ("happy", 0.1)),
        ((46, 5, 0), None),  # less than a tenth
        ((6, 4, 4), None),  # fewer than five clips each
        ((5, 5, 5), ("happy", 1 / 3)),  # a tie: the first
        ((0, 3, 7), ("sad", 0.7)),
        ((0, 0, 0), None),  # never answered
        ((50, 0, 0), None),
    ],
)
def test_a_confusion_is_told_from_a_tenth_and_five_clips(column, expected):
    report = answered("angry", *column)
    assert most_confused("angry", report["labels"], report["confusion_matrix"]) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"confusion_matrix": None},
        {"confusion_matrix": []},
        {"labels": None},
        {"labels": ["sad", "happy", "angry"]},
        {"labels": ["anger", "joy", "grief"]},
    ],
)
def test_a_report_without_this_models_matrix_gives_no_confusion(change):
    report = answered("angry", angry=60, happy=10, sad=30)
    assert advise(predict("angry"), report).confusion
    assert advise(predict("angry"), report | change).confusion == ""
    assert advise(predict("angry"), {}).confusion == ""


def test_a_model_of_one_class_has_no_second_and_no_confusion():
    report = {"labels": ["sad"], "confusion_matrix": [[50]]}
    assert advise(Prediction("sad", {"sad": 1.0}, 2.0, True, "PyTorch"), report).confusion == ""
    assert advise(Prediction("sad", {"sad": 1.0}, 2.0, False, "PyTorch"), report).summary.endswith(
        "“sad” (100%)."
    )


@each_language
@pytest.mark.parametrize("label", ["hopeful", "<b>{share}</b>", "{0.__class__}", "%s \\n }{", ""])
def test_a_label_without_phrases_is_only_text(language, label):
    phrases = PHRASES[language]
    sure = Prediction(label, {label: 0.9, "sad": 0.1}, 2.0, True, "PyTorch")
    report = {"labels": [label, "sad"], "confusion_matrix": [[50, 0], [50, 50]]}
    advice = advise(sure, report, language)
    assert f" {label}." in advice.summary
    assert label in advice.sounds_like and label in advice.confusion
    assert advice.suggestions == phrases["ask"]
    unsure = Prediction("sad", {label: 0.4, "sad": 0.6}, 2.0, False, "PyTorch")
    assert label in advise(unsure, report, language).summary


def test_changing_an_advice_changes_no_phrase():
    advise(predict("sad"), {}).suggestions.clear()
    assert advise(predict("sad"), {}).suggestions


@pytest.mark.parametrize("language", ["xx", "../phrases/en", "EN", ""])
def test_a_language_that_is_not_there_is_refused(language):
    with pytest.raises(KeyError):
        advise(predict(), {}, language)


UI = ROOT / "speech_emotion" / "ui"


def test_every_text_is_used_and_every_text_that_is_used_is_there():
    code = "\n".join(path.read_text() for path in [*UI.glob("*.py"), *UI.glob("static/*.js")])
    keys = set(PHRASES["en"]["labels"]) | set(PHRASES["en"]["page"])
    families = ("takes_", "gives_", "nav_", "zoom_", "lane_", "column_", "examples_", "sound_", "microphone_")
    unused = {
        key
        for key in keys
        if f'"{key}"' not in code and f"'{key}'" not in code and not key.startswith(families)
    }
    assert not unused - {"live_words"}
    asked = set(re.findall(r'(?:text|span|label|say|this\.say)\(\s*"([a-z_]+)"', code))
    assert asked - {"caution"} <= set(TEXTS["en"])


@each_language
def test_every_refusal_has_a_sentence(language):
    assert set(PHRASES[language]["refusals"]) == set(REFUSALS)


def test_a_refusal_of_the_library_is_said_in_the_language_of_the_page():
    assert refuse("The recording is longer than 60 minutes; send a part of it.", "de").startswith(
        "Diese Aufnahme ist länger als 60 Minuten."
    )
    assert refuse("There is only silence in this recording.", "de") == PHRASES["de"]["refusals"]["silent"]
    assert refuse("Something that nobody has translated.", "de") == "Something that nobody has translated."


def test_an_emotion_has_its_name_and_another_label_is_its_own():
    assert (emotion_name("disgust"), emotion_name("disgust", "de")) == ("disgusted", "angeekelt")
    assert emotion_name("smug", "de") == "smug"
    assert emotion_name("not sure", "de") == "nicht sicher"
    assert text("sounds", "de", emotion="wütend") == "Klingt wütend"


SAID = re.compile(
    r'AudioError\(\s*f?"([^"]+)"|^(?:SILENCE|NOBODY|_NOTHING|_DAMAGED) = "([^"]+)"', re.MULTILINE
)


def test_whatever_the_library_says_of_a_recording_is_said_in_german():
    code = "\n".join(
        path.read_text() for room in ("audio", "inference") for path in (UI.parent / room).glob("*.py")
    )
    sentences = [first or second for first, second in SAID.findall(code)]
    assert len(sentences) > 10
    not_of_the_page = (
        "A reference needs",
        "There is no recording in this row",
        "Nobody speaks in a recording for",
    )
    for sentence in sentences:
        if not sentence.startswith(not_of_the_page):
            assert refuse(sentence, "de") != sentence, sentence
