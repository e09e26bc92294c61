"""The label policy: every emotion word a corpus uses, and what becomes of it in each label scheme.

This table is the only place where a label is mapped or dropped. A scheme is a column: `core8` has the eight
emotions that the acted corpora share, `emov5` the five of EmoV-DB, `extended` every emotion of every corpus.
None in a column drops the clip in that scheme; `why` is the reason.
"""

from typing import NamedTuple

SCHEMES = {
    "core8": ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised"),
    "emov5": ("amused", "angry", "disgust", "neutral", "sleepy"),
    "extended": (
        "amused", "angry", "bored", "breath", "calm", "disappointed", "disgust", "excited",
        "fearful", "happy", "neutral", "pain", "pleasure", "sad", "sleepy", "surprised",
    ),
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
             "RAVDESS's second baseline beside neutral, and TurEV-DB's only one, sakin: a voice at rest; "
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


def map_label(word: str, scheme: str = "core8") -> str | None:
    """Return the label of a corpus's own emotion word in a scheme.

    Args:
        word: a corpus's own word, a key of `POLICY`.
        scheme: a key of `SCHEMES`.

    Returns:
        A label of `SCHEMES[scheme]`, or None where the policy drops the word in that scheme.

    Raises:
        KeyError: the word or the scheme is not in the policy.

    >>> map_label("pleasant surprise"), map_label("sleepiness"), map_label("sleepiness", "emov5")
    ('surprised', None, 'sleepy')
    """
    if scheme not in SCHEMES:
        raise KeyError(f"unknown label scheme {scheme!r}; known: {', '.join(SCHEMES)}")
    if word not in POLICY:
        raise KeyError(f"the label policy has no row for {word!r}")
    return getattr(POLICY[word], scheme)
