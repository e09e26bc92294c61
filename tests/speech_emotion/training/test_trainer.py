from types import SimpleNamespace

import pytest
import torch
from torch import nn

from speech_emotion.training.averaging import WeightAverage


def steps(average, model, state, targets):
    for target in targets:
        with torch.no_grad():
            model.weight.fill_(target)
        state.global_step += 1
        average.on_step_end(None, state, None, model=model)


@pytest.fixture
def model() -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def test_the_average_replaces_the_weights_during_evaluation_and_for_good_at_the_end(model):
    average, state = WeightAverage(0.5), SimpleNamespace(global_step=0, best_model_checkpoint=None)
    average.on_train_begin(None, state, None, model=model)
    steps(average, model, state, [1.0, 1.0])
    expected = 1 - (2 / 11) * (3 / 12)  # the first steps forget faster than the decay says
    with average.average_parameters(model):
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == 1.0
    average.on_train_end(SimpleNamespace(load_best_model_at_end=True), state, None, model=model)
    assert model.weight.item() == pytest.approx(expected)
    with average.average_parameters(model):  # the model is the average already
        assert model.weight.item() == pytest.approx(expected)


def test_without_decay_the_average_is_the_weights(model):
    average, state = WeightAverage(0.0), SimpleNamespace(global_step=0)
    average.on_train_begin(None, state, None, model=model)
    steps(average, model, state, [1.0, 3.0])
    with average.average_parameters(model):
        assert model.weight.item() == 3.0


def test_the_average_resumes_from_a_checkpoint_and_returns_to_the_best(model, tmp_path):
    args = SimpleNamespace(output_dir=tmp_path, load_best_model_at_end=True)
    state = SimpleNamespace(global_step=0, is_world_process_zero=True)
    average = WeightAverage(0.9)
    average.on_train_begin(args, state, None, model=model)
    steps(average, model, state, [1.0, 2.0])
    (tmp_path / "checkpoint-2").mkdir()
    average.save(tmp_path / "checkpoint-2")
    with average.average_parameters(model):
        saved = model.weight.item()
    steps(average, model, state, [5.0])
    with average.average_parameters(model):
        unbroken = model.weight.item()

    again, state = WeightAverage(0.9), SimpleNamespace(global_step=2)
    again.on_train_begin(args, state, None, model=model)
    steps(again, model, state, [5.0])
    with again.average_parameters(model):
        assert model.weight.item() == pytest.approx(unbroken)
    state.best_model_checkpoint = str(tmp_path / "checkpoint-2")
    again.on_train_end(args, state, None, model=model)
    assert model.weight.item() == pytest.approx(saved)
