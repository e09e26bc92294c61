"""The label policy: every emotion word a corpus uses, and what becomes of it in each label scheme.

This table is the only place where a label is mapped or dropped. A scheme is a column: `core8` has the eight
emotions that the acted corpora share, `emov5` the five of EmoV-DB, `extended` every emotion of every corpus.
None in a column drops the clip in that scheme; `why` is the reason.

A user may bring another scheme: `own`, where each word is its own label, or labels by word.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SCHEMES = {
    "core8": ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised"),
    "emov5": ("amused", "angry", "disgust", "neutral", "sleepy"),
    "extended": (
        "amused", "angry", "bored", "breath", "calm", "disappointed", "disgust", "excited",
        "fearful", "happy", "neutral", "pain", "pleasure", "sad", "sleepy", "surprised",
    ),
}  # fmt: skip

PLAIN = ("neutral", "calm")  # how people talk without a marked emotion
OWN = "own"  # the scheme where each word is its own label
Scheme = str | Mapping[str, str]  # a key of `SCHEMES`, `OWN`, or labels by word; "" drops the clip
MOST_LABELS, LONGEST_LABEL = 50, 40  # of a set; characters of one
MARKUP = set("<>&\"'`")  # which pages and tables read as their own
# Other words that tables and answers use next to the labels.
RESERVED = {
    "confidence", "damage", "emotion", "end", "error", "file", "label", "mixed", "no label", "not sure",
    "seconds", "start", "sure", "utterances",
}  # fmt: skip


class Rule(NamedTuple):
    """One row of the policy: a corpus's own word and its label in each scheme (None: dropped)."""

    word: str
    core8: str | None
    emov5: str | None
    extended: str | None
    why: str


_NOT_IN_EMOV = "not among EmoV-DB's five, and none of the five means it"

POLICY = {
    rule.word: rule
    for rule in (
        Rule("angry", "angry", "angry", "angry",
             "same word (RAVDESS, TESS, ASVP-ESD, ASED, TurEV-DB, BanglaSER)"),
        Rule("anger", "angry", "angry", "angry",
             "the noun for angry (CREMA-D, SAVEE, EmoV-DB, EMOVO, EYASE, EMO-DB, MELD)"),
        Rule("calm", "calm", None, "calm",
             "RAVDESS's second baseline, next to neutral, and TurEV-DB's only one, sakin: a voice at rest; "
             f"{_NOT_IN_EMOV}"),
        Rule("disgust", "disgust", "disgust", "disgust",
             "same word (RAVDESS, TESS, CREMA-D, SAVEE, EmoV-DB, ASVP-ESD, EMOVO, EMO-DB, BanglaSER's "
             "extension)"),
        Rule("fearful", "fearful", None, "fearful", f"same word (RAVDESS, ASVP-ESD, ASED); {_NOT_IN_EMOV}"),
        Rule("fear", "fearful", None, "fearful",
             "the noun (CREMA-D, TESS, SAVEE, EMOVO, BanglaSER's extension, MELD; EMO-DB's Angst is also "
             f"anxiety); {_NOT_IN_EMOV}"),
        Rule("happy", "happy", None, "happy",
             "same word; dropped in emov5: EmoV-DB's amused is speech with laughter, acted joy is not"),
        Rule("happiness", "happy", None, "happy",
             "the noun for happy (SAVEE, EYASE, EMO-DB); dropped in emov5 as happy is"),
        Rule("joy", "happy", None, "happy",
             "MELD's and EMOVO's word for happiness; dropped in emov5 as happy is"),
        Rule("neutral", "neutral", "neutral", "neutral", "same word in every corpus that has it"),
        Rule("sad", "sad", None, "sad",
             f"same word (RAVDESS, TESS, CREMA-D, ASVP-ESD, ASED, TurEV-DB, BanglaSER); {_NOT_IN_EMOV}"),
        Rule("sadness", "sad", None, "sad",
             f"the noun for sad (SAVEE, EMOVO, EYASE, EMO-DB, MELD); {_NOT_IN_EMOV}"),
        Rule("surprised", "surprised", None, "surprised", f"same word (RAVDESS, ASVP-ESD); {_NOT_IN_EMOV}"),
        Rule("surprise", "surprised", None, "surprised",
             f"the noun (SAVEE, EMOVO, BanglaSER, MELD); {_NOT_IN_EMOV}"),
        Rule("pleasant surprise", "surprised", None, "surprised",
             f"TESS acts only the pleasant kind, the others either kind; {_NOT_IN_EMOV}"),
        Rule("amused", "happy", "amused", "amused",
             "EmoV-DB's speech with laughter; in core8 amusement is the expressed joy nearest to happy"),
        Rule("sleepiness", None, "sleepy", "sleepy",
             "EmoV-DB's yawning speech: a state of the body, so no emotion of core8 stands for it"),
        Rule("boredom", None, None, "bored",
             f"ASVP-ESD, EMO-DB; neutral would hide its low arousal; {_NOT_IN_EMOV}"),
        Rule("excited", "happy", None, "excited",
             f"ASVP-ESD; merged into happy as is usual with IEMOCAP's excited; {_NOT_IN_EMOV}"),
        Rule("pleasure", None, None, "pleasure", f"ASVP-ESD; mostly wordless sounds; {_NOT_IN_EMOV}"),
        Rule("pain", None, None, "pain",
             f"ASVP-ESD, EmoGator; a sensation, not one of the eight; {_NOT_IN_EMOV}"),
        Rule("disappointed", None, None, "disappointed",
             "ASVP-ESD, EmoGator, IndoWaveSentiment; between sad, angry and neutral: no published mapping; "
             f"{_NOT_IN_EMOV}"),
        Rule("breath", None, None, "breath", "ASVP-ESD; breathing expresses none of the eight or the five"),
    )
}  # fmt: skip


def map_label(word: str, scheme: Scheme = "core8") -> str | None:
    """Return the label of an emotion word in a scheme.

    Args:
        word: a corpus's own word, a key of `POLICY` where the scheme is one of `SCHEMES`.
        scheme: a key of `SCHEMES`, `OWN`, or labels by word.

    Returns:
        A label, or None where the scheme drops the word.

    Raises:
        KeyError: the word or the scheme is not in the policy.

    >>> map_label("pleasant surprise"), map_label("sleepiness"), map_label("sleepiness", "emov5")
    ('surprised', None, 'sleepy')
    >>> map_label("bored", "own"), map_label("bored", {"bored": "tired"}), map_label("sad", {"bored": "dull"})
    ('bored', 'tired', None)
    """
    if isinstance(scheme, Mapping):
        return scheme.get(word) or None
    if scheme == OWN:
        return word
    if scheme not in SCHEMES:
        raise KeyError(f"unknown label scheme {scheme!r}; known: {', '.join(SCHEMES)}, {OWN}")
    if word not in POLICY:
        raise KeyError(f"the label policy has no row for {word!r}")
    return getattr(POLICY[word], scheme)


def follows_policy(scheme: Scheme) -> bool:
    """Return whether a scheme is a column of the policy, not a user's own."""
    return isinstance(scheme, str) and scheme in SCHEMES


def list_labels(scheme: Scheme, found: Iterable[str]) -> tuple[str, ...]:
    """Return a scheme's labels in the order of a model's outputs.

    Args:
        scheme: as in `map_label`.
        found: the labels of the clips, which are the set where the scheme is a user's own.

    Raises:
        ValueError: they make no set of labels; the message is a clause that says why.
    """
    if follows_policy(scheme):
        return SCHEMES[scheme]
    labels = tuple(sorted(set(found)))
    check_labels(labels)
    return labels


def check_labels(labels: Sequence[str]) -> None:
    """Refuse names that are not 2 to 50 different short words.

    Raises:
        ValueError: they are not; the message is a clause that says why.
    """
    if not 2 <= len(labels) <= MOST_LABELS:
        raise ValueError(f"it has {len(labels)} labels, and there must be 2 to {MOST_LABELS}")
    for label in labels:
        word = isinstance(label, str) and label.isprintable() and label[:1].isalnum()
        if not word or set(label) & MARKUP:
            raise ValueError(f"its label {label!r} is no word")
        if len(label) > LONGEST_LABEL:
            raise ValueError(
                f"its label {label[:LONGEST_LABEL]!r}... is longer than {LONGEST_LABEL} characters"
            )
        if label.lower() in RESERVED:
            raise ValueError(f"its label {label!r} means something else in tables")
    if len(set(labels)) < len(labels):
        raise ValueError(f"its labels are not all different: {', '.join(labels)}")
