"""ASED: 65 volunteers speak Amharic sentences in five emotions, no licence stated.

Retta et al. (2023), https://doi.org/10.1145/3529759. A clip is in the corpus where at least five of eight
judges agreed on its emotion. A name is emotion, sentence, repetition, sex and speaker, as in
`a5-01-02-01-37`. Four speakers have both sex codes; each clip keeps the code of its own name.
"""

import re
from pathlib import Path

from data_prep.schema import Clip, lookup

NAME = "ASED"
HOMEPAGE = "https://github.com/Ethio2021/ASED_V1"
LICENSE = "none stated, openly distributed"
ALLOWS = "nothing stated"
REDISTRIBUTABLE = False  # without a licence, nobody may pass it on
CITATION = """\
@article{retta2023ased,
  author  = {Retta, Ephrem Afele and Almekhlafi, Eiad and Sutcliffe, Richard and Mhamed, Mustafa and
             Ali, Haider and Feng, Jun},
  title   = {A New {Amharic} Speech Emotion Dataset and Classification Benchmark},
  journal = {ACM Transactions on Asian and Low-Resource Language Information Processing},
  volume  = {22},
  number  = {1},
  year    = {2023},
  doi     = {10.1145/3529759}
}"""

PATTERN = re.compile(r"([a-z]\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")

EMOTIONS = {"a5": "angry", "f2": "fearful", "h3": "happy", "n1": "neutral", "s4": "sad"}
GENDERS = {"01": "female", "02": "male"}


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read the five codes of an ASED file name."""
    emotion, sentence, _repetition, sex, speaker = match.groups()
    return Clip(
        path=path,
        id=f"ased-{match.group()}",
        corpus="ased",
        speaker=f"ased-{speaker}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender=lookup(GENDERS, sex, "sex"),
        statement=sentence,
        language="am",
    )
