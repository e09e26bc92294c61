"""EMO-DB, the Berlin database: ten actors, ten German sentences, seven emotions, free to download.

Burkhardt et al. (2005), http://emodb.bilderbar.info/. A name is speaker, sentence, the first letter of the
German word for the emotion, and a letter for the version, as in `03a01Fa` (F is Freude, joy).
"""

import re
from pathlib import Path

from data_prep.schema import Clip, lookup

NAME = "EMO-DB"
HOMEPAGE = "http://emodb.bilderbar.info/"
LICENSE = "none stated, openly distributed"
ALLOWS = "nothing stated"
REDISTRIBUTABLE = False  # without a licence, nobody may pass it on
CITATION = """\
@inproceedings{burkhardt2005emodb,
  author    = {Burkhardt, Felix and Paeschke, Astrid and Rolfes, Miriam and Sendlmeier, Walter F. and
               Weiss, Benjamin},
  title     = {A Database of {German} Emotional Speech},
  booktitle = {Interspeech},
  pages     = {1517--1520},
  year      = {2005},
  doi       = {10.21437/Interspeech.2005-446}
}"""

PATTERN = re.compile(r"(\d\d)([ab]\d\d)([a-z])([a-z]?)")

EMOTIONS = {
    "w": "anger",  # Wut
    "l": "boredom",  # Langeweile
    "e": "disgust",  # Ekel
    "a": "fear",  # Angst
    "f": "happiness",  # Freude
    "t": "sadness",  # Trauer
    "n": "neutral",
}
SPEAKERS = {
    "03": ("male", 31),
    "08": ("female", 34),
    "09": ("female", 21),
    "10": ("male", 32),
    "11": ("male", 26),
    "12": ("male", 30),
    "13": ("female", 32),
    "14": ("female", 35),
    "15": ("male", 25),
    "16": ("female", 31),
}
STATEMENTS = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read speaker, sentence and emotion from an EMO-DB file name."""
    speaker, sentence, emotion, _version = match.groups()
    gender, age = lookup(SPEAKERS, speaker, "speaker")
    return Clip(
        path=path,
        id=f"emo_db-{match.group()}",
        corpus="emo_db",
        speaker=f"emo_db-{speaker}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender=gender,
        age=age,
        statement=lookup(STATEMENTS, sentence, "sentence"),
        language="de",
    )
