"""What a voice may express, in plain sentences, for whoever finds a tone of voice hard to read.

Every text stands in `phrases/`, one JSON file per language: a copy of `en.json` with translated texts is
another language. `sentences` are filled by name: {emotion} and {other} with the `name` of an emotion, {share}
with a whole number of percent. What a voice often sounds like follows reviews of vocal expression: Juslin and
Laukka (2003), Scherer (2003), and for positive emotions Kamiloğlu, Fischer and Sauter (2020).

Nothing here says what a person feels: a sentence is about a voice, about what it may express and how often
the model is wrong, and a suggestion is something to say or ask.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from speech_emotion.inference.prediction import Prediction

SURE_CONFIDENCE = 0.8  # from here on "sure", below it "fairly sure"
LEAST_CONFUSED_SHARE = 0.1  # of an answer's test clips, for a confusion to be worth a sentence
LEAST_CONFUSED_CLIPS = 5  # fewer may be chance

PHRASES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "phrases").glob("*.json"))
}
LANGUAGES = {code: phrases["language"] for code, phrases in PHRASES.items()}  # their own names by code


@dataclass(frozen=True)
class Advice:
    """Plain text about one clip, in one language; labels in it are not escaped.

    Attributes:
        summary: what the voice may express and how sure the model is.
        sounds_like: how such a voice often sounds, to compare by ear.
        confusion: what the model mixes the answer up with; empty where nothing is known or worth saying.
        suggestions: what one could say or ask next.
        caution: that a voice alone does not tell what somebody feels.
    """

    summary: str
    sounds_like: str
    confusion: str
    suggestions: list[str]
    caution: str


def headings(language: str = "en") -> dict[str, str]:
    """Give the headings of an advice's parts, by their names; its `caution` has none."""
    return PHRASES[language]["headings"]


def describe(prediction: Prediction, report: dict, language: str = "en") -> Advice:
    """Put a prediction into words.

    A model that is not sure names its two likeliest answers, and the suggestions are to ask; so they are for
    a label that the phrases do not know.

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

    summary = [sentences[degree].format(emotion=_name(phrases, label), share=_percent(prediction.confidence))]
    if second is not None and degree != "sure":
        share = _percent(prediction.probabilities[second])
        summary.append(sentences["second"].format(other=_name(phrases, second), share=share))
    if prediction.sure and label in known:
        summary.append(known[label]["may_express"])

    heard = [label] if prediction.sure or second is None else [label, second]
    return Advice(
        summary=" ".join(summary),
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
    """Find what clips with this answer most often really were, when it was something else.

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
    """Name the sentence that says how sure the model is."""
    if not prediction.sure:
        return "not_sure"
    return "sure" if prediction.confidence >= SURE_CONFIDENCE else "fairly_sure"


def _second(prediction: Prediction) -> str | None:
    """Give the likeliest label but for the answer."""
    others = [label for label in prediction.probabilities if label != prediction.label]
    return max(others, key=prediction.probabilities.get, default=None)


def _name(phrases: dict, label: str) -> str:
    """Give an emotion's name; an unknown one goes by its label."""
    return phrases["emotions"][label]["name"] if label in phrases["emotions"] else label


def _percent(share: float) -> str:
    """Write a share of 1 as a whole number of percent, rounded as the bars beside it are."""
    return f"{100 * share:.0f}"
