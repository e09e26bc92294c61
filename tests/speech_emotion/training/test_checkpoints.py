import json

import pytest

from speech_emotion.training import checkpoints
from speech_emotion.training.errors import ArgumentsError, CheckpointError


def write(folder, *steps, complete=True):
    """Write checkpoints as train.py does, each with one file of weights."""
    for step in steps:
        checkpoint = folder / f"checkpoint-{step}"
        checkpoints.claim(checkpoint)
        (checkpoint / "model.safetensors").write_text(f"weights {step}")
        (checkpoint / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": None}))
        if complete:
            checkpoints.mark_complete(checkpoint)
    return folder


def steps(folder):
    return sorted(int(path.name.partition("-")[2]) for path in folder.glob("checkpoint-*"))


@pytest.mark.parametrize("resume", [None, "true"])
@pytest.mark.parametrize("place", ["", "refit", "held-out-1"])
def test_checkpoints_of_another_program_are_neither_removed_nor_mixed_with(resume, place, tmp_path):
    write(tmp_path, 5, 10)
    foreign = tmp_path / place / "checkpoint-7"
    foreign.mkdir(parents=True)
    (foreign / "model.safetensors").write_text("another program's weights")
    with pytest.raises(
        ArgumentsError, match=r"did not write \(checkpoint-7\): choose another --output_dir\."
    ):
        checkpoints.clear_stale(tmp_path, resume)
    assert (foreign / "model.safetensors").read_text() == "another program's weights"
    assert set(steps(tmp_path)) >= {5, 10}


def test_a_new_training_removes_its_own_checkpoints_and_nothing_else(tmp_path):
    write(tmp_path, 5, 10)
    write(tmp_path / "refit", 3, complete=False)  # cut off
    (tmp_path / "checkpoint-15").mkdir()  # killed before its first file
    for name in ("checkpoint-best", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "letter.txt").write_text("dear")
    checkpoints.clear_stale(tmp_path, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-best", "notes", "refit"]
    assert not any((tmp_path / "refit").iterdir())


def test_a_checkpoint_half_removed_when_the_process_was_killed_is_cleared(tmp_path):
    write(tmp_path, 5)
    (tmp_path / "checkpoint-5").rename(tmp_path / ".checkpoint-5.removed")
    checkpoints.clear_stale(tmp_path, "true")
    assert not any(tmp_path.iterdir())


def test_training_resumes_from_the_latest_complete_checkpoint(tmp_path):
    write(tmp_path, 5, 10)
    write(tmp_path, 15, complete=False)
    (tmp_path / "checkpoint-10" / "model.safetensors").write_text("damaged")
    assert checkpoints.find_resumable(tmp_path, "true") == str(tmp_path / "checkpoint-5")
    assert steps(tmp_path) == [5]
    assert checkpoints.find_resumable(tmp_path / "empty", "true") is None
    assert checkpoints.find_resumable(tmp_path, None) is None


def test_a_checkpoint_given_by_its_path_must_be_complete(tmp_path):
    write(tmp_path, 5)
    path = str(tmp_path / "checkpoint-5")
    assert checkpoints.find_resumable(tmp_path, path) == path
    (tmp_path / "checkpoint-5" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"checkpoint-5 is cut off or damaged\."):
        checkpoints.find_resumable(tmp_path, path)


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [
        (None, None, [5, 10, 15, 20]),
        (2, None, [15, 20]),
        (2, 5, [5, 20]),
        (3, 5, [5, 15, 20]),
        (1, 20, [20]),
        (1, 10, [10, 20]),
        (9, 10, [5, 10, 15, 20]),
    ],
)
def test_rotation_keeps_the_latest_and_the_best(limit, best, kept, tmp_path):
    write(tmp_path, 5, 10, 15, 20)
    checkpoints.rotate(tmp_path, limit, best and tmp_path / f"checkpoint-{best}")
    assert steps(tmp_path) == kept
