"""What is checked of a model's files before anything is built of them: anyone may have published them.

`from_pretrained` reads no pickle and runs no code of a model's when it is told so, but it builds whatever the
settings describe, and settings can describe gigabytes. So the settings are read first, and must describe no
more than the weights beside them hold.
"""

import json
import re
from collections.abc import Iterator
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForAudioClassification
from transformers.utils import cached_file

SETTINGS = ("config.json", "preprocessor_config.json")
OPTIONAL_SETTINGS = ("processor_config.json",)  # read by transformers in place of the second, where it is
WEIGHTS = "model.safetensors"
LARGEST_SETTINGS = 1_000_000  # bytes; a Whisper's, with its filters written out, are 200,000
SPARE = 50_000_000  # numbers that a config may describe beyond the weights: an encoder's head is missing, say

# Settings that fetch something from elsewhere, or name other files than the ones checked here.
FOREIGN = {
    "auto_map": "brings code of its own, which is never run",
    "quantization_config": "is quantised, which is not served here",
    "transformers_weights": f"keeps its weights elsewhere than in {WEIGHTS}",
    "attn_implementation": "asks for a kernel of its own, which is never fetched",
    "_attn_implementation": "asks for a kernel of its own, which is never fetched",
}

# By what a setting is called, the largest number it can have: layers take time to build, and a feature
# extractor's filters and lengths take memory that no weights vouch for.
LARGEST = (
    (re.compile("layers|blocks|depths"), 200),
    (re.compile("chunk_length"), 30),  # seconds
    (re.compile("mel|mfcc|feature_size"), 256),
    (re.compile("fft|window|length"), 5_000),
    (re.compile("position"), 10_000),
    (re.compile(""), 1_000_000),
)
LEAST_HOP = 80  # samples from one frame to the next, in a spectrogram or in a front end of convolutions
EXTRACTORS = {
    "ASTFeatureExtractor",
    "SeamlessM4TFeatureExtractor",
    "Wav2Vec2FeatureExtractor",
    "WhisperFeatureExtractor",
}


def check_files(name: str) -> None:
    """Refuse a model by its files; nothing larger than its weights is allocated.

    Args:
        name: a folder or a hub id.

    Raises:
        ValueError: they bring code, are damaged, or describe another model than the weights are of; the
            message is a clause that says why.
        OSError: there is no such model, or no way to the hub.
    """
    if name.startswith(("/", ".")) and not Path(name).is_dir():
        raise ValueError("there is no such folder")
    if find(name, "adapter_config.json"):
        raise ValueError("it is an addition to another model, not a whole one")
    files = {file: find(name, file) for file in (*SETTINGS, *OPTIONAL_SETTINGS, WEIGHTS)}
    for file, path in files.items():
        if path is None and file not in OPTIONAL_SETTINGS:
            raise ValueError(f"it has no {file}")
        if path and file != WEIGHTS:
            check_settings(path)
    held = count_weights(files[WEIGHTS])
    with torch.device("meta"):
        described = AutoModelForAudioClassification.from_config(
            AutoConfig.from_pretrained(name, trust_remote_code=False),
            trust_remote_code=False,
            dtype=torch.float32,  # its own would, for a moment, be that of every thread
        ).num_parameters()
    if described > held + SPARE:
        raise ValueError(
            f"its config.json describes {described:,} weights, but {WEIGHTS} has {held:,} numbers"
        )


def find(name: str, file: str) -> Path | None:
    """Find a file of a model, here or on the hub; None where it has none.

    Raises:
        OSError: there is no such model, or no way to the hub.
    """
    path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
    return Path(path) if path else None


def check_settings(path: Path) -> None:
    """Refuse settings that fetch something from elsewhere, or that ask for more than any model of speech has.

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
    """Count the numbers in a safetensors file by its header alone.

    Raises:
        ValueError: it is cut off or something else.
    """
    try:
        with safe_open(path, "pt") as file:
            return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"its {path.name} is damaged or cut off") from error


def _walk(key: str, value: object) -> Iterator[tuple[str, object]]:
    """Give every setting, those inside others, too, and those in a list by the list's name."""
    yield key, value
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from _walk(inner, each)
    elif isinstance(value, list):
        for each in value:
            yield from _walk(key, each)
