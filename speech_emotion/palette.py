"""One colour per emotion, everywhere; and the colours of whatever else a picture tells apart.

Emotions wear Okabe and Ito's palette, which colour-blind people can tell apart. It has eight colours,
enough for `core8`; the labels that other schemes add wear another shade of the nearest emotion's.
"""

from matplotlib.colors import LinearSegmentedColormap

INK = "#3b4252"  # text and axes: readable on white
GREY = "#999999"  # a label without a colour of its own

EMOTIONS = {
    "angry": "#d55e00",
    "calm": "#56b4e9",
    "disgust": "#009e73",
    "fearful": "#cc79a7",
    "happy": "#e69f00",
    "neutral": GREY,
    "sad": "#0072b2",
    "surprised": "#f0e442",
    "amused": "#8a5f00",
    "bored": "#555555",
    "breath": "#cfcfcf",
    "disappointed": "#00395a",
    "excited": "#a39a00",
    "pain": "#7a3500",
    "pleasure": "#7d3f62",
    "sleepy": "#2f7ba6",
}

# Paul Tol's "muted" and "light", both colour-blind safe, so that a corpus is never mistaken for an emotion.
_CORPORA = (
    "#332288", "#ddcc77", "#cc6677", "#44aa99", "#aa4499", "#117733", "#882255", "#88ccee", "#999933",
    "#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00", "#dddddd",
)  # fmt: skip

SHADES = (INK, "#8b99b5", "#ccd3e0", "#d9c7a3")  # up to four kinds of anything else: splits, genders
DENSITY = LinearSegmentedColormap.from_list("density", ["#ffffff", "#2a78b5"])


def emotion_colour(label: str) -> str:
    """Return an emotion's colour, `#rrggbb`; grey for a label that no scheme has."""
    return EMOTIONS.get(label, GREY)


def corpus_colours(corpora: list[str]) -> dict[str, str]:
    """Return a colour for each corpus, in the order given; after 18 they repeat."""
    return {corpus: _CORPORA[index % len(_CORPORA)] for index, corpus in enumerate(corpora)}
