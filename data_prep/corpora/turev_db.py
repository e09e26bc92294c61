"""TurEV-DB: six amateur actors speak 82 Turkish words in four emotions, CC BY-NC-ND 4.0.

Canpolat, Ormanoğlu and Zeyrek (2020), https://aclanthology.org/2020.sltu-1.52/. A name is speaker, emotion
and word, as in `1157_kz_acik`. The corpus does not state who is a woman or a man.
"""

import re
from pathlib import Path

from data_prep.schema import Clip, lookup

NAME = "TurEV-DB"
HOMEPAGE = "https://github.com/Xeonen/TurEV-DB"
LICENSE = "CC BY-NC-ND 4.0"
ALLOWS = "non-commercial use; no adaptations passed on"
REDISTRIBUTABLE = False  # resampled clips may be derivatives, which nobody may share
CITATION = """\
@inproceedings{canpolat2020turev,
  author    = {Canpolat, Salih Firat and Ormano{\\u{g}}lu, Zuhal and Zeyrek, Deniz},
  title     = {{Turkish} Emotion Voice Database ({TurEV-DB})},
  booktitle = {Proceedings of the 1st Joint Workshop on Spoken Language Technologies for Under-resourced
               languages and Collaboration and Computing for Under-Resourced Languages},
  pages     = {368--375},
  year      = {2020}
}"""

PATTERN = re.compile(r"(\d{4})_([a-z]{2})_([a-z]+\d?)")

EMOTIONS = {"hl": "sad", "kz": "angry", "mt": "happy", "sk": "calm"}  # of the Turkish words


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read speaker, emotion and word from a TurEV-DB file name."""
    speaker, emotion, word = match.groups()
    return Clip(
        path=path,
        id=f"turev_db-{match.group()}",
        corpus="turev_db",
        speaker=f"turev_db-{speaker}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        statement=word,
        language="tr",
    )
