"""EYASE: six actors of an Egyptian television series in four emotions, footage of third parties.

Abdel-Hamid (2020), https://doi.org/10.1016/j.specom.2020.04.005. A name is emotion and number, as in `ang_1`;
the speaker is the folder, `Female01` to `Male03`.
"""

import re
from pathlib import Path

from data_prep.schema import Clip, Rejected, lookup

NAME = "EYASE"
HOMEPAGE = "https://doi.org/10.1016/j.specom.2020.04.005"
LICENSE = "none stated; footage of third parties"
ALLOWS = "nothing stated; the footage belongs to its makers"
REDISTRIBUTABLE = False  # the series belongs to its makers
CITATION = """\
@article{abdelhamid2020eyase,
  author  = {Abdel-Hamid, Lamiaa},
  title   = {Egyptian {Arabic} speech emotion recognition using prosodic, spectral and wavelet features},
  journal = {Speech Communication},
  volume  = {122},
  pages   = {19--30},
  year    = {2020},
  doi     = {10.1016/j.specom.2020.04.005}
}"""

PATTERN = re.compile(r"(ang|hap|neu|sad)_(\d+)")
SPEAKER = re.compile(r"(female|male)(\d\d)")

EMOTIONS = {"ang": "anger", "hap": "happiness", "neu": "neutral", "sad": "sadness"}


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read an EYASE file name and its folder."""
    emotion, number = match.groups()
    speaker = SPEAKER.fullmatch(path.parent.name.lower())
    if speaker is None:
        raise Rejected("named like an EYASE file, but its folder does not name the speaker")
    return Clip(
        path=path,
        id=f"eyase-{speaker.group()}-{match.group()}",
        corpus="eyase",
        speaker=f"eyase-{speaker.group()}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender=speaker[1],
        statement=number,
        language="ar-EG",
    )
