"""BanglaSER: 34 amateurs speak three Bangla sentences in five emotions, CC BY 4.0.

Das et al. (2022), https://doi.org/10.1016/j.dib.2022.108091. A name has the seven codes of a RAVDESS name
with other meanings: mode, type, emotion, intensity, sentence, repetition, actor (odd: male, even: female). By
the paper, anger and surprise are always strong, and the other emotions always normal; `fits` tells names
apart by it.
"""

import re
from pathlib import Path

from data_prep.schema import Clip, Rejected, lookup

NAME = "BanglaSER"
HOMEPAGE = "https://data.mendeley.com/datasets/t9h6p943xy/5"
LICENSE = "CC BY 4.0"
ALLOWS = "any use, with attribution"
REDISTRIBUTABLE = True  # converted, too: with attribution
CITATION = """\
@article{das2022banglaser,
  author  = {Das, Rakesh Kumar and Islam, Nahidul and Ahmed, Md. Rayhan and Islam, Salekul and
             Shatabda, Swakkhar and Islam, A. K. M. Muzahidul},
  title   = {{BanglaSER}: A speech emotion recognition dataset for the {Bangla} language},
  journal = {Data in Brief},
  volume  = {42},
  pages   = {108091},
  year    = {2022},
  doi     = {10.1016/j.dib.2022.108091}
}"""

PATTERN = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")

EMOTIONS = {"01": "happy", "02": "sad", "03": "angry", "04": "surprise", "05": "neutral"}
INTENSITIES = {"01": "normal", "02": "strong"}
STRONG = ("03", "04")
ACTORS = range(1, 35)


def fits(_path: Path, match: re.Match) -> bool:
    """Return whether every code of a name is one that BanglaSER uses, in a combination that it has."""
    _mode, kind, emotion, intensity, sentence, repetition, actor = match.groups()
    return (
        kind == "01"
        and emotion in EMOTIONS
        and intensity == ("02" if emotion in STRONG else "01")
        and sentence in ("01", "02", "03")
        and repetition in ("01", "02", "03")
        and int(actor) in ACTORS
    )


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read the seven codes of a BanglaSER file name."""
    _mode, _kind, emotion, intensity, sentence, _repetition, actor = match.groups()
    if int(actor) not in ACTORS:
        raise Rejected(f"unknown actor code {actor!r} in the file name")
    return Clip(
        path=path,
        id=f"banglaser-{match.group()}",
        corpus="banglaser",
        speaker=f"banglaser-{actor}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender="male" if int(actor) % 2 else "female",
        intensity=lookup(INTENSITIES, intensity, "intensity"),
        statement=sentence,
        language="bn",
    )
