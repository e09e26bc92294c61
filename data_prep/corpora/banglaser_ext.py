"""BanglaSER's extension: 15 more amateurs, disgust and fear only, no licence stated.

Names have the seven codes of BanglaSER (`data_prep/corpora/banglaser.py`): emotion 06 is disgust and 07 fear,
sentences are 04 and 05, actors 35 and up, and each emotion has three intensities without names. The emotion
codes are those of the extension's own list; RAVDESS uses 06 for fear and 07 for disgust.
"""

import re
from pathlib import Path

from data_prep.corpora import banglaser
from data_prep.schema import Clip, Rejected, lookup

NAME = "BanglaSER extension"
HOMEPAGE = banglaser.HOMEPAGE
LICENSE = "none stated"
ALLOWS = "nothing stated"
REDISTRIBUTABLE = False  # without a licence, nobody may pass it on
CITATION = banglaser.CITATION

PATTERN = banglaser.PATTERN

EMOTIONS = {"06": "disgust", "07": "fear"}
INTENSITIES = {"01": "01", "02": "02", "03": "03"}
SENTENCES = ("04", "05")
FIRST_ACTOR = 35


def fits(_path: Path, match: re.Match) -> bool:
    """Return whether the codes of a name are those of the extension."""
    _mode, _kind, emotion, intensity, sentence, repetition, actor = match.groups()
    return (
        emotion in EMOTIONS
        and intensity in INTENSITIES
        and sentence in SENTENCES
        and repetition in ("01", "02", "03")
        and int(actor) >= FIRST_ACTOR
    )


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read the seven codes of a name of the extension."""
    _mode, _kind, emotion, intensity, sentence, _repetition, actor = match.groups()
    if int(actor) < FIRST_ACTOR:
        raise Rejected(f"unknown actor code {actor!r} in the file name")
    return Clip(
        path=path,
        id=f"banglaser_ext-{match.group()}",
        corpus="banglaser_ext",
        speaker=f"banglaser_ext-{actor}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender="male" if int(actor) % 2 else "female",
        intensity=lookup(INTENSITIES, intensity, "intensity"),
        statement=sentence,
        language="bn",
    )
