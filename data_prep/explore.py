"""Write pictures of a prepared dataset, and one page that explains them.

    python -m data_prep explore data/emotion --output outputs/explore

`index.html` holds every picture itself, so it opens anywhere, offline. The map of the clips needs openSMILE
(the extra `bench`); without it all other pictures are written.
"""

import argparse
import base64
import io
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict, concatenate_datasets
from matplotlib.figure import Figure

from data_prep import captions, charts
from data_prep.egemaps import CACHE, OpenSmileMissing, cached_egemaps
from data_prep.feature_map import place_clips, score_neighbours
from data_prep.languages import language_name
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.palette import emotion_colour
from speech_emotion.plotting import plot_views

TEMPLATE = Path(__file__).parent / "explore.html"
DPI = 130
COLUMNS = [
    "emotion", "corpus", "speaker", "gender", "language", "channel", "statement", "duration", "sha256"
]  # fmt: skip
FEWEST_ON_A_MAP = 4  # t-SNE needs as many clips
MOST_OF_A_CORPUS = 300  # on the map: openSMILE takes a second of one core for 20 clips


class Picture(NamedTuple):
    """One picture of the page: the name of its file, its heading, the picture, and its explanation."""

    name: str
    title: str
    figure: Figure
    text: str


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    args = parse_args(argv)
    try:
        rows, clips = read_table(open_dataset(args.dataset, splits=()))
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    pictures = [*picture_counts(clips), *picture_examples(rows, clips)]
    note = ""
    try:
        pictures += picture_map(rows, clips, args.map_clips)
    except OpenSmileMissing as error:
        note = f"The map of the clips is left out. {error}"
        print(note)
    args.output.mkdir(parents=True, exist_ok=True)
    page = write_page(args.dataset, clips, pictures, note, args.output)
    print(f"Wrote {len(pictures)} pictures and {page}")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep explore",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "dataset", nargs="?", default="data/emotion", help="folder or hub id (default: %(default)s)"
    )
    parser.add_argument(
        "--map_clips",
        type=int,
        default=MOST_OF_A_CORPUS,
        help="clips of each corpus on the map, drawn at random (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("outputs/explore"),
        help="folder of the page (default: %(default)s)",
    )
    return parser.parse_args(argv)


def read_table(dataset: DatasetDict) -> tuple[Dataset, pd.DataFrame]:
    """Join the splits, and return what is known of each clip as a table in the same order.

    Raises:
        ValueError: the dataset was not made by `data_prep`, or holds no clip.
    """
    rows = concatenate_datasets(list(dataset.values()))
    if missing := {*COLUMNS, "audio"} - set(rows.column_names):
        raise ValueError(
            f"This dataset was not made by python -m data_prep: it lacks {', '.join(sorted(missing))}."
        )
    if not len(rows):
        raise ValueError("This dataset holds no clip.")
    clips = rows.select_columns(COLUMNS).to_pandas()
    labels = rows.features["emotion"].names
    clips["emotion"] = pd.Categorical.from_codes(clips["emotion"], labels)
    splits = np.repeat(list(dataset), [len(its) for its in dataset.values()])
    clips["split"] = pd.Categorical(splits, list(dataset))
    clips["gender"] = clips["gender"].fillna(captions.NOT_STATED)
    clips["language"] = clips["language"].map(language_name, na_action=None)
    return rows, clips


def picture_counts(clips: pd.DataFrame) -> list[Picture]:
    """Draw the numbers of clips and their durations."""
    return [
        Picture("emotions", "Emotions", charts.plot_emotions(clips), captions.describe_emotions(clips)),
        Picture("corpora", "Corpora", charts.plot_corpora(clips), captions.describe_corpora(clips)),
        Picture("languages", "Languages", charts.plot_languages(clips), captions.describe_languages(clips)),
        Picture("grid", "Emotions in each corpus", charts.plot_grid(clips), captions.describe_grid(clips)),
        Picture("genders", "Genders", charts.plot_genders(clips), captions.describe_genders(clips)),
        Picture("speakers", "Speakers", charts.plot_speakers(clips), captions.describe_speakers(clips)),
        Picture("splits", "Splits", charts.plot_splits(clips), captions.describe_splits(clips)),
        Picture("durations", "Durations", charts.plot_durations(clips), captions.describe_durations(clips)),
    ]


def choose_examples(clips: pd.DataFrame) -> dict[str, int]:
    """Choose a clip of each emotion, as far as possible of one speaker who says one sentence in one channel.

    The speaker, channel and sentence with the most emotions win, of equals the first in alphabetical order.
    Of several clips of an emotion, and where these lack it, the clip with the smallest sha256 is taken.

    Returns:
        Each emotion's position in the table.
    """
    keys = ["speaker", "channel", "statement"]
    said = clips[keys].fillna(captions.NOT_STATED)
    variety = clips.groupby([said[key] for key in keys])["emotion"].nunique()
    best = variety.idxmax()  # the first of equals, and groups are sorted
    elsewhere = (said != list(best)).any(axis=1)
    order = clips.reset_index(drop=True).assign(elsewhere=elsewhere.to_numpy())
    first = order.sort_values(["elsewhere", "sha256"]).groupby("emotion", observed=True).head(1)
    return dict(zip(first["emotion"], first.index, strict=True))


def picture_examples(rows: Dataset, clips: pd.DataFrame) -> list[Picture]:
    """Draw one clip of each emotion, all on the same scales."""
    chosen = choose_examples(clips)
    audio = {label: read_clip(rows[index]) for label, index in chosen.items()}
    seconds = max(samples.size for samples in audio.values()) / SAMPLE_RATE
    peak = max(np.abs(samples).max() for samples in audio.values())
    pictures = []
    for label in sorted(chosen):
        clip = clips.iloc[chosen[label]]
        figure = plot_views(audio[label], label, emotion_colour(label), seconds, 1.05 * peak)
        text = captions.describe_example(clip)
        pictures.append(Picture(f"clip-{label}", f"A clip: {label}", figure, text))
    return pictures


def choose_for_map(clips: pd.DataFrame, most: int) -> np.ndarray:
    """Choose labelled clips for the map: of each corpus at most so many, those with the smallest sha256.

    Returns:
        Their positions in the table, in its order.
    """
    table = clips.reset_index(drop=True)
    labelled = table[table["emotion"].notna()]
    return np.sort(labelled.sort_values("sha256").groupby("corpus").head(most).index.to_numpy())


def picture_map(rows: Dataset, clips: pd.DataFrame, most: int) -> list[Picture]:
    """Draw the map of the clips, at most so many of each corpus, where there are enough for one."""
    chosen = choose_for_map(clips, most)
    if len(chosen) < FEWEST_ON_A_MAP:
        return []
    rows, clips = rows.select(chosen), clips.iloc[chosen].reset_index(drop=True)
    features = cached_egemaps(rows, CACHE)
    method = f"t-SNE of {features.shape[1]} standardised eGeMAPS features, {len(clips):,} clips"
    figure = charts.plot_map(clips, place_clips(features), method)
    text = captions.describe_map(score_neighbours(features, clips))
    return [Picture("map", "How much corpora differ", figure, text)]


def write_page(name: str, clips: pd.DataFrame, pictures: list[Picture], note: str, output: Path) -> Path:
    """Write each picture as a PNG, and the page with all of them in it.

    Returns:
        The page's path.
    """
    blocks = []
    for picture in pictures:
        buffer = io.BytesIO()
        picture.figure.savefig(buffer, dpi=DPI)
        (output / f"{picture.name}.png").write_bytes(buffer.getvalue())
        blocks.append(render_picture(picture, buffer.getvalue()))
    links = "".join(f"<a href='#{escape(item.name)}'>{escape(item.title)}</a>" for item in pictures)
    page = Template(TEMPLATE.read_text()).substitute(
        title=escape(f"The dataset {name}"), summary=escape(captions.describe_dataset(clips)), links=links,
        figures="\n".join(blocks), note=escape(note),
    )  # fmt: skip
    path = output / "index.html"
    path.write_text(page)
    return path


def render_picture(picture: Picture, png: bytes) -> str:
    """Render one picture with its heading and text as HTML."""
    # 75 px an inch keep its ticks readable.
    least = round(75 * picture.figure.get_figwidth())
    return (
        f"<figure id='{escape(picture.name)}'><h2>{escape(picture.title)}</h2>"
        f"<div class='frame' tabindex='0'>"
        f"<img style='min-width:{least}px' alt='{escape(picture.title)}' "
        f"src='data:image/png;base64,{base64.b64encode(png).decode()}'></div>"
        f"<figcaption>{escape(picture.text)}</figcaption></figure>"
    )


if __name__ == "__main__":
    main()
