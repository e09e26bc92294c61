"""Every word that a visitor reads, in every language, and the advice for a conversation.

The texts are in `phrases/`, one JSON file per language. A copy of `en.json` with translated texts adds a
language. `labels` are buttons and headings, `page` holds whole sentences, `refusals` say why a recording has
no answer, `practice` has lines to say, and `sentences` are filled by name: {emotion} and {other} with the
`name` of an emotion, {share} with a whole number of percent. What a voice often sounds like follows reviews
of vocal expression: Juslin and Laukka (2003), Scherer (2003), and for positive emotions Kamiloğlu, Fischer
and Sauter (2020).

Nothing here says what a person feels: a sentence is about a voice, about what it may express and how often
the model is wrong, and a suggestion is something to say or ask.
"""

import json
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from speech_emotion.inference.prediction import NOT_SURE, Prediction

SURE_CONFIDENCE = 0.8  # from here on "sure", below it "fairly sure"
LEAST_CONFUSED_SHARE = 0.1  # of an answer's test clips, for a confusion to be worth a sentence
LEAST_CONFUSED_CLIPS = 5  # fewer may be chance

PHRASES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "phrases").glob("*.json"))
}
LANGUAGES = {code: phrases["language"] for code, phrases in PHRASES.items()}  # their own names by code
TEXTS = {
    code: phrases["labels"]
    | phrases["page"]
    | {f"emotion_{label}": words["name"] for label, words in phrases["emotions"].items()}
    for code, phrases in PHRASES.items()
}

# Patterns that tell what the library's sentences are about, in the order in which they are tried.
REFUSALS = {
    "part": r"are left out",
    "silent": r"only silence|silent",
    "nobody": r"[Nn]obody speaks",
    "long": r"longer than",
    "large": r"larger than",
    "empty": r"is empty",
    "pointer": r"Git LFS",
    "not_audio": r"not audio",
    "damaged": r"damaged|too small to be read",
    "no_sound": r"no sound",
    "unread": r"cannot be read|is not a file|failed on the recording",
    "rate": r"samples a second",
    "channels": r"channels",
    "loading": r"still being loaded",
    "no_model": r"cannot be loaded",
}
_NUMBER = re.compile(r"\d[\d.,]*\d|\d")


@dataclass(frozen=True)
class Advice:
    """Plain text about one clip, in one language; labels in it are not escaped.

    Attributes:
        summary: what the voice may express and how sure the model is.
        may_express: the part of the summary about the voice; empty where the model is not sure.
        second: the second most likely answer in a sentence; empty where the model is sure.
        sounds_like: how such a voice often sounds, to compare by ear.
        confusion: what the model mixes the answer up with; empty where nothing is known or worth saying.
        suggestions: what one could say or ask next.
        caution: that a voice alone does not tell what somebody feels.
    """

    summary: str
    may_express: str
    second: str
    sounds_like: str
    confusion: str
    suggestions: list[str]
    caution: str


def headings(language: str = "en") -> dict[str, str]:
    """Return the headings of an advice's parts, by their names; its `caution` has none."""
    return PHRASES[language]["headings"]


def text(key: str, language: str = "en", **values: object) -> str:
    """Return a label or a sentence of the page in a language, its placeholders filled; not escaped."""
    return TEXTS[language][key].format(**values)


def span(key: str, tag: str = "span", attributes: str = "") -> str:
    """Render a fixed text as an element whose words the browser changes with the language."""
    return f"<{tag} data-t='{key}'{attributes and ' ' + attributes}>{escape(TEXTS['en'][key])}</{tag}>"


def emotion_name(label: str, language: str = "en") -> str:
    """Return an emotion's name in a language; a label that the phrases do not know is its own name."""
    if label == NOT_SURE:
        return TEXTS[language]["not_sure"].lower()
    return _name(PHRASES[language], label)


def refuse(sentence: str, language: str = "en") -> str:
    """Return why a recording has no answer, in plain words of a language.

    Args:
        sentence: what the library raised, in English.
        language: a key of `LANGUAGES`.

    Returns:
        The language's own sentence about the same; the library's where it is about something new.
    """
    for kind, pattern in REFUSALS.items():
        if re.search(pattern, sentence):
            number = _NUMBER.search(sentence)
            return PHRASES[language]["refusals"][kind].format(number=number[0] if number else "")
    return sentence


def advise(prediction: Prediction, report: dict, language: str = "en") -> Advice:
    """Describe a prediction in words.

    If the model is not sure, the text names its two most probable answers and suggests to ask. It also
    suggests to ask about a label that the phrases do not know.

    Args:
        prediction: of one clip.
        report: the model's `report.json`; {} where it has none.
        language: a key of `LANGUAGES`.

    Raises:
        KeyError: there is no such language.
    """
    phrases = PHRASES[language]
    sentences, known = phrases["sentences"], phrases["emotions"]
    label, second = prediction.label, _second(prediction)
    degree = _degree(prediction)

    first = sentences[degree].format(emotion=_name(phrases, label), share=_percent(prediction.confidence))
    other = may_express = ""
    if second is not None and degree != "sure":
        share = _percent(prediction.probabilities[second])
        other = sentences["second"].format(other=_name(phrases, second), share=share)
    if prediction.sure and label in known:
        may_express = known[label]["may_express"]

    heard = [label] if prediction.sure or second is None else [label, second]
    return Advice(
        summary=" ".join(filter(None, [first, other, may_express])),
        may_express=may_express,
        second=other,
        sounds_like=" ".join(
            known[each]["sounds_like"] if each in known else sentences["unknown"].format(emotion=each)
            for each in heard
        ),
        confusion=_confusion(prediction, report, phrases) if prediction.sure else "",
        suggestions=list(
            known[label]["suggestions"] if prediction.sure and label in known else phrases["ask"]
        ),
        caution=sentences["caution"],
    )


def most_confused(label: str, labels: list[str], matrix: list[list[int]]) -> tuple[str, float] | None:
    """Return the label that was most often right when this answer was wrong.

    Args:
        label: the answer, one of `labels`.
        labels: the matrix's, in its order.
        matrix: counts of clips, rows the true label, columns the answer.

    Returns:
        The other label, the first of equals, and its share of the clips with this answer, 0..1; None where
        it is too rare to be worth a sentence.
    """
    column = labels.index(label)
    answered = {truth: row[column] for truth, row in zip(labels, matrix, strict=True)}
    wrong = {truth: clips for truth, clips in answered.items() if truth != label}
    other = max(wrong, key=wrong.get, default=None)
    if other is None or wrong[other] < LEAST_CONFUSED_CLIPS:
        return None
    share = wrong[other] / sum(answered.values())
    return (other, share) if share >= LEAST_CONFUSED_SHARE else None


def _confusion(prediction: Prediction, report: dict, phrases: dict) -> str:
    labels, matrix = report.get("labels"), report.get("confusion_matrix")
    if not matrix or labels != list(prediction.probabilities):
        return ""
    found = most_confused(prediction.label, labels, matrix)
    if found is None:
        return ""
    other, share = found
    return phrases["sentences"]["confusion"].format(
        emotion=_name(phrases, prediction.label), other=_name(phrases, other), share=_percent(share)
    )


def _degree(prediction: Prediction) -> str:
    """Return the key of the sentence that says how sure the model is."""
    if not prediction.sure:
        return "not_sure"
    return "sure" if prediction.confidence >= SURE_CONFIDENCE else "fairly_sure"


def _second(prediction: Prediction) -> str | None:
    """Return the most probable label after the answer."""
    others = [label for label in prediction.probabilities if label != prediction.label]
    return max(others, key=prediction.probabilities.get, default=None)


def _name(phrases: dict, label: str) -> str:
    """Return an emotion's name; an unknown label is its own name."""
    return phrases["emotions"][label]["name"] if label in phrases["emotions"] else label


def _percent(share: float) -> str:
    """Return a share of 1 as a whole number of percent, rounded as the bars are."""
    return f"{100 * share:.0f}"
