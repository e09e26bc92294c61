"""Faults in training, preparation and measuring: nothing is lost, and nothing incomplete replaces anything."""

import json
import random
import shutil
import sys
from pathlib import Path

import faults
import pytest
import torch
from conftest import voice, write_wav
from faults import Work, contents, damage, measurement, moments, preparation, run, training
from transformers import Wav2Vec2Config, Wav2Vec2Model

import distill
from data_prep.build import build_dataset

pytestmark = pytest.mark.slow

torch.set_num_threads(1)  # a forked process has no other threads to wait for


@pytest.fixture(scope="module")
def other_dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("other")
    for actor in range(1, 9):
        write_wav(folder / "corpora" / f"03-01-03-01-01-01-{actor:02}.wav", voice(seed=actor))
    build_dataset(folder / "corpora", folder / "emotion", workers=1)
    return folder / "emotion"


@pytest.fixture(scope="module")
def trained(small_dataset, tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """A finished training: its scratch folder, and the files it wrote."""
    folder = tmp_path_factory.mktemp("trained")
    whole = training(small_dataset, None).finish(folder / "scratch", folder / "log")
    return folder / "scratch", whole


@pytest.fixture(scope="module")
def works(small_corpora, small_dataset, other_dataset, cnn_folder, trained) -> dict[str, Work]:
    return {
        "training": training(small_dataset, cnn_folder),
        "refit on kept states": training(small_dataset, cnn_folder, "--cached_views=as_it_lies", "--refit"),
        "preparation": preparation(small_corpora, other_dataset),
        "measurement": measurement(small_dataset, trained[0] / "made"),
    }


@pytest.mark.parametrize("name", ["training", "refit on kept states", "preparation", "measurement"])
def test_a_kill_a_full_disk_or_denied_writing_loses_nothing(name, works, tmp_path):
    work = works[name]
    whole = work.finish(tmp_path / "unbroken", tmp_path / "log")
    last = moments(tmp_path / "log") - 1
    assert last > 5
    draw = random.Random(name)  # benchmarks/faults.py tries every moment
    plan = [("kill", last), ("kill", draw.randrange(last)), ("full", draw.randrange(last)), ("denied", 0)]
    for number, (kind, moment) in enumerate(plan):
        scratch = tmp_path / str(number)

        def strike(task, log, kind=kind, moment=moment, scratch=scratch):
            return run(task, log, kind, moment, scratch)

        assert work.suffer(scratch, tmp_path / "log", whole, strike) == "", (kind, moment)


def test_the_same_seed_and_data_give_the_same_weights(works, trained, small_dataset, tmp_path):
    again = training(small_dataset, None).finish(tmp_path / "again", tmp_path / "log")
    other = training(small_dataset, None, "--seed=1").finish(tmp_path / "other", tmp_path / "log")
    weights = trained[1]["model.safetensors"]
    assert again["model.safetensors"] == weights
    assert other["model.safetensors"] != weights


@pytest.mark.parametrize("how", ["lost", "cut", "flipped"])
def test_a_damaged_checkpoint_is_skipped(how, trained, small_dataset, tmp_path):
    scratch, whole = trained
    files = sorted(path.name for path in (scratch / "run" / "checkpoint-10").iterdir())
    assert {"model.safetensors", "average.safetensors", "optimizer.pt", "trainer_state.json"} <= set(files)
    work = training(small_dataset, None)
    for name in {"lost": ["complete.json"], "cut": ["optimizer.pt"], "flipped": ["average.safetensors"]}[how]:
        shutil.copytree(scratch, tmp_path / name)
        shutil.rmtree(tmp_path / name / "made")
        damage(tmp_path / name / "run" / "checkpoint-10" / name, how)
        assert run(lambda name=name: work.go_on(tmp_path / name), tmp_path / "log") == 0
        assert "checkpoint-10 is cut off or damaged, and removed." in (tmp_path / "log").read_text()
        assert contents(tmp_path / name / "made")["model.safetensors"] == whole["model.safetensors"]


def test_a_checkpoint_requested_by_name_must_be_complete(trained, small_dataset, tmp_path):
    shutil.copytree(trained[0], tmp_path / "scratch")
    checkpoint = tmp_path / "scratch" / "run" / "checkpoint-10"
    damage(checkpoint / "optimizer.pt", "cut")
    work = training(small_dataset, None, f"--resume_from_checkpoint={checkpoint}")
    assert run(lambda: work.start(tmp_path / "scratch"), tmp_path / "log") == 1
    assert f"{checkpoint} is cut off or damaged." in (tmp_path / "log").read_text()


def test_a_new_training_uses_nothing_of_an_earlier_one(trained, small_dataset, tmp_path):
    shutil.copytree(trained[0], tmp_path / "scratch")
    work = training(small_dataset, None, "--num_train_epochs=1")
    assert run(lambda: work.start(tmp_path / "scratch"), tmp_path / "log") == 0
    assert [path.name for path in (tmp_path / "scratch" / "run").glob("checkpoint-*")] == ["checkpoint-5"]


@pytest.mark.parametrize(
    ("file", "how"),
    [
        ("train/data-00000-of-00001.arrow", "lost"),
        ("train/data-00000-of-00001.arrow", "cut"),
        ("train/data-00000-of-00001.arrow", "flipped"),
        ("test/state.json", "cut"),
        ("validation/dataset_info.json", "lost"),
        ("dataset_dict.json", "cut"),
    ],
)
def test_a_damaged_dataset_is_reported(file, how, small_dataset, tmp_path):
    data = shutil.copytree(small_dataset, tmp_path / "data")
    damage(data / file, how)
    assert run(lambda: training(data, None).start(tmp_path / "scratch"), tmp_path / "log") == 1
    said = (tmp_path / "log").read_text()
    assert "is damaged" in said
    assert "Make the dataset again with python -m data_prep." in said
    assert "Traceback" not in said
    assert not (tmp_path / "scratch" / "made").exists()


@pytest.mark.parametrize("how", ["cut", "lost"])
def test_damaged_cached_states_are_computed_again(how, small_dataset, tmp_path):
    work = training(small_dataset, None, "--cached_views=as_it_lies", "--num_train_epochs=1")
    whole = work.finish(tmp_path / "scratch", tmp_path / "log")
    files = sorted((tmp_path / "scratch" / "states").glob("*/*"))
    assert files
    for file in files:
        damage(file, how)
        assert run(lambda: work.start(tmp_path / "scratch"), tmp_path / "log") == 0, file
        assert contents(tmp_path / "scratch" / "made")["model.safetensors"] == whole["model.safetensors"]


def test_only_a_model_folder_is_replaced_and_checkpoints_lie_outside_it(small_dataset, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "letter.txt").write_text("dear")
    work = training(small_dataset, None)
    assert run(lambda: work.start(tmp_path), tmp_path / "log") == 1
    assert f"{tmp_path}/made holds something without a config.json" in (tmp_path / "log").read_text()
    inside = training(small_dataset, None, f"--output_dir={tmp_path}/made/run")
    assert run(lambda: inside.start(tmp_path), tmp_path / "log") == 1
    assert "change --output_dir." in (tmp_path / "log").read_text()
    assert contents(tmp_path / "made") == {"letter.txt": b"dear"}


def test_a_distilled_encoder_replaces_another_only_when_it_is_complete(tmp_path):
    config = Wav2Vec2Config(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, conv_dim=(8,),
        conv_kernel=(8,), conv_stride=(8,), num_conv_pos_embeddings=2, num_conv_pos_embedding_groups=1,
    )  # fmt: skip
    student = Wav2Vec2Model(config)
    prior = tmp_path / "prior"
    distill.save(student, {"seed": 0}, prior)

    def start(scratch: Path) -> None:
        distill.save(student, {"seed": 1}, scratch / "made")

    work = Work(start, start, prior, "")
    whole = work.finish(tmp_path / "unbroken", tmp_path / "log")
    for moment in range(moments(tmp_path / "log")):
        scratch = tmp_path / str(moment)

        def strike(task, log, moment=moment, scratch=scratch):
            return run(task, log, "kill", moment, scratch)

        assert work.suffer(scratch, tmp_path / "log", whole, strike) == "", moment
    assert json.loads(whole["distillation.json"]) == {"seed": 1}
    assert sys.argv  # the forked process changed only its own


def test_careless_work_is_found_to_lose_something(tmp_path):
    def careless(scratch: Path) -> None:
        for name in ("one", "two"):
            (scratch / "made").mkdir(exist_ok=True)
            (scratch / "made" / name).write_text(name)

    work = Work(careless, careless, None, "")
    whole = work.finish(tmp_path / "unbroken", tmp_path / "log")
    losses = []
    for kind in faults.KINDS:
        scratch = tmp_path / kind

        def strike(task, log, kind=kind, scratch=scratch):
            return run(task, log, kind, 3, scratch)

        losses.append(work.suffer(scratch, tmp_path / "log", whole, strike))
    assert losses[0].startswith("left half of it")
    assert all("not in a sentence" in loss for loss in losses[1:])
