"""The Trainer, its loss and its metric."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import nn
from transformers import Trainer

from speech_emotion.evaluation.metrics import EmotionMetric
from speech_emotion.training import checkpoints
from speech_emotion.training.augmentation import mix_up
from speech_emotion.training.averaging import WeightAverage
from speech_emotion.training.inputs import SeededClips
from speech_emotion.training.sampling import LengthSampler, SeededSampler


class EmotionTrainer(Trainer):
    """transformers.Trainer with two learning rates, mix-up, averaged weights and batches of similar length.

    It marks its checkpoints as complete, see `checkpoints`.

    Args:
        args: those of transformers.Trainer.
        new_parameters: parameters that start at random.
        head_learning_rate: peak learning rate of these.
        mixup: alpha of mix-up; 0: none.
        clip_weights: how often each training clip is drawn, shape [clips]; None: each once an epoch.
        ema_decay: decay of the moving average of the weights.
        train_dataset: a ClipDataset or CachedDataset.
        kwargs: those of transformers.Trainer.
    """

    def __init__(
        self,
        *args,
        new_parameters: set[nn.Parameter],
        head_learning_rate: float,
        mixup: float,
        clip_weights: np.ndarray | None,
        ema_decay: float,
        train_dataset: torch.utils.data.Dataset,
        **kwargs,
    ):
        self.new_parameters = new_parameters
        self.head_learning_rate = head_learning_rate
        self.mixup = mixup
        self.clip_weights = clip_weights
        super().__init__(*args, train_dataset=SeededClips(train_dataset), **kwargs)
        self.average = WeightAverage(ema_decay)
        self.add_callback(self.average)

    def evaluation_loop(self, *args, **kwargs) -> transformers.trainer_utils.EvalLoopOutput:
        """Evaluate the average of the weights."""
        with self.average.average_parameters(self.model):
            return super().evaluation_loop(*args, **kwargs)

    def predict_logits(self, clips: torch.utils.data.Dataset) -> np.ndarray:
        """Compute logits in the order of the clips: float32, shape [clips, classes]."""
        order = list(self._get_eval_sampler(clips))
        logits = np.empty((len(clips), self.model.config.num_labels), np.float32)
        logits[order] = self.predict(clips).predictions
        return logits

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Build AdamW with a group each for pretrained and new, decayed and undecayed parameters."""
        if self.optimizer is None:
            decayed = set(self.get_decay_parameter_names(self.model))
            groups = {}
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    key = (parameter in self.new_parameters, name in decayed)
                    groups.setdefault(key, []).append(parameter)
            optimizer, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            options |= {"lr": self.args.learning_rate}
            self.optimizer = optimizer(
                [
                    {
                        "params": parameters,
                        "lr": self.head_learning_rate if new else self.args.learning_rate,
                        "weight_decay": self.args.weight_decay if decay else 0.0,
                    }
                    for (new, decay), parameters in groups.items()
                ],
                **options,
            )
        return self.optimizer

    def training_step(self, model: nn.Module, inputs: dict, *args, **kwargs) -> torch.Tensor:
        """Apply mix-up to the batch, then train on it."""
        classes = self.model.config.num_labels
        return super().training_step(model, mix_up(inputs, classes, self.mixup), *args, **kwargs)

    def _save_checkpoint(self, *args, **kwargs) -> None:
        """Write a checkpoint, mark it complete, and only then delete the ones it replaces."""
        checkpoint = Path(self.args.output_dir, f"checkpoint-{self.state.global_step}")
        if self.is_world_process_zero():
            checkpoints.claim(checkpoint)
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(*args, **kwargs)
        except RuntimeError as error:
            if "inline_container" not in str(error):  # torch.save hides the system's own error
                raise
            raise OSError(f"{self.args.output_dir} takes no checkpoint: is the disk full?") from error
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            self.average.save(checkpoint)
            checkpoints.mark_complete(checkpoint)
            best = self.state.best_model_checkpoint
            checkpoints.rotate(checkpoint.parent, limit, Path(best) if best else None)

    def _get_train_sampler(self, train_dataset: torch.utils.data.Dataset | None = None) -> "SeededSampler":
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        durations = self.train_dataset.clips.durations
        return SeededSampler(durations, batch, self.clip_weights, self._epoch_seed)

    def _epoch_seed(self) -> int:
        """Return the seed of the current epoch's order; the sampler calls this when an epoch begins.

        Trainer and accelerate set the epoch of a sampler, but not of one that is wrapped twice: to share
        batches among processes, and to skip batches of a resumed epoch.
        """
        return self.args.seed + math.floor(self.state.epoch or 0)

    def _get_eval_sampler(self, eval_dataset: torch.utils.data.Dataset) -> "LengthSampler":
        return LengthSampler(eval_dataset.durations, self.args.eval_batch_size)


def make_loss(smoothing: float) -> Callable:
    """Return the cross-entropy with label smoothing, for class indices and for shares of classes alike.

    A loss that the model itself computes for each clip, as `DistillationHead` does, is added.
    """

    def loss(outputs, targets: torch.Tensor, num_items_in_batch: int | None = None) -> torch.Tensor:
        each = nn.functional.cross_entropy(
            outputs.logits.float(), targets, label_smoothing=smoothing, reduction="none"
        )
        each = each if outputs.loss is None else each + outputs.loss
        return each.mean() if num_items_in_batch is None else each.sum() / num_items_in_batch

    return loss


def score(evaluation: transformers.EvalPrediction) -> dict[str, float]:
    """Compute accuracy, UAR, macro-F1 and weighted F1 of validation clips."""
    metric = EmotionMetric(keep_in_memory=True)
    return metric.compute(predictions=evaluation.predictions.argmax(axis=1), references=evaluation.label_ids)
