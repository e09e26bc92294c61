"""RAVDESS, speech and song: 24 actors, two statements, CC BY-NC-SA 4.0.

Livingstone & Russo (2018), https://doi.org/10.1371/journal.pone.0196391. A name is seven codes: modality,
channel, emotion, intensity, statement, repetition, actor (odd: male, even: female).
"""

import re
from pathlib import Path

from data_prep.schema import Clip, Rejected, lookup

NAME = "RAVDESS"
HOMEPAGE = "https://zenodo.org/records/1188976"
LICENSE = "CC BY-NC-SA 4.0"
ALLOWS = "non-commercial use; adaptations under the same licence"
REDISTRIBUTABLE = True  # converted, too: with attribution, not for money, under the same licence
CITATION = """\
@article{livingstone2018ravdess,
  author  = {Livingstone, Steven R. and Russo, Frank A.},
  title   = {The {Ryerson} Audio-Visual Database of Emotional Speech and Song ({RAVDESS}): A dynamic,
             multimodal set of facial and vocal expressions in {North American English}},
  journal = {PLoS ONE},
  volume  = {13},
  number  = {5},
  pages   = {e0196391},
  year    = {2018},
  doi     = {10.1371/journal.pone.0196391}
}"""

PATTERN = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")

CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
ACTORS = range(1, 25)


def fits(_path: Path, match: re.Match) -> bool:
    """Return whether every code of a name is one that RAVDESS uses, in a combination that it has.

    BanglaSER and ASVP-ESD write the same seven codes with other meanings.
    """
    _modality, channel, emotion, intensity, statement, repetition, actor = match.groups()
    return (
        channel in CHANNELS
        and emotion in EMOTIONS
        and intensity in INTENSITIES
        and (emotion, intensity) != ("01", "02")  # neutral is never strong
        and statement in STATEMENTS
        and repetition in ("01", "02")
        and int(actor) in ACTORS
    )


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read the seven codes of a RAVDESS file name."""
    _modality, channel, emotion, intensity, statement, _repetition, actor = match.groups()
    if int(actor) not in ACTORS:
        raise Rejected(f"unknown actor code {actor!r} in the file name")
    folder = path.parent.name.lower()
    if folder.startswith("actor_") and folder != f"actor_{actor}":
        raise Rejected(f"named like a RAVDESS file of actor {actor}, but lies in {path.parent.name}")
    return Clip(
        path=path,
        id=f"ravdess-{match.group()}",
        corpus="ravdess",
        speaker=f"ravdess-{actor}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        gender="male" if int(actor) % 2 else "female",
        intensity=lookup(INTENSITIES, intensity, "intensity"),
        channel=lookup(CHANNELS, channel, "channel"),
        statement=lookup(STATEMENTS, statement, "statement"),
        language="en",
    )
