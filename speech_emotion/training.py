"""What `train.py` trains with: the Trainer, the loss, and what happens to a model before its first step."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers
from datasets import Dataset
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import PreTrainedModel, Trainer, TrainerCallback
from transformers.trainer_utils import rotate_checkpoints

from speech_emotion import checkpoints
from speech_emotion.augmentation import mix_up
from speech_emotion.data import seeded
from speech_emotion.metrics import EmotionMetric
from speech_emotion.models import extract

PROBE_C = 0.01  # inverse regularisation of the linear probe, chosen on validation speakers


class WeightAverage(TrainerCallback):
    """Keeps an exponential moving average of the weights, which is what is evaluated and, in the end, kept.

    It hears new speakers more evenly from epoch to epoch than the weights themselves (Izmailov et al. 2018,
    https://arxiv.org/abs/1803.05407, for averages in general). Early steps count less: they know little.

    Args:
        decay: what one step leaves of the average, 0..1.
    """

    FILE = "average.safetensors"  # beside each of the Trainer's checkpoints

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
    def lend(self, model: nn.Module) -> Iterator[None]:
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


class EmotionTrainer(Trainer):
    """transformers.Trainer with two learning rates, mix-up, averaged weights, and batches by length.

    Its checkpoints are known to be whole, see `checkpoints`.
    """

    def __init__(
        self,
        *args,
        new_parameters: set[nn.Parameter],
        new_learning_rate: float,
        mixup: float,
        clip_weights: np.ndarray | None,
        ema_decay: float,
        train_dataset: torch.utils.data.Dataset,
        **kwargs,
    ):
        self.new_parameters = new_parameters
        self.new_learning_rate = new_learning_rate
        self.mixup = mixup
        self.clip_weights = clip_weights
        super().__init__(*args, train_dataset=SeededClips(train_dataset), **kwargs)
        self.average = WeightAverage(ema_decay)
        self.add_callback(self.average)

    def evaluation_loop(self, *args, **kwargs) -> transformers.trainer_utils.EvalLoopOutput:
        """Evaluate the average of the weights."""
        with self.average.lend(self.model):
            return super().evaluation_loop(*args, **kwargs)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make AdamW with a group each for pretrained and new, decayed and undecayed parameters."""
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
                        "lr": self.new_learning_rate if new else self.args.learning_rate,
                        "weight_decay": self.args.weight_decay if decay else 0.0,
                    }
                    for (new, decay), parameters in groups.items()
                ],
                **options,
            )
        return self.optimizer

    def training_step(self, model: nn.Module, inputs: dict, *args, **kwargs) -> torch.Tensor:
        """Mix the batch up first."""
        classes = self.model.config.num_labels
        return super().training_step(model, mix_up(inputs, classes, self.mixup), *args, **kwargs)

    def _save_checkpoint(self, *args, **kwargs) -> None:
        """Write a checkpoint, vouch for it when it is whole, and only then drop those it makes needless."""
        keep, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(*args, **kwargs)
        except RuntimeError as error:
            if "inline_container" not in str(error):  # torch.save, which says nothing of the system's reason
                raise
            raise OSError(f"{self.args.output_dir} takes no checkpoint: is the disk full?") from error
        finally:
            self.args.save_total_limit = keep
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            checkpoint = Path(self.args.output_dir, f"checkpoint-{self.state.global_step}")
            self.average.save(checkpoint)
            checkpoints.vouch(checkpoint)
            rotate_checkpoints(self.args.output_dir, keep, self.state.best_model_checkpoint)

    def _get_train_sampler(self, train_dataset: torch.utils.data.Dataset | None = None) -> "SeededSampler":
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        durations = self.train_dataset.clips.durations
        return SeededSampler(durations, batch, self.clip_weights, self._epoch_seed)

    def _epoch_seed(self) -> int:
        """Give each epoch's order a seed, asked for when it begins.

        Trainer and accelerate tell a sampler its epoch, but not one that lies below both the shares of
        several processes and the skipping of a resumed epoch.
        """
        return self.args.seed + math.floor(self.state.epoch or 0)

    def _get_eval_sampler(self, eval_dataset: torch.utils.data.Dataset) -> "LengthSampler":
        return LengthSampler(eval_dataset.durations, self.args.eval_batch_size)


class LengthSampler(torch.utils.data.Sampler):
    """Batches of clips of about one length, in random order.

    transformers' own LengthGroupedSampler goes from long to short through 50 batches at a time. Corpora
    differ in length, so that is from corpus to corpus, and training suffers.

    The seed alone decides the order: every process draws the same one and takes its share of each batch.

    Args:
        durations: of the clips.
        batch: clips that one step learns from, those of all processes together.
        weights: how often each clip is drawn, relative to the others; None: each once.
        seed: gives the seed of an order when one is drawn.
    """

    POOL = 8  # batches whose clips are sorted together

    def __init__(
        self,
        durations: list[float],
        batch: int,
        weights: np.ndarray | None = None,
        seed: Callable[[], int] = lambda: 0,
    ):
        self.durations = torch.tensor(durations)
        self.batch = batch
        self.weights = None if weights is None else torch.tensor(weights)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.durations)

    def __iter__(self) -> Iterator[int]:
        """Give the indices of the clips, batch after batch."""
        dice = torch.Generator().manual_seed(self.seed())
        drawn = torch.randperm(len(self), generator=dice)
        if self.weights is not None:
            drawn = torch.multinomial(self.weights, len(self), replacement=True, generator=dice)
        pools = drawn.split(self.POOL * self.batch)
        batches = [
            batch for pool in pools for batch in pool[self.durations[pool].argsort()].split(self.batch)
        ]
        batches.sort(key=len, reverse=True)  # what does not fill a batch comes last
        full = sum(len(batch) == self.batch for batch in batches)
        order = [*torch.randperm(full, generator=dice).tolist(), *range(full, len(batches))]
        return iter(torch.cat([batches[index] for index in order]).tolist())


class SeededSampler(LengthSampler):
    """With the index of each clip a seed for reading it, as `SeededClips` does."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give the indices of the clips and their seeds, batch after batch."""
        dice = torch.Generator().manual_seed(self.seed())
        seeds = torch.randint(2**32, (len(self),), generator=dice).tolist()
        return zip(super().__iter__(), seeds, strict=True)


class SeededClips(torch.utils.data.Dataset):
    """Clips, each read with random numbers of its own.

    How one is changed and cropped, or which copy of it is drawn, then depends neither on the workers that
    read, nor on the number of processes, nor on whether an epoch was interrupted.

    Args:
        clips: a ClipDataset or StateDataset.
    """

    def __init__(self, clips: torch.utils.data.Dataset):
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: tuple[int, int]) -> dict:
        index, seed = key
        with seeded(seed):
            return self.clips[index]


class Collator:
    """Batches clips into a model's inputs and labels."""

    def __init__(self, extractor: transformers.FeatureExtractionMixin):
        self.extractor = extractor

    def __call__(self, clips: list[dict]) -> dict[str, torch.Tensor]:
        """Batch items of a ClipDataset."""
        inputs = extract(self.extractor, [clip["audio"] for clip in clips])
        return inputs | {"labels": torch.tensor([clip["label"] for clip in clips])}


def balance(rows: Dataset) -> np.ndarray:
    """Weigh clips so that within each corpus every emotion comes up as often as any other.

    Corpora have habits (a fourth of SAVEE is neutral, no other corpus has calm), and a model that knows the
    sound of a corpus's rooms would learn them. Each corpus as a whole keeps its share.

    Returns:
        float64, shape [clips], mean 1.
    """
    clips = pd.DataFrame({"corpus": rows["corpus"][:], "emotion": rows["emotion"][:]})
    emotions = clips.groupby("corpus")["emotion"]
    alike = clips.groupby(["corpus", "emotion"])["emotion"].transform("size")
    return (emotions.transform("size") / emotions.transform("nunique") / alike).to_numpy()


def make_loss(smoothing: float) -> Callable:
    """Make the cross-entropy with label smoothing, for class indices and for shares of classes alike.

    Where a model gives a loss of its own for each clip, as a `TaughtTail` does, that is added.
    """

    def loss(outputs, targets: torch.Tensor, num_items_in_batch: int | None = None) -> torch.Tensor:
        each = nn.functional.cross_entropy(
            outputs.logits.float(), targets, label_smoothing=smoothing, reduction="none"
        )
        each = each if outputs.loss is None else each + outputs.loss
        return each.mean() if num_items_in_batch is None else each.sum() / num_items_in_batch

    return loss


def score(evaluation: transformers.EvalPrediction) -> dict[str, float]:
    """Score validation clips: accuracy, UAR, macro-F1."""
    metric = EmotionMetric(keep_in_memory=True)
    return metric.compute(predictions=evaluation.predictions.argmax(axis=1), references=evaluation.label_ids)


def freeze(model: PreTrainedModel, layers: int, device: str) -> None:
    """Keep a front end and the first transformer layers as they are; the front end also stays in float32.

    bf16 blurs what a front end hears, and float32 without a backward pass costs little.
    """
    for name, parameter in model.named_parameters():
        layer = re.search(r"\blayers\.(\d+)\.", name)
        above = (
            int(layer[1]) >= layers if layer else re.search(r"^(projector|classifier|layer_weights)", name)
        )
        parameter.requires_grad = bool(above)
    if hasattr(model, "freeze_feature_encoder"):
        model.freeze_feature_encoder()  # else it asks for gradients all the same
        front_end = model.base_model.feature_extractor
        front_end.forward = torch.autocast(device, enabled=False)(front_end.forward)


@torch.no_grad()
def fit_linear_probe(
    model: PreTrainedModel, trained: nn.Module, clips: DataLoader, weights: np.ndarray | None
) -> set[nn.Parameter]:
    """Fit the head to the encoder as it is, before both are tuned (LP-FT, https://arxiv.org/abs/2202.10054).

    A head that starts at random first drags the encoder away from what it knows. The head of transformers'
    audio classifiers is linear throughout (projector, mean over time, classifier), so a projector to as many
    channels as classes is logistic regression, and the classifier starts as the identity.

    Args:
        model: the classifier whose head is replaced.
        trained: what computes its logits from the clips: itself, or its tail.
        clips: the training clips as they are.
        weights: of the clips; None: all alike.

    Returns:
        The head's parameters.
    """
    width, classes, device = model.projector.in_features, model.config.num_labels, model.device
    trained.projector = trained.classifier = nn.Identity()  # so that its logits are the pooled states
    trained.eval()
    pooled, targets = [], []
    for batch in tqdm(clips, desc="linear probe", unit="batch"):
        targets.append(batch.pop("labels"))
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        pooled.append(trained(**batch).logits.float().cpu())
    scaler = StandardScaler().fit(features := torch.cat(pooled).numpy())
    probe = LogisticRegression(C=PROBE_C, max_iter=500)
    probe.fit(scaler.transform(features), torch.cat(targets).numpy(), sample_weight=weights)
    coefficients, intercepts = probe.coef_, probe.intercept_
    if len(probe.classes_) == 2:  # scikit-learn gives the second class's logit alone
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        intercepts = np.r_[-intercepts, intercepts] / 2

    model.config.classifier_proj_size = classes
    model.projector = trained.projector = nn.Linear(width, classes, device=device)
    model.classifier = trained.classifier = nn.Linear(classes, classes, device=device)
    weight, bias = model.projector.weight, model.projector.bias
    weight[:], bias[:] = 0.0, -10.0  # so that a class without a clip in training is never chosen
    weight[probe.classes_] = torch.tensor(coefficients / scaler.scale_).to(weight)
    bias[probe.classes_] = torch.tensor(intercepts - coefficients @ (scaler.mean_ / scaler.scale_)).to(bias)
    nn.init.eye_(model.classifier.weight)
    nn.init.zeros_(model.classifier.bias)
    return {*model.projector.parameters(), *model.classifier.parameters()}


def add_lora(model: PreTrainedModel, rank: int) -> nn.Module:
    """Wrap a classifier so that only low-rank additions to its attention, and its head, are trained.

    Raises:
        SystemExit: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise SystemExit("--lora_rank needs peft: pip install -r requirements-train.txt") from error
    adapters = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=["q_proj", "k_proj", "v_proj", "out_proj"],
        modules_to_save=["projector", "classifier"],
    )
    return get_peft_model(model, adapters)
