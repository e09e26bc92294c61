"""Checks of a model's files before a model is built from them, because anyone may have published them.

`from_pretrained` can be told to read no pickle and to run no code of a model, but it builds whatever the
settings describe, and settings can describe gigabytes. So the settings are read first. They must describe no
more than the weights contain. The files checked are the files loaded: of one commit, in a folder on this
machine.
"""

import json
import re
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path

from speech_emotion import labels
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.models.folder import (
    ADAPTER,
    EXPORTS,
    OPTIONAL_SETTINGS,
    PICTURES,
    SETTINGS,
    WEIGHTS,
    WEIGHTS_INDEX,
    list_weights,
    read_shards,
)

# Files of a published model that are fetched: those checked first, then the others.
SMALL = (*SETTINGS, *OPTIONAL_SETTINGS, ADAPTER)
REST = (WEIGHTS, WEIGHTS_INDEX, "report.json", "README.md", *PICTURES.values(), *EXPORTS.values())
LARGEST_SETTINGS = 1_000_000  # bytes; a Whisper's, with its filters written out, are 200,000
SPARE = 50_000_000  # numbers that a config may describe beyond the weights, such as a missing head

# Settings that fetch something from elsewhere, or name other files than those checked here.
FOREIGN = {
    "auto_map": "brings code of its own, which is never run",
    "quantization_config": "is quantised, which is not served here",
    "transformers_weights": f"keeps its weights elsewhere than in {WEIGHTS}",
    "attn_implementation": "asks for a kernel of its own, which is never fetched",
    "_attn_implementation": "asks for a kernel of its own, which is never fetched",
}

# The largest number of a setting, by its name: layers take time to build, and a feature extractor's filters
# and lengths take memory that the size of the weights does not limit.
LARGEST = (
    (re.compile("layers|blocks|depths"), 200),
    (re.compile("chunk_length"), 30),  # seconds
    (re.compile("mel|mfcc|feature_size"), 256),
    (re.compile("fft|window|length"), 5_000),
    (re.compile("position"), 10_000),
    (re.compile(""), 1_000_000),
)
UNNAMED = re.compile(r"LABEL_\d+")  # what transformers calls a class without a name
LONGEST_WINDOW_SECONDS = 30.0  # that a model can take at once
LEAST_HOP = 80  # samples from one frame to the next, in a spectrogram or in a front end of convolutions
EXTRACTORS = {
    "ASTFeatureExtractor",
    "SeamlessM4TFeatureExtractor",
    "Wav2Vec2FeatureExtractor",
    "WhisperFeatureExtractor",
}


def fetch_settings(name: str) -> Path:
    """Check a model's settings without torch or transformers, neither of which a local export needs.

    Args:
        name: a folder or a hub id.

    Returns:
        The folder that was checked; for a model on the hub, a local copy of its files.

    Raises:
        ValueError: there is no such folder, a file is missing, or the settings bring code or are damaged;
            the message is a clause that says why.
        OSError: there is no such model, or the hub cannot be reached.
    """
    folder = fetch(name, SMALL)
    if (folder / ADAPTER).exists():
        raise ValueError("it is an addition to another model, not a whole one")
    for file in SETTINGS:
        if not (folder / file).exists():
            raise ValueError(f"it has no {file}")
    for file in (*SETTINGS, *OPTIONAL_SETTINGS):
        if (folder / file).exists():
            check_settings(folder / file)
    fetch(name, REST, folder)
    if not (folder / WEIGHTS).exists() and (folder / WEIGHTS_INDEX).exists():
        fetch(name, read_shards(folder / WEIGHTS_INDEX), folder)
    list_weights(folder)
    return folder


def check_weights(folder: Path) -> None:
    """Refuse a folder whose settings describe a larger network than its weights fill; nothing is allocated.

    Raises:
        ValueError: they do, or the weights are damaged; the message is a clause that says why.
    """
    import torch
    from transformers import AutoConfig, AutoModelForAudioClassification

    held = sum(count_weights(file) for file in list_weights(folder))
    with torch.device("meta"):
        described = AutoModelForAudioClassification.from_config(
            AutoConfig.from_pretrained(folder, trust_remote_code=False),
            trust_remote_code=False,
            dtype=torch.float32,  # its own would, for a moment, be that of every thread
        ).num_parameters()
    if described > held + SPARE:
        raise ValueError(
            f"its config.json describes {described:,} weights, but its files have {held:,} numbers"
        )


def check_labels(names: list[str | None]) -> None:
    """Refuse class names that are no set of labels, or that nobody gave.

    Raises:
        ValueError: they are; the message is a clause that says why.
    """
    if any(name is None or UNNAMED.fullmatch(str(name)) for name in names):
        raise ValueError(f"its classes have no names: {', '.join(map(str, names[:3]))}")
    labels.check_labels(names)


def check_rate(rate: int) -> None:
    """Refuse a model of another sampling rate than the 16 kHz served here.

    Raises:
        ValueError: it has one; the message is a clause that says so.
    """
    if rate != SAMPLE_RATE:
        raise ValueError(f"it wants {rate} Hz audio, and {SAMPLE_RATE} Hz is served")


def check_window(seconds: object) -> None:
    """Refuse a window that is no sensible length of sound.

    Raises:
        ValueError: it is no number between a second and half a minute.
    """
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 1.0 <= seconds <= LONGEST_WINDOW_SECONDS:
        raise ValueError(f"its window_seconds must be a number from 1 to {LONGEST_WINDOW_SECONDS:g}")


def fetch(name: str, files: Iterable[str], folder: Path | None = None) -> Path:
    """Copy those files of a published model that exist; a local folder is used as it is.

    Args:
        name: a folder or a hub id.
        files: their names.
        folder: an earlier result. Its name is the commit, from which these files are copied as well; without
            it, the first file decides the commit and must exist.

    Returns:
        The folder with the copies, or the local folder.

    Raises:
        ValueError: there is no such folder.
        OSError: there is no such model, or the hub cannot be reached and there is no earlier copy.
    """
    if Path(name).is_dir():
        return Path(name)
    if name.startswith(("/", ".")):
        raise ValueError("there is no such folder")
    from transformers.utils import cached_file

    for file in files:
        commit = folder.name if folder else None
        path = cached_file(name, file, revision=commit, _raise_exceptions_for_missing_entries=not folder)
        folder = folder or Path(path).parent
    return folder


def check_settings(path: Path) -> None:
    """Refuse settings that fetch something from elsewhere, or that are larger than those of any speech model.

    Raises:
        ValueError: they do, or are no JSON object.
    """
    if path.stat().st_size > LARGEST_SETTINGS:
        raise ValueError(f"its {path.name} is larger than {LARGEST_SETTINGS:,} bytes")
    try:
        settings = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its {path.name} is not JSON") from error
    if not isinstance(settings, dict):
        raise ValueError(f"its {path.name} is not a JSON object")
    for key, value in _walk("", settings):
        if key in FOREIGN and value:
            raise ValueError(f"it {FOREIGN[key]} ({key} in {path.name})")
        if isinstance(value, int | float):
            most = next(most for pattern, most in LARGEST if pattern.search(key))
            if abs(value) > most:
                raise ValueError(f"{key} in its {path.name} is over {most:,}")
        hop = prod(value) if key == "conv_stride" and isinstance(value, list) else value
        if isinstance(hop, int) and (key == "hop_length" or hop is not value) and hop < LEAST_HOP:
            raise ValueError(f"{key} in its {path.name} gives more than a frame in {LEAST_HOP} samples")
        if key == "feature_extractor_type" and value not in EXTRACTORS:
            raise ValueError(f"its feature extractor {value!r} is none of those served here")


def count_weights(path: Path) -> int:
    """Count the numbers in a safetensors file from its header.

    Raises:
        ValueError: the file is damaged or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"its {path.name} is damaged or cut off") from error


def _walk(key: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield every setting with its name, nested ones included; items of a list have the list's name."""
    yield key, value
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from _walk(inner, each)
    elif isinstance(value, list):
        for each in value:
            yield from _walk(key, each)
