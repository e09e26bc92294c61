import io
import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT, voice, write_wav
from datasets import load_dataset
from hub import TOKEN, Hub

from data_prep import publish
from data_prep.__main__ import main
from data_prep.build import build_dataset
from data_prep.corpora import CORPORA
from data_prep.publish import stage
from speech_emotion.hub import PublishError

LOAD = """
import json, sys
from datasets import Audio, load_dataset
from speech_emotion.dataset import open_dataset, read_clip

streamed = load_dataset("you/emotion", streaming=True).cast_column("audio", Audio(decode=False))
rows = [
    [split, row["corpus"], row["sha256"], row["audio"] and bool(row["audio"]["bytes"])]
    for split, each in streamed.items() for row in each
]
whole = load_dataset("you/emotion")
assert whole["train"].features["audio"] == Audio(sampling_rate=16_000)
assert [row[2] for row in rows] == [sha for each in whole.values() for sha in each["sha256"]]
opened = open_dataset("you/emotion")
heard = {split: len([read_clip(row) for row in each]) for split, each in opened.items()}
print(json.dumps({"rows": rows, "heard": heard}))
"""


def run(hub: Hub, home, *arguments, token: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *map(str, arguments)]
    environment = os.environ | hub.environment(home, token)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


def test_a_public_copy_has_every_row_and_no_audio_that_may_not_be_passed_on(hub, small_corpora, tmp_path):
    build = ("-m", "data_prep", "--corpora", small_corpora, "--output", tmp_path / "out")
    result = run(hub, tmp_path / "mine", *build, "--push_to_hub", "you/emotion", token=TOKEN)
    assert result.returncode == 0, result.stderr
    assert f"Published: {hub.url}/datasets/you/emotion" in result.stdout
    published = hub.repositories["datasets/you/emotion"]
    assert not published.private
    assert {"README.md", "preparation.json"} < set(published.files)
    result = run(hub, tmp_path / "another", "-c", LOAD, token="")
    assert result.returncode == 0, result.stderr[-3000:]
    loaded = json.loads(result.stdout.splitlines()[-1])
    assert {(corpus, there) for _, corpus, _, there in loaded["rows"]} == {("ravdess", True), ("savee", None)}
    assert len(loaded["rows"]) == 32
    assert sum(loaded["heard"].values()) == 24  # what can be trained on


def test_a_private_copy_has_all_audio_and_takes_nothing_public_over(hub, small_dataset, monkeypatch):
    hub.adopt(monkeypatch)
    assert publish.publish(small_dataset, "you/emotion", private=True) == f"{hub.url}/datasets/you/emotion"
    published = hub.repositories["datasets/you/emotion"]
    assert published.private
    shards = [content for path, content in published.files.items() if path.endswith(".parquet")]
    audio = [row for shard in shards for row in pq.read_table(io.BytesIO(shard))["audio"].to_pylist()]
    assert len(audio) == 32
    assert all(row["bytes"].startswith(b"fLaC") for row in audio)
    published.private, before = False, published.sha
    with pytest.raises(PublishError, match="you/emotion is public already, so nothing private is published"):
        publish.publish(small_dataset, "you/emotion", private=True)
    assert published.sha == before


def test_the_command_publishes_privately_and_says_what_keeps_it_from_publishing(
    hub, small_corpora, tmp_path, monkeypatch
):
    command = [
        "data_prep",
        "--corpora",
        str(small_corpora),
        "--output",
        str(tmp_path / "out"),
        "--workers",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", [*command, "--push_to_hub", "you/emotion", "--private"])
    hub.adopt(monkeypatch)
    main()
    assert hub.repositories["datasets/you/emotion"].private
    hub.adopt(monkeypatch, token="hf_forgotten")
    with pytest.raises(SystemExit, match="log in with hf auth login, or set HF_TOKEN"):
        main()
    assert (tmp_path / "out" / "preparation.json").exists()


def test_the_same_dataset_becomes_the_same_bytes_in_shards_of_small_row_groups(
    small_dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(publish, "SHARD_BYTES", 200_000)
    monkeypatch.setattr(publish, "ROW_GROUP", 2)
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = stage(small_dataset, tmp_path / name, "you/emotion", private=True)
        contents.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")})
    assert contents[0] == contents[1]
    shards = sorted((tmp_path / "one" / "data").glob("train-*.parquet"))
    assert len(shards) > 1
    assert all(pq.ParquetFile(shard).metadata.row_group(0).num_rows <= 2 for shard in shards)
    loaded = load_dataset(str(tmp_path / "one"), cache_dir=str(tmp_path / "cache"))
    assert sum(map(len, loaded.values())) == 32


def test_the_card_says_what_is_in_it(small_dataset, tmp_path):
    card = (stage(small_dataset, tmp_path, "you/emotion", private=False) / "README.md").read_text()
    assert "$" not in card
    header = yaml.safe_load(card.split("---")[1])
    assert header["license"] == "other"
    assert header["task_categories"] == ["audio-classification"]
    assert header["size_categories"] == ["n<1K"]
    assert [file["split"] for file in header["configs"][0]["data_files"]] == ["train", "validation", "test"]
    assert "| SAVEE | train | 0 | 0 | 0 | 0 | 2 | 0 | 2 | 0 | 0 | 4 |" in card
    assert header["language"] == ["en"]
    assert "| research only | research; nothing passed on | no |" in card
    assert "| sadness | sad | the noun for sad (SAVEE" in card
    assert "No speaker is in two of training, validation and test." in card
    assert "the rows of SAVEE have no audio" in card
    assert "@article{livingstone2018ravdess," in card
    assert "CREMA-D" not in card.partition("## Licences")[2].partition("## Limits")[0]
    assert 'load_dataset("you/emotion", streaming=True)' in card


def test_recordings_of_your_own_are_published_in_private_only(small_corpora, tmp_path):
    write_wav(tmp_path / "mine" / "angry" / "1.wav", voice())
    build_dataset(small_corpora, tmp_path / "out", custom_sources=[tmp_path / "mine"], workers=1)
    for private, number in ((False, 0), (True, 1)):
        folder = tmp_path / str(private)
        folder.mkdir()
        stage(tmp_path / "out", folder, "you/emotion", private)
        shards = [pq.read_table(shard) for shard in folder.glob("data/*.parquet")]
        rows = [row for shard in shards for row in shard.to_pylist() if row["corpus"] == "mine"]
        assert len(rows) == 1
        assert sum(row["audio"] is not None for row in rows) == number
        assert "| mine | not stated | nothing stated | no |" in (folder / "README.md").read_text()


def test_the_card_warns_of_splits_that_leak(small_dataset, tmp_path):
    report = {"scheme": "core8", "trim_db": None, "protocol": "random", "leaks_speakers": True}
    card = publish.fill_card(publish.load_from_disk(small_dataset), report, "you/emotion", private=True)
    assert "Made by the protocol `random`. **Speakers leak**" in card
    assert "silence left in" in card
    assert "Do not make it public" in card


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_every_corpus_says_how_to_cite_it_and_whether_it_may_be_passed_on(corpus):
    assert corpus.NAME
    assert corpus.HOMEPAGE.startswith("http")
    assert corpus.LICENSE
    assert corpus.ALLOWS
    assert isinstance(corpus.REDISTRIBUTABLE, bool)
    assert corpus.CITATION.startswith("@")
    assert corpus.CITATION.count("{") == corpus.CITATION.count("}")


def test_the_card_warns_of_labels_from_pictures_and_of_nearly_one_label(small_corpora, tmp_path):
    lines = ["path,emotion,speaker,dialogue"]
    for number, emotion in enumerate(("joy", "sadness", "anger", "fear")):
        write_wav(tmp_path / f"{number}.wav", voice(seed=60 + number))
        lines.append(f"{number}.wav,{emotion},joey,1")
    (tmp_path / "MELD.csv").write_text("\n".join(lines))
    (tmp_path / "calls.csv").write_text("path,emotion,speaker\ncall.wav,angry,ann\n")
    write_wav(tmp_path / "call.wav", voice(seed=70))
    build_dataset(
        small_corpora,
        tmp_path / "out",
        custom_sources=[tmp_path / "MELD.csv", tmp_path / "calls.csv"],
        workers=1,
    )
    (tmp_path / "staged").mkdir()
    card = (
        stage(tmp_path / "out", tmp_path / "staged", "you/emotion", private=False) / "README.md"
    ).read_text()
    assert "MELD's labels were given with picture and words" in card
    assert "| [MELD](https://affective-meld.github.io/) | GPL-3.0; footage of third parties |" in card
    assert "calls has nearly one label: 100% of its 1 clips are angry" in card
    assert "A split `aside`" in card
