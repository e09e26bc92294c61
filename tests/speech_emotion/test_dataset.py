"""Rows of the prepared dataset as a script without this package's environment reads them."""

import re

import numpy as np
import pytest
from conftest import ROOT
from datasets import load_from_disk

from speech_emotion.dataset import open_dataset, read_clip, readable
from speech_emotion.models.loading import new_classifier


def test_rows_are_read_without_torchcodec(small_dataset):
    ours = open_dataset(str(small_dataset))["test"]
    rows = readable(load_from_disk(str(small_dataset)))["test"]
    assert len(rows) == len(ours) > 0
    for row, own in zip(rows, ours, strict=True):
        np.testing.assert_array_equal(row["audio"]["array"], read_clip(own))
        assert row["audio"]["sampling_rate"] == 16_000
    assert rows["emotion"][:] == ours["emotion"][:]


@pytest.mark.slow
def test_the_documents_examples_read_classify_and_score_rows(
    small_dataset, encoder_folder, tmp_path, monkeypatch, capsys
):
    blocks = re.findall(r"```python\n(.+?)```", (ROOT / "docs" / "data.md").read_text(), re.DOTALL)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "emotion").symlink_to(small_dataset)
    rows = open_dataset(str(small_dataset))["test"]
    model, extractor, _ = new_classifier(encoder_folder, rows.features["emotion"].names)
    for part in (model, extractor):
        part.save_pretrained(tmp_path / "models" / "wav2vec2")
    monkeypatch.chdir(tmp_path)
    exec("".join(blocks), {})
    first, labels, *answers, score = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\(\d+,\) 16000", first)
    assert labels.split()[1:] == [rows[0]["corpus"], rows[0]["speaker"]]
    assert len(answers) == len(rows)
    assert 0 <= float(score) <= 1
