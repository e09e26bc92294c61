"""TESS: two women, 200 words in the carrier phrase "Say the word ...", CC BY-NC-ND 4.0.

Pichora-Fuller & Dupuis (2020), https://doi.org/10.5683/SP2/E8H2MF. A name is speaker, word, emotion. The
emotion is read from the name, because folder names differ between releases; one published file is misnamed
`OA_bite_neutral`.
"""

import re
from pathlib import Path

from data_prep.schema import Clip, lookup

NAME = "TESS"
HOMEPAGE = "https://doi.org/10.5683/SP2/E8H2MF"
LICENSE = "CC BY-NC-ND 4.0"
ALLOWS = "non-commercial use; no adaptations passed on"
# The licence allows a change of format, but a resampled clip may be a derivative.
REDISTRIBUTABLE = False
CITATION = """\
@data{pichorafuller2020tess,
  author    = {Pichora-Fuller, M. Kathleen and Dupuis, Kate},
  title     = {Toronto emotional speech set ({TESS})},
  publisher = {Borealis},
  year      = {2020},
  doi       = {10.5683/SP2/E8H2MF}
}"""

PATTERN = re.compile(r"(oaf|oa|yaf)_([a-z]+)_([a-z]+)")

AGES = {"oaf": 64, "yaf": 26}
EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "pleasant surprise",
    "sad": "sad",
}


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read speaker, word and emotion from a TESS file name."""
    speaker, word, emotion = match.groups()
    speaker = "oaf" if speaker == "oa" else speaker
    return Clip(
        path=path,
        id=f"tess-{speaker}_{word}_{emotion}",
        corpus="tess",
        speaker=f"tess-{speaker.upper()}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender="female",
        age=AGES[speaker],
        statement=f"Say the word {word}",
        language="en",
    )
