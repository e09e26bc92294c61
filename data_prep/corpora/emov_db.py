"""EmoV-DB: two women and two men read CMU Arctic sentences in five styles, non-commercial use.

Adigwe et al. (2018), https://arxiv.org/abs/1806.09514. A name is style, session range and sentence number;
the speaker is a folder above it, `bea/Amused/` or `bea_amused/`. Releases spell a style in two ways, and mix
sampling rates.
"""

import re
from pathlib import Path

from data_prep.schema import Clip, Rejected, lookup

NAME = "EmoV-DB"
HOMEPAGE = "https://openslr.org/115/"
LICENSE = "non-commercial use"
ALLOWS = "non-commercial use"
REDISTRIBUTABLE = False  # its terms speak of use, not of passing it on
CITATION = """\
@article{adigwe2018emovdb,
  author  = {Adigwe, Adaeze and Tits, No\\'e and El Haddad, Kevin and Ostadabbas, Sarah and Dutoit, Thierry},
  title   = {The Emotional Voices Database: Towards Controlling the Emotion Dimension in Voice Generation
             Systems},
  journal = {arXiv preprint arXiv:1806.09514},
  year    = {2018}
}"""

PATTERN = re.compile(r"([a-z]+)_(\d+-\d+)_(\d{4})")

GENDERS = {"bea": "female", "jenie": "female", "josh": "male", "sam": "male"}
EMOTIONS = {
    "amused": "amused",
    "anger": "anger",
    "angry": "anger",
    "disgust": "disgust",
    "neutral": "neutral",
    "sleepiness": "sleepiness",
    "sleepy": "sleepiness",
}


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read an EmoV-DB file name and its folders."""
    style, _session, sentence = match.groups()
    folders = [part for folder in path.parts[-3:-1] for part in folder.lower().split("_")]
    speaker = next((folder for folder in folders if folder in GENDERS), None)
    if speaker is None:
        raise Rejected("named like an EmoV-DB file, but no folder above it names the speaker")
    return Clip(
        path=path,
        id=f"emov_db-{speaker}-{match.group()}",
        corpus="emov_db",
        speaker=f"emov_db-{speaker}",
        source_emotion=lookup(EMOTIONS, style, "style"),
        gender=GENDERS[speaker],
        statement=sentence,
        language="en",
    )
