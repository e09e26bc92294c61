"""From folders of recordings to one speaker-disjoint `DatasetDict`, with a reason for every file left out."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import Audio, Dataset, DatasetDict, Features, Value
from tqdm import tqdm

from data_prep import own
from data_prep.corpora import CORPORA, crema_d
from data_prep.schema import EXTENSIONS, Clip, Rejected, features
from data_prep.splits import SPLITS, Row, assign_splits, fold_of, leaks_speakers
from speech_emotion.audio import (
    SAMPLE_RATE,
    SILENCE_DBFS,
    TRIM_DB,
    AudioError,
    encode_flac,
    load_audio,
    peak_dbfs,
    trim_silence,
)
from speech_emotion.labels import map_label

REPORT = "preparation.json"  # beside the splits: settings, and every file left out
MIN_SECONDS = 0.2  # shorter clips hold no syllable


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the dataset, and why."""

    path: Path
    reason: str

    def seen_from(self, folders: Iterable[Path]) -> "Skipped":
        """Shorten the path where it lies under one of the folders."""
        under = (self.path.relative_to(folder) for folder in folders if self.path.is_relative_to(folder))
        return replace(self, path=next(under, self.path))


@dataclass(frozen=True)
class Recording:
    """A clip whose audio passed every check: where its FLAC lies in the spool file, and its facts."""

    clip: Clip
    label: str
    sha256: str
    seconds: float
    offset: int
    size: int


def find_clips(root: Path) -> tuple[list[Clip], list[Skipped]]:
    """Recognise every recording under a folder by its name, whatever the folders are called.

    Args:
        root: the folder that holds the corpora.

    Returns:
        The clips in the order of their paths, and the audio files that no corpus claims or whose names break
        their corpus's rules.
    """
    clips: dict[str, Clip] = {}
    skipped = []
    paths = (
        path
        for path in root.rglob("*")
        if path.suffix.lower() in EXTENSIONS and path.is_file() and not _is_hidden(path.relative_to(root))
    )
    for path in sorted(paths, key=lambda path: (EXTENSIONS.index(path.suffix.lower()), path)):
        try:
            clip = describe(path)
        except Rejected as rejected:
            skipped.append(Skipped(path, str(rejected)))
            continue
        if clip.id in clips:
            kept = clips[clip.id].path.relative_to(root)
            skipped.append(Skipped(path, f"the same utterance as {kept}"))
        else:
            clips[clip.id] = clip
    return sorted(clips.values(), key=lambda clip: clip.path), skipped


def find_own(sources: Iterable[Path]) -> tuple[list[Clip], list[Skipped]]:
    """Read tables and folders of the user's own.

    Args:
        sources: as `data_prep.own.read_source` reads them.

    Returns:
        The clips in the order of their rows, and the files whose rows do not make one.

    Raises:
        ValueError: a table that cannot be read, or two sources of one name.
    """
    clips, skipped, names = [], [], set()
    for source in sources:
        name = own.corpus_name(source)
        if name in names:
            raise ValueError(f"Two sources are called {name}: rename one of them.")
        names.add(name)
        for number, (path, row) in enumerate(own.read_source(source), start=1):
            try:
                clips.append(own.describe(path, row, name, number))
            except Rejected as rejected:
                skipped.append(Skipped(path, str(rejected)))
    return clips, skipped


def find_labels(clips: list[Clip], scheme: str, crema_d_label: str) -> tuple[dict[str, str], list[Skipped]]:
    """Give every clip its label: `{id: label}`, and the clips that get none."""
    labels, skipped = {}, []
    for clip in clips:
        heard = clip.corpus == "crema_d" and crema_d_label == "perceived"
        try:
            word = crema_d.heard_emotion(clip) if heard else clip.source_emotion
        except Rejected as rejected:
            skipped.append(Skipped(clip.path, str(rejected)))
            continue
        if label := map_label(word, scheme):
            labels[clip.id] = label
        else:
            skipped.append(Skipped(clip.path, f"{word!r} has no label in {scheme}"))
    return labels, skipped


def describe(path: Path) -> Clip:
    """Read what a recording's name says, by the corpus whose pattern it matches.

    Raises:
        Rejected: no corpus names files so, or the name breaks the corpus's own rules.
    """
    for corpus in CORPORA.values():
        if match := corpus.PATTERN.fullmatch(path.stem.lower()):
            return corpus.describe(path, match)
    raise Rejected("no corpus names its files like this")


def read_audio(clip: Clip, trim_db: float | None) -> bytes | str:
    """Decode, check and trim one clip.

    Args:
        clip: the recording.
        trim_db: silence threshold in dB below the loudest frame; None leaves silence in.

    Returns:
        The clip as 16 kHz mono FLAC, or the reason why it is refused.
    """
    try:
        audio = load_audio(clip.path)
    except AudioError as error:
        return str(error)
    if np.ptp(audio) == 0:
        return "a flat line: every sample has the same value"
    if peak_dbfs(audio) < SILENCE_DBFS:
        return f"silent: its peak is below {SILENCE_DBFS:g} dBFS"
    if trim_db is not None:
        audio = trim_silence(audio, trim_db)
    if audio.size < MIN_SECONDS * SAMPLE_RATE:
        return f"shorter than {MIN_SECONDS:g} s without its silence"
    return encode_flac(audio)


def build_dataset(
    root: Path | None,
    output: Path,
    scheme: str = "core8",
    trim_db: float | None = TRIM_DB,
    seed: int = 0,
    workers: int | None = None,
    own_sources: Iterable[Path] = (),
    crema_d_label: str = "intended",
    protocol: str = "speakers",
) -> tuple[DatasetDict, list[Skipped]]:
    """Merge every corpus under a folder, and sources of one's own, into one dataset on disk.

    Audio goes through a spool file, so memory does not hold the dataset. The
    dataset is written aside and takes its place only when it is whole.

    Args:
        root: the folder that holds the corpora; None: only sources of one's own.
        output: the dataset's folder; a dataset made here before is replaced.
        scheme: the label scheme, a key of `speech_emotion.labels.SCHEMES`.
        trim_db: silence threshold in dB below the loudest frame; None leaves silence in.
        seed: of the split of corpora without benchmark folds.
        workers: processes that decode; by default one per core.
        own_sources: tables and folders as `data_prep.own.read_source` reads them.
        crema_d_label: one of `data_prep.corpora.crema_d.LABELS`.
        protocol: how to split, one of `data_prep.splits.PROTOCOLS`.

    Returns:
        The dataset as `load_from_disk(output)` opens it, and every file left out. The same list is in
        `preparation.json` beside the splits.

    Raises:
        ValueError: no usable recording, a table that cannot be read, a protocol that these clips do not
            allow, or something else in the way of the output.
    """
    if output.exists() and any(output.iterdir()) and not (output / REPORT).exists():
        raise ValueError(f"{output} holds something else than a dataset made here, so it is not replaced.")
    own_sources = list(own_sources)
    folders = [folder for folder in (root, *(source.parent for source in own_sources)) if folder]
    clips, skipped = find_clips(root) if root else ([], [])
    own_clips, own_skipped = find_own(own_sources)
    labels, unlabelled = find_labels(clips + own_clips, scheme, crema_d_label)
    skipped += own_skipped + unlabelled
    clips = [clip for clip in clips + own_clips if clip.id in labels]
    if clips:  # says before the long decoding that these speakers do not allow a protocol
        assign_splits([_row(clip, labels[clip.id], clip.id) for clip in clips], protocol, seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        with Path(scratch, "spool").open("w+b") as spool:
            recordings, refused = _spool(clips, labels, spool, trim_db, workers)
            recordings, doubles = drop_duplicates(recordings)
            skipped += refused + doubles
            if not recordings:
                places = " or ".join(str(place) for place in (root, *own_sources) if place)
                raise ValueError(f"There is no usable recording in {places}.")
            rows = [_row(item.clip, item.label, item.sha256) for item in recordings]
            splits = assign_splits(rows, protocol, seed)
            dataset = DatasetDict(
                {
                    split: _write_split(
                        [item for item, its in zip(recordings, splits, strict=True) if its == split],
                        spool.name, scheme, Path(scratch, "cache", split),
                    )
                    for split in SPLITS
                    if split in splits
                }
            )  # fmt: skip
            dataset.save_to_disk(Path(scratch, "dataset"))
        skipped = [skip.seen_from(folders) for skip in skipped]
        report = {
            "scheme": scheme,
            "crema_d_label": crema_d_label,
            "trim_db": trim_db,
            "protocol": protocol,
            "leaks_speakers": leaks_speakers(protocol),
            "seed": seed,
            "skipped": [{"path": str(skip.path), "reason": skip.reason} for skip in skipped],
        }
        Path(scratch, "dataset", REPORT).write_text(json.dumps(report, indent=1) + "\n")
        shutil.rmtree(output, ignore_errors=True)
        Path(scratch, "dataset").rename(output)
    return DatasetDict.load_from_disk(output), skipped


def drop_duplicates(recordings: list[Recording]) -> tuple[list[Recording], list[Skipped]]:
    """Keep one of the recordings with equal samples, or none where their labels disagree."""
    twins: dict[str, list[Recording]] = {}
    for recording in recordings:
        twins.setdefault(recording.sha256, []).append(recording)
    kept, skipped = [], []
    for first, *others in twins.values():
        agree = all(other.label == first.label for other in others)
        kept += [first] if agree else []
        for dropped in others if agree else (first, *others):
            reason = "the same samples as" if agree else "the same samples with another label as"
            named = first if dropped is not first else others[0]
            skipped.append(Skipped(dropped.clip.path, f"{reason} {named.clip.path.name}"))
    return kept, skipped


def summarise(dataset: DatasetDict) -> str:
    """Lay out clips per corpus, emotion and split as a table."""
    frames = []
    for split, rows in dataset.items():
        frame = rows.select_columns(["corpus", "emotion"]).to_pandas()
        frame["emotion"] = frame["emotion"].map(rows.features["emotion"].int2str)
        frames.append(frame.assign(split=split))
    clips = pd.concat(frames)
    clips["split"] = pd.Categorical(clips["split"], SPLITS)
    table = pd.crosstab([clips["corpus"], clips["split"]], clips["emotion"], margins=True, margins_name="all")
    return table.to_string()


def _is_hidden(path: Path) -> bool:
    # A download under way, or what macOS keeps beside a file.
    return any(part.startswith(".") for part in path.parts)


def _spool(
    clips: list[Clip], labels: dict[str, str], spool, trim_db: float | None, workers: int | None
) -> tuple[list[Recording], list[Skipped]]:
    recordings, skipped = [], []
    workers = workers or os.cpu_count()
    with ProcessPoolExecutor(workers) as pool:
        results = pool.map(partial(read_audio, trim_db=trim_db), clips, chunksize=16)
        for clip, result in zip(clips, tqdm(results, total=len(clips), unit="clip"), strict=True):
            if isinstance(result, str):
                skipped.append(Skipped(clip.path, result))
                continue
            samples = load_audio(result)
            pcm = np.round(samples * 2**15).astype("<i2").tobytes()
            recordings.append(
                Recording(
                    clip=clip,
                    label=labels[clip.id],
                    sha256=hashlib.sha256(pcm).hexdigest(),
                    seconds=samples.size / SAMPLE_RATE,
                    offset=spool.tell(),
                    size=len(result),
                )
            )
            spool.write(result)
    spool.flush()
    return recordings, skipped


def _row(clip: Clip, label: str, sha256: str) -> Row:
    return Row(clip.corpus, clip.speaker, clip.gender, label, sha256)


def _write_split(recordings: list[Recording], spool: str, scheme: str, cache: Path) -> Dataset:
    # Without torchcodec datasets encodes no Audio, so the column is written as its storage and cast after.
    columns = features(scheme)
    storage = Features(columns | {"audio": {"bytes": Value("binary"), "path": Value("string")}})
    rows = Dataset.from_generator(
        _rows,
        features=storage,
        cache_dir=str(cache),
        gen_kwargs={"recordings": recordings, "spool": spool},
    )
    return rows.cast_column("audio", Audio(sampling_rate=SAMPLE_RATE))


def _rows(recordings: list[Recording], spool: str) -> Iterator[dict]:
    with Path(spool).open("rb") as file:
        for recording in recordings:
            clip = recording.clip
            file.seek(recording.offset)
            facts = asdict(clip)
            del facts["path"], facts["id"]
            yield facts | {
                "audio": {"bytes": file.read(recording.size), "path": f"{clip.id}.flac"},
                "emotion": recording.label,
                "duration": recording.seconds,
                "sha256": recording.sha256,
                "fold": fold_of(clip.corpus, clip.speaker),
            }
