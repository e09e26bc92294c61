"""Fine-tune a speech encoder, or train the spectrogram CNN, to hear emotions.

A checkpoint of the hub, a local folder, or the CNN; each with the same recipe (a shipped model's command is
in its `report.json`):

    accelerate launch train.py --model facebook/wav2vec2-base --model_dir models/wav2vec2 --bf16
    accelerate launch train.py --model cnn --model_dir models/cnn --bf16 --num_train_epochs 40

Several GPUs: `accelerate launch --multi_gpu train.py ...`; two CPU processes: `accelerate launch --cpu
--num_processes 2 train.py ...`. To go on after an interruption, give the same command once more with
`--resume_from_checkpoint true`.

`--data` is what `python -m data_prep` made. Epochs are compared on validation speakers; the test speakers are
heard once, at the end, by the finished folder. Every argument of transformers.TrainingArguments is known.
"""

import json
import os
import shlex
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import transformers
from datasets import Dataset
from huggingface_hub import HfApi
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import HfArgumentParser, PreTrainedModel, Trainer, TrainingArguments, set_seed
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import get_last_checkpoint

from speech_emotion.augmentation import augment
from speech_emotion.data import ClipDataset, cap_speakers, open_dataset
from speech_emotion.evaluation import evaluate_folder, print_report
from speech_emotion.inference import WINDOW_SECONDS
from speech_emotion.metrics import EmotionMetric, fit_temperature
from speech_emotion.models import CNN, extract, last_linear, new_classifier

PROBE_C = 0.01  # inverse regularisation of the linear probe, chosen on validation speakers


@dataclass
class Recipe:
    """What is trained on what."""

    model: str = field(default="facebook/wav2vec2-base", metadata={"help": "hub id, folder, or `cnn`"})
    model_dir: Path = field(default=Path("outputs/model"), metadata={"help": "the finished model folder"})
    model_config: str = field(
        default="{}",
        metadata={"help": """fields of its config to change, as JSON: '{"final_dropout": 0.1}'"""},
    )

    data: str = field(default="data/emotion", metadata={"help": "the dataset's folder or hub id"})
    clips_per_speaker: int = field(
        default=200, metadata={"help": "training clips of one speaker at most: TESS has 1,400 of each of two"}
    )
    augmentation: bool = field(default=True, metadata={"help": "change training clips at random"})

    new_learning_rate: float = field(
        default=1e-3,
        metadata={"help": "peak learning rate of layers that start at random (the head; the whole CNN)"},
    )
    freeze: list[str] = field(
        default_factory=list,
        metadata={"help": "parts of the names of parameters to keep as they are: `feature_extractor`, say"},
    )
    linear_probe: bool = field(
        default=False,
        metadata={"help": "start the head from a linear probe of the frozen encoder instead of at random"},
    )
    balance_classes: bool = field(default=True, metadata={"help": "weigh rare emotions up in the loss"})
    push_model_to: str | None = field(default=None, metadata={"help": "publish the folder as this hub id"})


@dataclass
class Arguments(TrainingArguments):
    """transformers.TrainingArguments with this recipe's defaults."""

    output_dir: str = field(default="", metadata={"help": "checkpoints (default: outputs/NAME)"})
    use_cpu: bool = field(
        default=not torch.cuda.is_available(),
        metadata={"help": "train on the CPU (default: where there is nothing faster)"},
    )
    num_train_epochs: float = 15
    per_device_train_batch_size: int = 16
    per_device_eval_batch_size: int = 16
    learning_rate: float = field(default=1e-4, metadata={"help": "peak learning rate of pretrained layers"})
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 0.1  # a share of all steps
    weight_decay: float = 0.01
    label_smoothing_factor: float = 0.1
    eval_strategy: str = "epoch"
    save_strategy: str = "epoch"
    save_total_limit: int = 2
    load_best_model_at_end: bool = True
    metric_for_best_model: str = "uar"
    logging_steps: float = 20
    dataloader_num_workers: int = 1
    remove_unused_columns: bool = False


class EmotionTrainer(Trainer):
    """transformers.Trainer with two learning rates and batches grouped by the clips' known durations."""

    def __init__(self, *args, new_parameters: set[str], new_learning_rate: float, **kwargs):
        self.new_parameters = new_parameters
        self.new_learning_rate = new_learning_rate
        super().__init__(*args, **kwargs)

    def create_optimizer(self, model: PreTrainedModel | None = None) -> torch.optim.Optimizer:
        """Make AdamW with a group each for pretrained and new, decayed and undecayed parameters."""
        if self.optimizer is None:
            decayed = set(self.get_decay_parameter_names(self.model))
            groups = {}
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    key = (name in self.new_parameters, name in decayed)
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

    def _get_train_sampler(self, train_dataset: ClipDataset | None = None) -> LengthGroupedSampler:
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return self._group(train_dataset or self.train_dataset, batch)

    def _get_eval_sampler(self, eval_dataset: ClipDataset) -> LengthGroupedSampler:
        return self._group(eval_dataset, self.args.eval_batch_size)

    def _group(self, clips: ClipDataset, batch: int) -> LengthGroupedSampler:
        # Trainer's own way to lengths would decode every clip first. It wants integers: centiseconds.
        return LengthGroupedSampler(batch, lengths=[round(100 * seconds) for seconds in clips.durations])


def main() -> None:
    """Train, calibrate, save, measure."""
    recipe, args = parse_arguments()
    set_seed(args.seed)
    if args.use_cpu:  # accelerate leaves a single process one thread
        torch.set_num_threads(max(1, os.cpu_count() // args.world_size))
    try:
        dataset = open_dataset(recipe.data)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    labels = dataset["train"].features["emotion"].names
    if recipe.model == CNN and (recipe.linear_probe or recipe.freeze):
        raise SystemExit("The CNN is trained from the start: it has nothing to freeze or to probe.")
    train_rows = cap_speakers(dataset["train"], recipe.clips_per_speaker, args.seed)
    model, extractor, new_parameters = new_classifier(recipe.model, labels, json.loads(recipe.model_config))
    freeze(model, recipe.freeze, args.device.type)
    if recipe.linear_probe:
        fit_linear_probe(model.to(args.device), extractor, train_rows, args.per_device_eval_batch_size)

    trainer = EmotionTrainer(
        model,
        args,
        new_parameters=new_parameters,
        new_learning_rate=recipe.new_learning_rate,
        train_dataset=ClipDataset(train_rows, WINDOW_SECONDS, augment if recipe.augmentation else None),
        eval_dataset=ClipDataset(dataset["validation"], WINDOW_SECONDS),
        data_collator=Collator(extractor),
        compute_loss_func=make_loss(
            train_rows, len(labels), args.label_smoothing_factor, recipe.balance_classes
        ),
        compute_metrics=score,
        processing_class=extractor,
    )
    started = time.time()
    checkpoint = args.resume_from_checkpoint
    trainer.train(get_last_checkpoint(args.output_dir) if checkpoint == "true" else checkpoint)
    minutes = (time.time() - started) / 60

    validation = trainer.predict(trainer.eval_dataset)
    if not trainer.is_world_process_zero():
        return
    temperature = fit_temperature(validation.predictions, validation.label_ids)
    save_folder(trainer.accelerator.unwrap_model(trainer.model), extractor, temperature, recipe.model_dir)
    training = {
        "command": f"accelerate launch {shlex.join(sys.argv)}",
        "base": recipe.model,
        "distillation": describe_distillation(recipe.model),
        "data": describe_rows(train_rows),
        "speakers": sorted(set(train_rows["speaker"])),
        "seed": args.seed,
        "epochs": args.num_train_epochs,
        "minutes": round(minutes, 1),
        "validation_uar": validation.metrics["test_uar"],
        "temperature": temperature,
    }
    print_report(evaluate_folder(recipe.model_dir, dataset, training))
    print(f"Saved to {recipe.model_dir}")
    if recipe.push_model_to:
        api = HfApi()
        api.create_repo(recipe.push_model_to, exist_ok=True)
        api.upload_folder(repo_id=recipe.push_model_to, folder_path=recipe.model_dir)


def parse_arguments() -> tuple[Recipe, Arguments]:
    """Read the command line."""
    parser = HfArgumentParser((Recipe, Arguments), description=__doc__)
    recipe, args = parser.parse_args_into_dataclasses()
    args.output_dir = args.output_dir or f"outputs/{recipe.model_dir.name}"
    return recipe, args


def freeze(model: PreTrainedModel, parts: list[str], device: str) -> None:
    """Keep parameters as they are; a frozen convolutional front end also stays in float32.

    bf16 blurs what a front end hears, and float32 without a backward pass costs little.
    """
    for name, parameter in model.named_parameters():
        if any(part in name for part in parts):
            parameter.requires_grad = False
    if "feature_extractor" in parts:
        model.freeze_feature_encoder()  # else it asks for gradients all the same
        front_end = model.base_model.feature_extractor
        front_end.forward = torch.autocast(device, enabled=False)(front_end.forward)


@torch.no_grad()
def fit_linear_probe(model: PreTrainedModel, extractor, rows: Dataset, batch_size: int) -> None:
    """Fit the head to the encoder as it is, before both are tuned (LP-FT, https://arxiv.org/abs/2202.10054).

    A head that starts at random first drags the encoder away from what it knows. The head of transformers'
    audio classifiers is linear throughout (projector, mean over time, classifier), so with the identity as
    projector logistic regression fits it.
    """
    width = model.projector.in_features
    model.config.classifier_proj_size = width
    model.projector = nn.Linear(width, width, device=model.device)
    model.classifier = nn.Linear(width, model.config.num_labels, device=model.device)
    nn.init.eye_(model.projector.weight)
    nn.init.zeros_(model.projector.bias)
    model.eval()
    pooled = []
    hook = model.classifier.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0].cpu()))
    clips = DataLoader(ClipDataset(rows, WINDOW_SECONDS), batch_size, collate_fn=Collator(extractor))
    for batch in tqdm(clips, desc="linear probe", unit="batch"):
        model(**{name: tensor.to(model.device) for name, tensor in batch.items() if name != "labels"})
    hook.remove()
    scaler = StandardScaler().fit(features := torch.cat(pooled).numpy())
    probe = LogisticRegression(C=PROBE_C, max_iter=500, class_weight="balanced")
    probe.fit(scaler.transform(features), rows["emotion"])
    coefficients, intercepts = probe.coef_, probe.intercept_
    if len(probe.classes_) == 2:  # scikit-learn gives the second class's logit alone
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        intercepts = np.r_[-intercepts, intercepts] / 2
    weight, bias = model.classifier.weight, model.classifier.bias
    weight[:], bias[:] = 0.0, -10.0  # so that a class without a clip in training is never chosen
    weight[probe.classes_] = torch.tensor(coefficients / scaler.scale_).to(weight)
    bias[probe.classes_] = torch.tensor(intercepts - coefficients @ (scaler.mean_ / scaler.scale_)).to(bias)


class Collator:
    """Batches clips into a model's inputs and labels."""

    def __init__(self, extractor: transformers.FeatureExtractionMixin):
        self.extractor = extractor

    def __call__(self, clips: list[dict]) -> dict[str, torch.Tensor]:
        """Batch items of a ClipDataset."""
        inputs = extract(self.extractor, [clip["audio"] for clip in clips])
        return inputs | {"labels": torch.tensor([clip["label"] for clip in clips])}


def make_loss(rows: Dataset, classes: int, smoothing: float, balance: bool):
    """Make the cross-entropy, each class weighted by how rare it is among the rows."""
    counts = np.bincount(rows["emotion"], minlength=classes)
    weights = len(rows) / (classes * np.maximum(counts, 1)) if balance else np.ones(classes)
    weights = torch.tensor(weights, dtype=torch.float32)

    def loss(outputs, targets: torch.Tensor, num_items_in_batch=None) -> torch.Tensor:
        each = nn.functional.cross_entropy(
            outputs.logits.float(),
            targets,
            weight=weights.to(targets.device),
            label_smoothing=smoothing,
            reduction="none",
        )
        return each.mean() if num_items_in_batch is None else each.sum() / num_items_in_batch

    return loss


def score(evaluation: transformers.EvalPrediction) -> dict[str, float]:
    """Score validation clips: accuracy, UAR, macro-F1."""
    metric = EmotionMetric(keep_in_memory=True)
    return metric.compute(predictions=evaluation.predictions.argmax(axis=1), references=evaluation.label_ids)


def save_folder(model: PreTrainedModel, extractor, temperature: float, folder: Path) -> None:
    """Save a model folder, the temperature folded into the last layer so that every loader is calibrated."""
    head = last_linear(model)
    with torch.no_grad():
        head.weight /= temperature
        head.bias /= temperature
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)


def describe_distillation(name: str) -> dict | None:
    """Read what `distill.py` wrote beside the encoder, where it made it."""
    report = Path(name) / "distillation.json"
    return json.loads(report.read_text()) if report.is_file() else None


def describe_rows(rows: Dataset) -> str:
    """Say how many clips and speakers of which corpora: `2,104 clips of 24 speakers (ravdess, ...)`."""
    corpora = ", ".join(sorted(set(rows["corpus"])))
    return f"{len(rows):,} clips of {len(set(rows['speaker']))} speakers ({corpora})"


if __name__ == "__main__":
    main()
