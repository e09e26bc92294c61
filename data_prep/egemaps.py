"""eGeMAPS: 88 hand-made features of a voice (pitch, loudness, timbre, tempo), by openSMILE.

Eyben et al. (2016), https://doi.org/10.1109/TAFFC.2015.2457417, in the version eGeMAPSv02. openSMILE's
licence allows no commercial use, so only the extra `bench` installs it.
"""

import functools
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from datasets import Dataset
from tqdm import tqdm

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.dataset import read_clip

FEATURES = 88
CACHE = Path("outputs/eGeMAPSv02.npz")  # 0.4 kB a clip
BLOCK = 256  # clips whose waveforms are in memory together


class OpenSmileMissing(ImportError):
    """Raised where openSMILE is not installed; the message is a sentence that tells how to install it."""


def egemaps(waveforms: Iterable[np.ndarray], workers: int | None = None) -> np.ndarray:
    """Compute the eGeMAPSv02 functionals of whole clips, about 20 clips a second on each core.

    Args:
        waveforms: float32 samples of shape [n] each, 16 kHz.
        workers: processes; by default one per core. (Threads gain nothing: openSMILE calls back into Python.)

    Returns:
        float32 features of shape [clips, 88], in openSMILE's order and units.

    Raises:
        OpenSmileMissing: it is not installed.
    """
    _smile()
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        rows = list(pool.map(_functionals, waveforms, chunksize=8))
    return np.array(rows, np.float32).reshape(-1, FEATURES)


def cached_egemaps(rows: Dataset, cache: Path = CACHE, workers: int | None = None) -> np.ndarray:
    """Return the features of a dataset's clips; those computed before, for any dataset, come from a file.

    Args:
        rows: clips with their encoded `audio` and their `sha256`.
        cache: the file, a numpy archive of `sha256` [n] and `features` [n, 88]; made where it is missing. It
            grows after every block of clips, so the next call continues an interrupted one.
        workers: processes; by default one per core.

    Returns:
        float32 features of shape [len(rows), 88].

    Raises:
        OpenSmileMissing: a clip is not in the file, and openSMILE is not installed.
    """
    hashes = rows["sha256"][:]
    known = _load(cache)
    missing = [index for index, digest in enumerate(hashes) if digest not in known]
    with tqdm(total=len(missing), desc="eGeMAPS", unit="clip", disable=not missing) as bar:
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            features = egemaps([read_clip(rows[index]) for index in block], workers)
            known |= zip((hashes[index] for index in block), features, strict=True)
            _save(cache, known)
            bar.update(len(block))
    return np.array([known[digest] for digest in hashes], np.float32).reshape(-1, FEATURES)


def _load(cache: Path) -> dict[str, np.ndarray]:
    if not cache.exists():
        return {}
    with np.load(cache) as archive:
        return dict(zip(archive["sha256"].tolist(), archive["features"], strict=True))


def _save(cache: Path, known: dict[str, np.ndarray]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    aside = cache.with_suffix(".part.npz")
    np.savez(aside, sha256=np.array(list(known)), features=np.array(list(known.values())))
    aside.replace(cache)


@functools.cache
def _smile():
    try:
        import opensmile
    except ModuleNotFoundError as error:
        raise OpenSmileMissing(
            "openSMILE is not installed; pip install 'speech-emotion-recognition[bench]' brings it."
        ) from error
    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


def _functionals(audio: np.ndarray) -> np.ndarray:
    return _smile()(audio, SAMPLE_RATE).ravel()
