"""EMOVO: three women and three men act 14 Italian sentences in seven emotions, no licence stated.

Costantini, Iadarola, Paoloni and Todisco (2014), https://aclanthology.org/L14-1478/. A name is emotion,
speaker (`f1` to `f3` are women, `m1` to `m3` men) and sentence, as in `gio-f1-b1`.
"""

import re
from pathlib import Path

from data_prep.schema import Clip, lookup

NAME = "EMOVO"
HOMEPAGE = "http://voice.fub.it/activities/corpora/emovo/index.html"
LICENSE = "none stated, openly distributed"
ALLOWS = "nothing stated"
REDISTRIBUTABLE = False  # without a licence, nobody may pass it on
CITATION = """\
@inproceedings{costantini2014emovo,
  author    = {Costantini, Giovanni and Iadarola, Iacopo and Paoloni, Andrea and Todisco, Massimiliano},
  title     = {{EMOVO} Corpus: an {Italian} Emotional Speech Database},
  booktitle = {Proceedings of the Ninth International Conference on Language Resources and Evaluation
               ({LREC'14})},
  pages     = {3501--3504},
  year      = {2014}
}"""

PATTERN = re.compile(r"([a-z]{3})-([fm][1-3])-([bdln]\d)")

EMOTIONS = {
    "dis": "disgust",
    "gio": "joy",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
GENDERS = {"f": "female", "m": "male"}


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read emotion, speaker and sentence from an EMOVO file name."""
    emotion, speaker, sentence = match.groups()
    return Clip(
        path=path,
        id=f"emovo-{match.group()}",
        corpus="emovo",
        speaker=f"emovo-{speaker}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender=GENDERS[speaker[0]],
        statement=sentence,
        language="it",
    )
