"""Builds one `DatasetDict` from folders of recordings, with a reason for every file left out."""

import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import soundfile
from datasets import DatasetDict

from data_prep import checks, custom
from data_prep.balance import find_one_sided
from data_prep.checks import MIN_SECONDS, Checked, check_audio, pack
from data_prep.corpora import crema_d
from data_prep.custom import Source, parse_source
from data_prep.decode_cache import DecodeCache, Stored, open_cache
from data_prep.find import Recogniser, find_recordings
from data_prep.schema import EXTENSIONS, Clip, Rejected, features
from data_prep.splits import (
    ASIDE,
    SPLITS,
    Row,
    assign_folds,
    assign_splits,
    find_roles,
    leaks_speakers,
)
from data_prep.writer import write_dataset
from speech_emotion.audio import decoding, silence
from speech_emotion.labels import OWN, Scheme, follows_policy, list_labels, map_label

REPORT = "preparation.json"  # in the dataset's folder: settings, and every file left out
NO_LABEL = "no label"


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the dataset, and why."""

    path: Path
    reason: str
    lost: bool = False  # a recording at fault, which --strict does not accept

    def seen_from(self, folders: Iterable[Path]) -> "Skipped":
        """Return the same with a path relative to the folder that holds it, where one does."""
        under = (self.path.relative_to(folder) for folder in folders if self.path.is_relative_to(folder))
        return replace(self, path=next(under, self.path))


@dataclass(frozen=True)
class Recording:
    """A clip whose audio passed every check, its label, and the place of its audio in the cache."""

    clip: Clip
    label: str
    stored: Stored


def find_clips(root: Path, named: Mapping[Path, str] | None = None) -> tuple[list[Clip], list[Skipped]]:
    """Recognise every recording under a folder by its name, whatever the folders are called.

    Args:
        root: the folder that holds the corpora.
        named: corpora that the user has named, by folder.

    Returns:
        The clips in the order of their paths, and the audio files that no corpus claims or whose names break
        their corpus's rules.
    """
    clips: dict[str, Clip] = {}
    skipped = []
    paths = find_recordings(root)
    recogniser = Recogniser(root, paths, named)
    for path in sorted(paths, key=lambda path: (EXTENSIONS.index(path.suffix.lower()), path)):
        try:
            clip = recogniser.parse_name(path)
        except Rejected as rejected:
            skipped.append(Skipped(path, str(rejected)))
            continue
        if clip.id in clips:
            kept = clips[clip.id].path.relative_to(root)
            skipped.append(Skipped(path, f"another encoding: the same utterance as {kept}"))
        else:
            clips[clip.id] = clip
    return sorted(clips.values(), key=lambda clip: clip.path), skipped


def find_custom(sources: Iterable[Source], any_word: bool = False) -> tuple[list[Clip], list[Skipped]]:
    """Read tables and folders of the user's own.

    Args:
        sources: the tables and folders.
        any_word: whether emotions may be words that the label policy does not know.

    Returns:
        The clips in the order of their rows, and the files whose rows do not make one.

    Raises:
        ValueError: a table that cannot be read, or two sources of one name.
    """
    clips, skipped, names = [], [], set()
    for source in sources:
        if source.name in names:
            raise ValueError(
                f"Two sources are called {source.name}: give one of them another name, NAME=TABLE."
            )
        names.add(source.name)
        for number, (path, row) in enumerate(custom.read_source(source), start=1):
            try:
                clips.append(custom.parse_row(path, row, source, number, any_word))
            except Rejected as rejected:
                skipped.append(Skipped(path, str(rejected)))
    return clips, skipped


def find_labels(
    clips: list[Clip], scheme: Scheme, crema_d_label: str
) -> tuple[dict[str, str], list[Skipped]]:
    """Return labels by the clips' ids, empty for an unlabelled clip, and the clips whose word is left out."""
    labels, skipped = {}, []
    for clip in clips:
        heard = clip.corpus == "crema_d" and crema_d_label == "perceived"
        try:
            word = crema_d.heard_emotion(clip) if heard else clip.policy_word or clip.source_emotion
        except Rejected as rejected:
            skipped.append(Skipped(clip.path, str(rejected)))
            continue
        if word is None:
            labels[clip.id] = ""
        elif label := map_label(word, scheme):
            labels[clip.id] = label
        else:
            where = scheme if follows_policy(scheme) else "the table of labels"
            skipped.append(Skipped(clip.path, f"{word!r} has no label in {where}"))
    return labels, skipped


def build_dataset(
    root: Path | None,
    output: Path,
    scheme: Scheme = "core8",
    trim_db: float | None = None,
    seed: int = 0,
    workers: int | None = None,
    custom_sources: Iterable[Source | Path] = (),
    crema_d_label: str = "intended",
    protocol: str = "speakers",
    strict: bool = False,
    window_seconds: float | None = None,
    named: Mapping[Path, str] | None = None,
    train_on: Collection[str] = (),
) -> tuple[DatasetDict, list[Skipped]]:
    """Merge every corpus under a folder, and sources of one's own, into one dataset on disk.

    Decoded audio goes into a cache on disk, so memory does not hold the dataset, and the next call continues
    an interrupted one. What `decode_shard` has decoded is not decoded again. The dataset is written in a
    hidden folder next to the output and moves to its place only when it is whole. The same recordings give
    the same bytes, whatever the number of workers and of interruptions.

    Args:
        root: the folder that holds the corpora; None: only sources of one's own.
        output: the dataset's folder; a dataset made here before is replaced.
        scheme: the label scheme, as in `speech_emotion.labels.map_label`.
        trim_db: silence threshold in dB below the loudest frame; None leaves silence in.
        seed: of what the splits draw.
        workers: processes that decode; by default one per core.
        custom_sources: tables and folders of the user's own.
        crema_d_label: one of `data_prep.corpora.crema_d.LABELS`.
        protocol: how to split, one of `data_prep.splits.PROTOCOLS`.
        strict: a recording that fails a check, or has two labels, is an error.
        window_seconds: cut clips, once they are split, into windows of so many seconds; see `cut_windows`.
        named: corpora that the user has named, by folder.
        train_on: corpora that train whole, whatever `data_prep.splits` says of them.

    Returns:
        The dataset as `load_from_disk(output)` opens it, and every file left out. The same list is in
        `preparation.json` next to the splits.

    Raises:
        ValueError: no usable recording, one that `strict` does not accept, a table that cannot be read,
            labels of the user's own that make no set, a protocol that these clips do not allow, windows too
            short, or something else in the way of the output.
        OSError: no room for the dataset, or no permission. The decoded clips stay for the next run.
    """
    if output.exists() and any(output.iterdir()) and not (output / REPORT).exists():
        raise ValueError(f"{output} holds something else than a dataset made here, so it is not replaced.")
    if window_seconds and window_seconds < 2 * MIN_SECONDS:
        raise ValueError(
            f"Windows must be {2 * MIN_SECONDS:g} s or longer: half a window is the shortest clip."
        )
    sources = [each if isinstance(each, Source) else parse_source(str(each)) for each in custom_sources]
    clips, labels, skipped = gather(root, sources, scheme, crema_d_label, named)
    if clips:  # what these labels or speakers do not allow is refused before the long decoding
        classes = choose_classes(scheme, labels)
        assign_splits([_row(clip, labels[clip.id], clip.id) for clip in clips], protocol, seed, train_on)
    partial_folder = output.parent / f".{output.name}.partial"
    shards = sorted(output.parent.glob(f".{output.name}.shard-*"))
    _recover(output, partial_folder)
    with open_cache(partial_folder, _decoding(trim_db)) as cache:
        try:
            for shard in shards:
                cache.absorb(shard, _decoding(trim_db))
            recordings, refused = _decode(clips, labels, cache, trim_db, workers)
            recordings, doubles = drop_duplicates(recordings)
            folders = [folder for folder in (root, *(source.path.parent for source in sources)) if folder]
            skipped = [skip.seen_from(folders) for skip in skipped + refused + doubles]
            if strict:
                _accept_no_loss(skipped)
            if not recordings:
                places = [root] if root else []
                raise ValueError(
                    f"There is no usable recording in "
                    f"{' or '.join(str(place) for place in [*places, *(source.path for source in sources)])}."
                )
            rows = [_row(item.clip, item.label, item.stored.sha256) for item in recordings]
            splits = assign_splits(rows, protocol, seed, train_on)
        except ValueError:
            shutil.rmtree(partial_folder)
            raise
        fresh = partial_folder / "dataset"
        placed = list(zip(recordings, assign_folds(rows), splits, strict=True))
        write_dataset(
            fresh,
            {
                split: _rows([each for each in placed if each[2] == split], cache, classes, window_seconds)
                for split in (*SPLITS, ASIDE)
                if split in splits
            },
            features(classes),
        )
        report = {
            "scheme": scheme if isinstance(scheme, str) else OWN,
            "crema_d_label": crema_d_label,
            "trim_db": trim_db,
            "window_seconds": window_seconds,
            "protocol": protocol,
            "leaks_speakers": leaks_speakers(rows, splits),
            "seed": seed,
            "roles": find_roles([row for row in rows if row.emotion], train_on),
            "warnings": find_warnings(rows, train_on),
        }
        write_report(fresh / REPORT, report, skipped)
        _put_in_place(fresh, output, [partial_folder, *shards])
    return DatasetDict.load_from_disk(output), skipped


def decode_shard(
    clips: list[Clip],
    output: Path,
    number: int,
    shards: int,
    trim_db: float | None = None,
    workers: int | None = None,
) -> list[Skipped]:
    """Decode one of several equal shares of the clips, for `build_dataset` to merge.

    Where the shares are decoded on several machines, their folders must lie next to the output when the
    dataset is built, and every machine must see the recordings at the same paths, with the same sizes and
    times. The dataset is the same, byte for byte, as without shards; what no shard has decoded is decoded
    then.

    Args:
        clips: all clips, as `gather` finds them.
        output: the dataset's folder; the share is decoded into a hidden folder next to it.
        number: of the share, from 1.
        shards: how many shares there are.
        trim_db: as for `build_dataset`.
        workers: processes that decode; by default one per core.

    Returns:
        The recordings of the share that are refused.
    """
    folder = output.parent / f".{output.name}.shard-{number}-of-{shards}"
    with open_cache(folder, _decoding(trim_db)) as cache:
        return _decode(clips[number - 1 :: shards], {}, cache, trim_db, workers)[1]


def gather(
    root: Path | None,
    custom_sources: list[Source],
    scheme: Scheme,
    crema_d_label: str,
    named: Mapping[Path, str] | None = None,
) -> tuple[list[Clip], dict[str, str], list[Skipped]]:
    """Find the clips of corpora and tables.

    Returns:
        The clips with a label in the scheme and the unlabelled ones, their labels by the clips' ids, and the
        files left out.
    """
    clips, skipped = find_clips(root, named) if root else ([], [])
    custom_clips, custom_skipped = find_custom(custom_sources, any_word=not follows_policy(scheme))
    labels, unlabelled = find_labels(clips + custom_clips, scheme, crema_d_label)
    return (
        [clip for clip in clips + custom_clips if clip.id in labels],
        labels,
        skipped + custom_skipped + unlabelled,
    )


def choose_classes(scheme: Scheme, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the dataset's labels: the scheme's, or those of the clips, given by the clips' ids.

    Raises:
        ValueError: the labels of the user's own make no set.
    """
    try:
        return list_labels(scheme, filter(None, labels.values()))
    except ValueError as error:
        raise ValueError(f"This makes no dataset: {error}.") from error


def write_report(path: Path, settings: dict, skipped: list[Skipped]) -> None:
    """Write how a dataset was made, and every file left out."""
    left_out = [{"path": str(skip.path), "reason": skip.reason} for skip in skipped]
    report = settings | {"counts": count_reasons(skipped), "skipped": left_out}
    path.write_text(json.dumps(report, indent=1) + "\n")


def drop_duplicates(recordings: list[Recording]) -> tuple[list[Recording], list[Skipped]]:
    """Keep one of the recordings with equal samples, or none where their labels disagree."""
    twins: dict[str, list[Recording]] = {}
    for recording in recordings:
        twins.setdefault(recording.stored.sha256, []).append(recording)
    kept, skipped = [], []
    for first, *others in twins.values():
        agree = all(other.label == first.label for other in others)
        kept += [first] if agree else []
        for dropped in others if agree else (first, *others):
            named = (first if dropped is not first else others[0]).clip.path.name
            reason = (
                f"a double: the same samples as {named}"
                if agree
                else f"two labels: the same samples with another label as {named}"
            )
            skipped.append(Skipped(dropped.clip.path, reason, lost=not agree))
    return kept, skipped


def cut_windows(flac: bytes, seconds: float) -> list[Checked]:
    """Cut a clip into windows side by side.

    A rest shorter than half a window is dropped, a longer one is a shorter window. A clip shorter than a
    window stays whole.

    Args:
        flac: the clip.
        seconds: length of a window.

    Returns:
        The windows in order, at least one.
    """
    pcm, rate = soundfile.read(io.BytesIO(flac), dtype="int16")
    length = round(seconds * rate)
    pieces = [pcm[start : start + length] for start in range(0, pcm.size, length)]
    return [pack(piece) for number, piece in enumerate(pieces) if number == 0 or 2 * piece.size >= length]


def count_reasons(skipped: list[Skipped]) -> dict[str, int]:
    """Count the files left out by reason, up to a colon and the details after it; the commonest first."""
    return dict(Counter(skip.reason.partition(":")[0] for skip in skipped).most_common())


def summarise(dataset: DatasetDict) -> str:
    """Render clips per corpus, emotion and split as a table."""
    frames = []
    for split, rows in dataset.items():
        frame = rows.select_columns(["corpus", "emotion"]).to_pandas()
        names = rows.features["emotion"].names
        frame["emotion"] = [names[index] if index >= 0 else NO_LABEL for index in frame["emotion"]]
        frames.append(frame.assign(split=split))
    clips = pd.concat(frames)
    clips["split"] = pd.Categorical(clips["split"], (*SPLITS, ASIDE))
    table = pd.crosstab([clips["corpus"], clips["split"]], clips["emotion"], margins=True, margins_name="all")
    return table.to_string()


def find_warnings(rows: Sequence[Row], train_on: Collection[str] = ()) -> list[str]:
    """Return a sentence for every corpus that is split at random or teaches the label by its microphone."""
    labelled = [row for row in rows if row.emotion]
    found = find_one_sided(labelled)
    drawn = [corpus for corpus, role in find_roles(labelled, train_on).items() if role == "random"]
    return [
        f"{corpus} names no speakers: its clips are split at random. A voice may be in training and in test, "
        "so figures on them are too good."
        for corpus in drawn
    ] + [
        f"{finding.warning(corpus)} "
        + (
            "It trains all the same."
            if corpus in train_on
            else f"It is set aside; --train {corpus} trains on it."
        )
        for corpus, finding in sorted(found.items())
    ]


def _recover(output: Path, partial_folder: Path) -> None:
    # A run was killed while it replaced the old dataset by the new one.
    replaced = partial_folder / "replaced"
    if replaced.exists() and not output.exists():
        replaced.rename(output)
    for leftover in (replaced, partial_folder / "dataset"):
        if leftover.exists():
            shutil.rmtree(leftover)


def _put_in_place(fresh: Path, output: Path, used_up: list[Path]) -> None:
    """Move a new dataset to its place, in which an older one can be, and delete what it was made from."""
    if output.exists():
        output.rename(fresh.parent / "replaced")
    fresh.rename(output)
    for folder in used_up:
        shutil.rmtree(folder)


def _decoding(trim_db: float | None) -> dict:
    """Return all that decoded clips depend on besides their files: the setting, and the code."""
    code = b"".join(Path(module.__file__).read_bytes() for module in (decoding, silence, checks))
    versions = {name: version(name) for name in ("av", "numpy", "soundfile", "soxr")}
    return {"trim_db": trim_db, "code": hashlib.sha256(code).hexdigest(), **versions}


def _decode(
    clips: list[Clip],
    labels: dict[str, str],
    cache: DecodeCache,
    trim_db: float | None,
    workers: int | None,
) -> tuple[list[Recording], list[Skipped]]:
    recordings, skipped = [], []
    results = cache.fill([clip.path for clip in clips], partial(check_audio, trim_db=trim_db), workers)
    for clip in clips:
        result = results[clip.path]
        if isinstance(result, str):
            skipped.append(Skipped(clip.path, result, lost=True))
        else:
            recordings.append(Recording(clip, labels.get(clip.id, ""), result))
    return recordings, skipped


def _row(clip: Clip, label: str, sha256: str) -> Row:
    return Row(clip.corpus, clip.speaker, clip.gender, label, sha256, clip.dialogue, clip.channel)


def _accept_no_loss(skipped: list[Skipped]) -> None:
    if lost := [f"  {skip.path}: {skip.reason}" for skip in skipped if skip.lost]:
        headline = f"Nothing is written because of --strict: {len(lost)} recordings are at fault."
        raise ValueError("\n".join([headline, *lost]))


def _rows(
    placed: list[tuple[Recording, int | None, str]],
    cache: DecodeCache,
    classes: Sequence[str],
    window_seconds: float | None,
) -> Iterator[dict]:
    for recording, fold, _split in placed:
        clip, stored = recording.clip, recording.stored
        flac = cache.read(stored)
        pieces = {f"{clip.id}.flac": Checked(flac, stored.sha256, stored.seconds)}
        if window_seconds:
            windows = cut_windows(flac, window_seconds)
            pieces = {f"{clip.id}-{number}.flac": window for number, window in enumerate(windows)}
        facts = asdict(clip)
        del facts["path"], facts["id"], facts["policy_word"]
        for name, piece in pieces.items():
            yield facts | {
                "audio": {"bytes": piece.flac, "path": name},
                "emotion": classes.index(recording.label) if recording.label else -1,
                "duration": piece.seconds,
                "sha256": piece.sha256,
                "fold": fold,
            }
