import json
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from speech_emotion.training.arguments import Arguments, Recipe, check_arguments, has_accelerator
from speech_emotion.training.errors import ArgumentsError


@pytest.mark.parametrize(
    ("word", "resume"),
    [
        ("true", "true"), ("True", "true"), ("1", "true"), ("yes", "true"), (True, "true"),
        ("false", None), ("False", None), ("None", None), (None, None), (False, None),
        ("run/checkpoint-5", "run/checkpoint-5"),
    ],
)  # fmt: skip
def test_resuming_takes_booleans_in_any_spelling_and_paths(word, resume, tmp_path):
    args = Arguments(output_dir=str(tmp_path), use_cpu=True, resume_from_checkpoint=word)
    assert args.resume_from_checkpoint == resume


@pytest.mark.parametrize("there", [True, False])
def test_the_cpu_is_the_default_only_where_there_is_no_accelerator(there, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: there)  # CUDA, MPS, XPU ...
    assert has_accelerator() is there
    code = (
        f"import torch; torch.accelerator.is_available = lambda: {there}\n"
        "from speech_emotion.training.arguments import Arguments\nprint(Arguments.use_cpu)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(not there)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"model_config": "{widths"}, "--model_config is not JSON"),
        ({"model": "cnn", "lora_rank": 2}, "A CNN is trained from the start"),
        (
            {"model": "cnn", "distill_from": "somewhere"},
            "--distill_from needs --model cnn and --cached_views",
        ),
        ({"calibration_folds": 2}, "--calibration_folds calibrates what --refit trains: give both"),
        ({"protocol": ["fold:1", "fold:2"], "push_model_to": "me/it"}, "give one --protocol"),
    ],
)
def test_arguments_that_exclude_one_another_are_refused_in_a_sentence(recipe, sentence, tmp_path):
    args = Arguments(output_dir=str(tmp_path / "run"), use_cpu=True)
    check_arguments(Recipe(model_config=json.dumps({})), args)
    with pytest.raises(ArgumentsError, match=sentence):
        check_arguments(Recipe(**recipe), args)
