"""An exponential moving average of the weights, which is evaluated and saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback


class WeightAverage(TrainerCallback):
    """Keeps an exponential moving average of the weights, which is what is evaluated and, in the end, kept.

    It hears new speakers more evenly from epoch to epoch than the weights themselves (Izmailov et al. 2018,
    https://arxiv.org/abs/1803.05407, for averages in general). Early steps count less: they know little.

    Args:
        decay: what one step leaves of the average, 0..1.
    """

    FILE = "average.safetensors"  # in each of the Trainer's checkpoints

    def __init__(self, decay: float):
        self.decay = decay
        self.weights: dict[str, torch.Tensor] | None = None

    def on_train_begin(self, args, state, control, model: nn.Module, **kwargs) -> None:
        """Start from the weights as they are, or from the checkpoint that training goes on from."""
        self.weights = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
        if state.global_step:
            self.weights |= load_file(Path(args.output_dir, f"checkpoint-{state.global_step}", self.FILE))

    @torch.no_grad()
    def on_step_end(self, args, state, control, model: nn.Module, **kwargs) -> None:
        """Move the average towards the weights."""
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, weight in model.state_dict().items():
            if weight.is_floating_point():
                self.weights[name].lerp_(weight, 1 - decay)

    def save(self, checkpoint: Path) -> None:
        """Write the average into a checkpoint."""
        save_file(
            {name: weight.contiguous() for name, weight in self.weights.items()}, checkpoint / self.FILE
        )

    def on_train_end(self, args, state, control, model: nn.Module, **kwargs) -> None:
        """Leave the model with the average: of the best epoch, where that is what training chooses."""
        if args.load_best_model_at_end and state.best_model_checkpoint:
            self.weights = load_file(Path(state.best_model_checkpoint, self.FILE))
        model.load_state_dict(self.weights)
        self.weights = None

    @contextmanager
    def average_parameters(self, model: nn.Module) -> Iterator[None]:
        """Put the average in the place of the weights for a while."""
        if self.weights is None:
            yield
            return
        own = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
        model.load_state_dict(self.weights)
        try:
            yield
        finally:
            model.load_state_dict(own)
