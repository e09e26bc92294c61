"""SAVEE: four men of 27 to 31 years, 120 sentences each, for research only, no redistribution.

Jackson & Haq (2014), http://kahlan.eps.surrey.ac.uk/savee/. A name is an emotion letter and the sentence's
number, with the speaker before it (`DC_a01`) or as the folder it lies in (`DC/a01`).
"""

import re
from pathlib import Path

from data_prep.schema import Clip, Rejected, lookup

NAME = "SAVEE"
HOMEPAGE = "http://kahlan.eps.surrey.ac.uk/savee/"
LICENSE = "research only"
ALLOWS = "research; nothing passed on"
REDISTRIBUTABLE = False  # its site hands it out to people who register
CITATION = """\
@techreport{jackson2014savee,
  author      = {Jackson, Philip and Haq, Sanaul},
  title       = {Surrey Audio-Visual Expressed Emotion ({SAVEE}) database},
  institution = {University of Surrey},
  year        = {2014},
  url         = {http://kahlan.eps.surrey.ac.uk/savee/}
}"""

PATTERN = re.compile(r"(?:(dc|je|jk|kl)_)?(a|d|f|h|n|sa|su)(\d\d)")

SPEAKERS = ("dc", "je", "jk", "kl")
EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read speaker, emotion and sentence number from a SAVEE file name."""
    speaker, emotion, number = match.groups()
    speaker = speaker or path.parent.name.lower()
    if speaker not in SPEAKERS:
        raise Rejected("named like a SAVEE file, but neither its name nor its folder names the speaker")
    return Clip(
        path=path,
        id=f"savee-{speaker}_{emotion}{number}",
        corpus="savee",
        speaker=f"savee-{speaker.upper()}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender="male",
        statement=f"{emotion}{number}",
        language="en",
    )
