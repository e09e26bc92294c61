"""ASVP-ESD: speech and wordless sounds cut from films, shows and the web, in several languages.

Landry, He & Xie (2020), https://doi.org/10.5281/zenodo.3782415. A name is modality, channel, emotion,
intensity, statement, actor, age band, source, language and a number; some names lack trailing fields. The
codes for age and language have changed between releases, so those columns stay empty. Seven fields are also
the form of a RAVDESS or BanglaSER name, so such a file must lie in the folder of its ASVP-ESD actor.
"""

import re
from pathlib import Path

from data_prep.schema import Clip, lookup

NAME = "ASVP-ESD"
HOMEPAGE = "https://zenodo.org/records/7132783"
LICENSE = "footage of third parties"
ALLOWS = "nothing stated; the footage belongs to its makers"
REDISTRIBUTABLE = False  # those who cut it from films and shows cannot allow it
CITATION = """\
@dataset{landry2020asvpesd,
  author    = {Landry, Dejoli Tientcheu Touko and He, Qianhua and Xie, Wei},
  title     = {Audio, Speech and Vision Processing Lab Emotional Sound database ({ASVP-ESD})},
  publisher = {Zenodo},
  year      = {2020},
  doi       = {10.5281/zenodo.3782415}
}"""

PATTERN = re.compile(r"\d\d-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d{2,3})(?:-\d+)*")

CHANNELS = {"01": "speech", "02": "nonspeech"}
EMOTIONS = {
    "01": "boredom",
    "02": "neutral",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
    "09": "excited",
    "10": "pleasure",
    "11": "pain",
    "12": "disappointed",
    "13": "breath",
}
INTENSITIES = {"01": "normal", "02": "high"}


def fits(path: Path, match: re.Match) -> bool:
    """Return whether a name can be of ASVP-ESD: with seven codes, only one in its actor's folder.

    The sixth code is the actor here, and the repetition, at most 03, in RAVDESS and BanglaSER.
    """
    actor = match.group(5)
    in_place = path.parent.name.lower() == f"actor_{actor}" and actor not in ("01", "02", "03")
    return match.group().count("-") != 6 or in_place


def parse_name(path: Path, match: re.Match) -> Clip:
    """Read the codes of an ASVP-ESD file name."""
    channel, emotion, intensity, statement, actor = match.groups()
    return Clip(
        path=path,
        id=f"asvp_esd-{match.group()}",
        corpus="asvp_esd",
        speaker=f"asvp_esd-{actor}",
        source_emotion=lookup(EMOTIONS, emotion, "emotion"),
        intensity=lookup(INTENSITIES, intensity, "intensity"),
        channel=lookup(CHANNELS, channel, "channel"),
        statement=statement,
        language="und",  # the codes for it have changed between releases
    )
