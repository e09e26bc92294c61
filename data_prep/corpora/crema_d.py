"""CREMA-D: 91 actors, 12 sentences, the actor's intent and what listeners heard, Open Database License.

Cao et al. (2014), https://doi.org/10.1109/TAFFC.2014.2336244; columns of the tables as its readme defines
them. A name is actor, sentence, emotion, level. Six published clips are left out (`FAULTS`);
`1013_WSI_DIS_XX`, one of them, is `1013_WSI_SAD_XX` under another name, which stays. The tables lie next to
the recordings or their folders `AudioWAV/` and `AudioMP3/`; whichever of them is missing leaves its columns
empty.
"""

import csv
import re
from functools import cache
from pathlib import Path

from data_prep.schema import Clip, Rejected, lookup

NAME = "CREMA-D"
HOMEPAGE = "https://github.com/CheyneyComputerScience/CREMA-D"
LICENSE = "Open Database License"
ALLOWS = "any use; adaptations of the database under the same licence"
REDISTRIBUTABLE = True  # with attribution, under the same licence
CITATION = """\
@article{cao2014cremad,
  author  = {Cao, Houwei and Cooper, David G. and Keutmann, Michael K. and Gur, Ruben C. and
             Nenkova, Ani and Verma, Ragini},
  title   = {{CREMA-D}: Crowd-Sourced Emotional Multimodal Actors Dataset},
  journal = {IEEE Transactions on Affective Computing},
  volume  = {5},
  number  = {4},
  pages   = {377--390},
  year    = {2014},
  doi     = {10.1109/TAFFC.2014.2336244}
}"""

PATTERN = re.compile(r"(\d{4})_([a-z]{3})_([a-z]{3})_([a-z]{1,2})")

LABELS = ("intended", "perceived")  # what the actor meant, what most listeners heard

EMOTIONS = {
    "ang": "anger",
    "dis": "disgust",
    "fea": "fear",
    "hap": "happy",
    "neu": "neutral",
    "sad": "sad",
}
VOTES = {"A": "anger", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
INTENSITIES = {"lo": "low", "md": "medium", "hi": "high", "xx": "unspecified", "x": "unspecified"}
STATEMENTS = {
    "ieo": "It's eleven o'clock",
    "tie": "That is exactly what happened",
    "iom": "I'm on my way to the meeting",
    "iww": "I wonder what this is about",
    "tai": "The airplane is almost full",
    "mti": "Maybe tomorrow it will be cold",
    "iwl": "I would like a new alarm clock",
    "ith": "I think I have a doctor's appointment",
    "dfa": "Don't forget a jacket",
    "its": "I think I've seen this before",
    "tsi": "The surface is slick",
    "wsi": "We'll stop in a couple of minutes",
}
KNOWN_BAD = ("1040_ith_sad_xx", "1006_tie_neu_xx", "1013_wsi_dis_xx", "1017_iww_fea_xx")
SAME_TAKE = ("1067_ieo_dis_lo", "1067_ieo_fea_lo")
FAULTS = dict.fromkeys(
    KNOWN_BAD, "one of the four clips known to be bad in the published set"
) | dict.fromkeys(SAME_TAKE, "two labels: what sounds like one take is published as disgust and as fear")


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read a CREMA-D file name, and the actor's and the listeners' rows in the tables next to it."""
    if match.group() in FAULTS:
        raise Rejected(FAULTS[match.group()])
    actor, sentence, emotion, level = match.groups()
    person = _demographics(path.parent).get(actor, {})
    votes = _votes(path.parent).get(match.group(), "")
    return Clip(
        path=path,
        id=f"crema_d-{match.group()}",
        corpus="crema_d",
        speaker=f"crema_d-{actor}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender=person.get("Sex", "").lower() or None,
        age=int(person["Age"]) if "Age" in person else None,
        intensity=lookup(INTENSITIES, level, "level"),
        statement=lookup(STATEMENTS, sentence, "sentence"),
        language="en",
        perceived_emotion=":".join(VOTES[vote] for vote in votes.split(":")) if votes else None,
        agreement=_agreement(path.parent).get(match.group()),
    )


def heard_emotion(clip: Clip) -> str:
    """Return the word that most listeners chose for the voice alone.

    Raises:
        Rejected: listeners tied, or there are no votes on this clip.
    """
    if clip.perceived_emotion is None:
        raise Rejected("no listeners' votes on this clip in processedResults/summaryTable.csv")
    if ":" in clip.perceived_emotion:
        raise Rejected(f"listeners tied between {clip.perceived_emotion.replace(':', ' and ')}")
    return clip.perceived_emotion


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    """Read a table in a folder of recordings, next to it, or in a folder next to it."""
    for place in (folder, folder.parent):
        for table in sorted([*place.glob("*"), *place.glob("*/*")]):
            if table.name.lower() == name and table.is_file():
                with table.open(newline="", encoding="utf-8-sig") as file:
                    return list(csv.DictReader(file))
    return []


@cache
def _demographics(folder: Path) -> dict[str, dict[str, str]]:
    return {row["ActorID"]: row for row in _rows(folder, "videodemographics.csv")}


@cache
def _votes(folder: Path) -> dict[str, str]:
    return {row["FileName"].lower(): row["VoiceVote"] for row in _rows(folder, "summarytable.csv")}


@cache
def _agreement(folder: Path) -> dict[str, float]:
    # Rows numbered 100001 and up are the voice alone, 200001 the face, 300001 both.
    rows = _rows(folder, "tabulatedvotes.csv")
    return {row["fileName"].lower(): float(row["agreement"]) for row in rows if row[""].startswith("1")}
