"""What the licence of each corpus allows, for the dataset's card and for publishing."""

from typing import NamedTuple

from data_prep.corpora import CORPORA


class Licence(NamedTuple):
    """One row of the card's table.

    Attributes:
        title: the corpus's published name.
        homepage: None where nobody published it.
        licence: as its publisher states it.
        allows: what that means, in plain words.
        redistributable: whether anyone may publish its audio as it is in the dataset.
        note: what a reader must know of its labels; empty where nothing is unusual.
    """

    title: str
    homepage: str | None
    licence: str
    allows: str
    redistributable: bool = False
    note: str = ""


PUBLISHED = {
    name: Licence(corpus.NAME, corpus.HOMEPAGE, corpus.LICENSE, corpus.ALLOWS, corpus.REDISTRIBUTABLE)
    for name, corpus in CORPORA.items()
}

# Sets that come in as a table, by name. Their audio is never published: any table can have such a name.
TABLES = {
    "meld": Licence(
        "MELD", "https://affective-meld.github.io/", "GPL-3.0; footage of third parties",
        "research; the footage belongs to its makers",
        note="MELD's labels were given with picture and words, so not every label can be heard in the voice. "
        "Laughter and music lie under many clips. The clips are of the official training split, so no figure "
        "on them is a published test score.",
    ),
    "emospeech_in": Licence(
        "EmoSpeech-IN", None, "CC BY-NC-SA 4.0", "non-commercial use; adaptations under the same licence",
        note="EmoSpeech-IN's word for its plain voice is calm; the label is neutral.",
    ),
    "spokenwoz": Licence(
        "SpokenWOZ", "https://spokenwoz.github.io/", "CC BY-NC 4.0", "non-commercial use, with attribution",
        note="SpokenWOZ has no labels: it is ordinary talk on the telephone, to count false alarms on.",
    ),
    "emogator": Licence(
        "EmoGator", "https://github.com/fredbuhl/EmoGator", "Apache-2.0", "any use, with notice",
        note="EmoGator holds vocal bursts without words; the label is the speakers' own word for the burst.",
    ),
    "emotiontts_ko": Licence(
        "EmotionTTS-KO", None, "CC BY-NC-SA 4.0", "non-commercial use; adaptations under the same licence",
    ),
    "indowavesentiment": Licence("IndoWaveSentiment", None, "none stated", "nothing stated"),
    "afran_selfrec": Licence("afran-selfrec", None, "none stated", "nothing stated"),
}  # fmt: skip


def licence_of(corpus: str) -> Licence:
    """Return a corpus's licence; that of recordings of your own is not known."""
    return (
        PUBLISHED.get(corpus) or TABLES.get(corpus) or Licence(corpus, None, "not stated", "nothing stated")
    )


def licence_row(corpus: str) -> list[str]:
    """Return a corpus's line of a table: name, licence, what that allows, whether audio is published."""
    facts = licence_of(corpus)
    title = f"[{facts.title}]({facts.homepage})" if facts.homepage else facts.title
    return [title, facts.licence, facts.allows, "yes" if facts.redistributable else "no"]
