import sys

import numpy as np
import pytest
from conftest import voice
from datasets import concatenate_datasets

from data_prep import egemaps as module
from data_prep.egemaps import OpenSmileMissing, cached_egemaps, egemaps
from speech_emotion.dataset import open_dataset


@pytest.fixture(scope="module")
def rows(small_dataset):
    return concatenate_datasets(list(open_dataset(str(small_dataset)).values()))


@pytest.fixture
def asked(monkeypatch):
    """The numbers of clips whose features were computed, by a stand-in that needs no openSMILE."""
    counts = []

    def stand_in(waveforms, workers=None):
        counts.append(len(waveforms))
        return np.array([[audio.size, *audio[:87]] for audio in waveforms], np.float32)

    monkeypatch.setattr(module, "egemaps", stand_in)
    return counts


def test_features_follow_the_voice():
    pytest.importorskip("opensmile", reason="openSMILE is not installed")
    low, again, high = egemaps([voice(110), voice(110), voice(260)], workers=2)
    assert low.shape == (88,)
    assert low.dtype == np.float32
    assert np.array_equal(low, again)
    # The first feature is the mean pitch in semitones above 27.5 Hz.
    assert low[0] == pytest.approx(12 * np.log2(110 / 27.5), abs=0.5)
    assert high[0] == pytest.approx(12 * np.log2(260 / 27.5), abs=0.5)


def test_a_clip_is_computed_once_whatever_dataset_it_is_in(rows, asked, tmp_path):
    cache = tmp_path / "outputs" / "cache.npz"
    some = cached_egemaps(rows.select(range(5)), cache)
    everything = cached_egemaps(rows.shuffle(seed=1), cache)
    assert asked == [5, len(rows) - 5]
    assert everything.shape == (len(rows), 88)
    assert everything.dtype == np.float32
    assert np.array_equal(cached_egemaps(rows, cache)[:5], some)
    assert sum(asked) == len(rows)
    assert [path.name for path in cache.parent.iterdir()] == ["cache.npz"]


def test_an_interrupted_run_resumes_where_it_stopped(rows, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 10)
    read, left = module.read_clip, iter(range(25))

    def read_25(row):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return read(row)

    monkeypatch.setattr(module, "read_clip", read_25)
    with pytest.raises(KeyboardInterrupt):
        cached_egemaps(rows, tmp_path / "cache.npz")
    monkeypatch.setattr(module, "read_clip", read)
    cached_egemaps(rows, tmp_path / "cache.npz")
    assert sum(asked) == len(rows)


def test_without_opensmile_a_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    module._smile.cache_clear()
    with pytest.raises(OpenSmileMissing, match=r"pip install .speech-emotion-recognition\[bench\]."):
        egemaps([voice()])
