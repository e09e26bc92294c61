"""Fine-tune a speech encoder, or train the spectrogram CNN, to hear emotions.

A checkpoint of the hub, a local folder, or the CNN; each with the same recipe (a shipped model's command is
in its `report.json`):

    accelerate launch train.py --model facebook/wav2vec2-base --model_dir models/wav2vec2 --bf16
    accelerate launch train.py --model cnn --model_dir models/cnn --teacher outputs/distilled --cached_views 4
    accelerate launch train.py --model cnn-mfcc --model_dir outputs/cnn-mfcc --num_train_epochs 40

Several GPUs: `accelerate launch --multi_gpu train.py ...`; two CPU processes: `accelerate launch --multi_gpu
--num_processes 2 train.py --use_cpu ...` (its own `--cpu` starts one, whatever else it is told). To go on
after an interruption, give the same command once more with `--resume_from_checkpoint true`: it goes on from
the last checkpoint that is whole. Without that, the checkpoints of an earlier training in the same
`--output_dir` are removed. The model folder is written aside and takes its place when it is whole and
measured.

`--data` is what `python -m data_prep` made. Epochs are compared on validation speakers; the test speakers are
heard once, at the end, by the finished folder. Every argument of transformers.TrainingArguments is known.
"""

import copy
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, DatasetDict, concatenate_datasets
from safetensors import SafetensorError
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    FeatureExtractionMixin,
    HfArgumentParser,
    PreTrainedModel,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import IntervalStrategy
from transformers.utils import CONFIG_NAME

from data_prep.splits import SPLITS, resplit
from speech_emotion.atomic import atomic_directory, atomic_write, check_place, format_os_error
from speech_emotion.audio.decoding import AudioError
from speech_emotion.dataset import choose_corpora, open_dataset
from speech_emotion.evaluation.cross_validation import summarise
from speech_emotion.evaluation.metrics import fit_temperature
from speech_emotion.evaluation.report import HELD_OUT, evaluate_folder, print_report
from speech_emotion.hub import PublishError, publish_folder
from speech_emotion.machine import count_cores
from speech_emotion.models.loading import CNNS, WINDOW_SECONDS, last_linear, new_classifier
from speech_emotion.training import checkpoints
from speech_emotion.training.augmentation import augment
from speech_emotion.training.distillation import DistillationHead, DistillationTargets
from speech_emotion.training.feature_cache import (
    CachedDataset,
    FeatureCache,
    UpperCNN,
    UpperEncoder,
    collate_cached,
)
from speech_emotion.training.heads import add_lora, fit_linear_probe, freeze
from speech_emotion.training.inputs import ClipDataset, Collator
from speech_emotion.training.sampling import balance, cap_speakers, hold_out_in_turn
from speech_emotion.training.trainer import EmotionTrainer, make_loss, score

GO_ON = "The same command with --resume_from_checkpoint true goes on from the last whole checkpoint."


@dataclass
class Recipe:
    """What is trained on what."""

    model: str = field(
        default="facebook/wav2vec2-base", metadata={"help": "hub id, folder, `cnn` or `cnn-mfcc`"}
    )
    model_dir: Path = field(
        default=Path("outputs/model"),
        metadata={"help": "the finished model folder; with several protocols, one folder in it for each"},
    )
    model_config: str = field(
        default="{}",
        metadata={"help": """fields of its config to change, as JSON: '{"final_dropout": 0.1}'"""},
    )

    data: str = field(default="data/emotion", metadata={"help": "the dataset's folder or hub id"})
    clips_per_speaker: int = field(
        default=200, metadata={"help": "training clips of one speaker at most: TESS has 1,400 of each of two"}
    )
    protocol: list[str] = field(
        default_factory=list,
        metadata={
            "help": "split anew: fold:1 .. fold:6, leave_out:CORPUS, random (leaks speakers); several are "
            "trained one after another (default: the splits as prepared)"
        },
    )
    corpora: list[str] = field(
        default_factory=list,
        metadata={"help": 'only these, as `savee` or "ravdess speech" (default: all of the dataset)'},
    )
    summary: Path | None = field(
        default=None,
        metadata={
            "help": "file for the figures of all protocols together, as in benchmarks/results; the reports "
            "then leave out noise, telephone, MP3 and pipeline, which take most of the time"
        },
    )
    augmentation: bool = field(default=True, metadata={"help": "change training clips at random"})
    mixup: float = field(default=0.0, metadata={"help": "alpha of mix-up for every second batch; 0: none"})

    head_learning_rate: float = field(
        default=1e-3,
        metadata={"help": "peak learning rate of layers that start at random (the head; the whole CNN)"},
    )
    frozen_layers: int | None = field(
        default=None,
        metadata={
            "help": "keep the front end and so many transformer layers as they are (default: all are tuned)"
        },
    )
    cached_views: int | None = field(
        default=None,
        metadata={
            "help": "run the frozen part (of a CNN: the spectrogram) once for each training clip and so many "
            "augmented copies, and train the rest on what it gave (default: in every epoch, which is slower)"
        },
    )
    cache_dir: Path = field(
        default=Path("outputs/cache"),
        metadata={"help": "folder where --cached_views keeps what it computes, for this run and later ones"},
    )
    teacher: str | None = field(
        default=None,
        metadata={
            "help": "wav2vec2 or HuBERT encoder whose states of the training clips the CNN learns to predict "
            "beside their labels; needs --cached_views"
        },
    )
    teacher_weight: float = field(
        default=10.0, metadata={"help": "of the teacher's lessons, relative to the loss of the labels"}
    )
    lora_rank: int = field(
        default=0, metadata={"help": "tune low-rank additions to the attention instead of its weights (peft)"}
    )
    linear_probe: bool = field(
        default=False,
        metadata={"help": "start the head from a linear probe of the frozen encoder instead of at random"},
    )
    balance: bool = field(
        default=True, metadata={"help": "draw every emotion of a corpus as often as any other of it"}
    )
    ema_decay: float = field(
        default=0.99,
        metadata={"help": "of the moving average of the weights that is evaluated and saved; 0: no average"},
    )
    refit: bool = field(
        default=False,
        metadata={
            "help": "when validation has served, train once more from the start, as many epochs, on its "
            "speakers too; temperature and threshold stay those of trainings that held speakers out"
        },
    )
    calibration_folds: int = field(
        default=0,
        metadata={
            "help": "with --refit: fit temperature and threshold on so many groups of training speakers, "
            "too, each held out from a training of its own"
        },
    )
    early_stopping_patience: int = field(
        default=0, metadata={"help": "stop after so many epochs without a better validation UAR; 0: never"}
    )
    push_model_to: str | None = field(default=None, metadata={"help": "publish the folder as this hub id"})


@dataclass
class Arguments(TrainingArguments):
    """transformers.TrainingArguments with this recipe's defaults."""

    output_dir: str = field(default="", metadata={"help": "checkpoints (default: outputs/checkpoints/NAME)"})
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
    label_names: list[str] | None = field(default_factory=lambda: ["labels"])


def main() -> None:
    """Train, or say in a sentence what keeps from it and what to do."""
    recipe, args = parse_arguments()
    try:
        run(recipe, args)
    except AudioError as error:
        remedy = "make the dataset again with python -m data_prep"
        raise SystemExit(f"A clip of {recipe.data!r} is damaged; {remedy}. {GO_ON}") from error
    except FileExistsError as error:
        raise SystemExit(f"{format_os_error(error, recipe.model_dir)}.") from error
    except (OSError, SafetensorError) as error:
        raise SystemExit(f"{format_os_error(error, recipe.model_dir)}. {GO_ON}") from error
    except KeyboardInterrupt as error:
        raise SystemExit(f"Interrupted. {GO_ON}") from error


def run(recipe: Recipe, args: Arguments) -> None:
    """Train on every protocol asked for; with several, sum up what they measured."""
    if args.use_cpu:  # accelerate leaves a single process one thread
        torch.set_num_threads(max(1, count_cores() // args.world_size))
    try:
        dataset = choose_corpora(open_dataset(recipe.data), recipe.corpora)
        runs = {
            protocol: resplit(dataset, protocol) if protocol else dataset
            for protocol in recipe.protocol or [None]
        }
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    for protocol, splits in runs.items():
        if missing := set(SPLITS) - set(splits):
            raise SystemExit(f"With {protocol} there is no clip for {' and '.join(sorted(missing))}.")
        if protocol != "random" and set(splits["train"]["speaker"]) & set(splits["test"]["speaker"]):
            raise SystemExit("Speakers are in training and in test: ask for that with --protocol random.")
        splits["train"] = cap_speakers(splits["train"], recipe.clips_per_speaker, args.seed)
    output, reports = Path(args.output_dir), {}
    names = {protocol: protocol.replace(":", "-") if len(runs) > 1 else "" for protocol in runs}
    with args.main_process_first():
        for name in names.values():
            forget(output / name, args.resume_from_checkpoint)
    for protocol, splits in runs.items():
        args.output_dir = str(output / names[protocol])
        reports[protocol] = train(recipe, args, protocol, splits, recipe.model_dir / names[protocol])
    if args.process_index == 0:
        if recipe.summary:
            save_summary(reports, recipe.summary)
        if recipe.push_model_to:
            try:
                print(f"Published: {publish_folder(recipe.model_dir, recipe.push_model_to)}")
            except PublishError as error:
                raise SystemExit(str(error)) from error


@dataclass
class TrainingInputs:
    """What is trained, and on what: sound and the whole model, or kept states and what lies above them."""

    model: nn.Module
    collate: Callable
    training: torch.utils.data.Dataset
    plain: torch.utils.data.Dataset  # the training clips without augmentation
    validation: torch.utils.data.Dataset


def train(
    recipe: Recipe,
    args: Arguments,
    protocol: str | None,
    splits: DatasetDict,
    folder: Path,
) -> dict | None:
    """Train, calibrate, save, measure.

    Returns:
        The model's report; None in every process but the first.
    """
    check_place(folder, CONFIG_NAME)
    started = time.time()
    try:
        groups = hold_out_in_turn(splits, recipe.calibration_folds, args.seed)
    except ValueError as error:
        raise SystemExit(f"--calibration_folds {recipe.calibration_folds}: {error}.") from error
    trainer, model, extractor, hearing = fit(recipe, args, splits)
    validation = trainer.predict(hearing.validation)
    held_out = [validation]
    if recipe.refit:
        for number, others in enumerate(groups, start=1):
            trainer, _, _, hearing = fit(recipe, without_choices(args, f"held-out-{number}"), others)
            held_out.append(trainer.predict(hearing.validation))
        splits = splits | {"train": concatenate_datasets([splits["train"], splits["validation"]])}
        trainer, model, extractor, _ = fit(recipe, without_choices(args, "refit"), DatasetDict(splits))
    if not trainer.is_world_process_zero():
        return None
    if recipe.lora_rank:
        model = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
    logits = np.concatenate([each.predictions for each in held_out])
    labels = np.concatenate([each.label_ids for each in held_out])
    temperature = fit_temperature(logits, labels)
    training = {
        "command": f"accelerate launch {shlex.join(sys.argv)}",
        "base": recipe.model,
        "teacher": recipe.teacher,
        "distillation": describe_distillation(recipe.teacher or recipe.model),
        "data": describe_rows(splits["train"]),
        "protocol": protocol or "as prepared",
        "speakers": sorted(set(splits["train"]["speaker"])),
        "seed": args.seed,
        "epochs": args.num_train_epochs,
        "refit": recipe.refit,
        "calibration_folds": len(groups),
        "minutes": round((time.time() - started) / 60, 1),
        "validation_uar": validation.metrics["test_uar"],
        "temperature": temperature,
        "temperatures": [fit_temperature(each.predictions, each.label_ids) for each in held_out],
    }
    with atomic_directory(folder, CONFIG_NAME) as fresh:
        save_folder(model, extractor, temperature, fresh)
        if recipe.refit:
            np.savez(fresh / HELD_OUT, logits=logits / temperature, labels=labels)
        report = evaluate_folder(fresh, splits, training, quick=recipe.summary is not None)
    print_report(report)
    print(f"Saved to {folder}")
    return report


def fit(
    recipe: Recipe, args: Arguments, splits: DatasetDict
) -> tuple[EmotionTrainer, PreTrainedModel, FeatureExtractionMixin, TrainingInputs]:
    """Train a new model on the training split."""
    set_seed(args.seed)
    labels = splits["train"].features["emotion"].names
    try:
        model, extractor, fresh = new_classifier(recipe.model, labels, json.loads(recipe.model_config))
    except ValueError as error:
        raise SystemExit(str(error)) from error
    new_parameters = {parameter for name, parameter in model.named_parameters() if name in fresh}
    if recipe.frozen_layers is not None:
        freeze(model, recipe.frozen_layers, args.device.type)
    if recipe.cached_views is None:
        hearing = waveform_inputs(recipe, model, extractor, splits)
    else:
        hearing = cached_inputs(recipe, args, model, extractor, splits)
    if recipe.teacher:
        new_parameters |= {*hearing.model.parameters()}  # the lesson's, too
    weights = balance(splits["train"]) if recipe.balance else None
    if recipe.linear_probe:
        plain = DataLoader(hearing.plain, args.per_device_eval_batch_size, collate_fn=hearing.collate)
        new_parameters |= fit_linear_probe(model, hearing.model.to(args.device), plain, weights)
    if recipe.lora_rank:
        hearing.model = add_lora(model, recipe.lora_rank)
        new_parameters = {each for each in hearing.model.parameters() if each.requires_grad}
    patience = recipe.early_stopping_patience if args.load_best_model_at_end else 0
    trainer = EmotionTrainer(
        hearing.model,
        args,
        new_parameters=new_parameters,
        head_learning_rate=recipe.head_learning_rate,
        mixup=recipe.mixup,
        clip_weights=weights,
        ema_decay=recipe.ema_decay,
        train_dataset=hearing.training,
        eval_dataset=hearing.validation,
        data_collator=hearing.collate,
        compute_loss_func=make_loss(args.label_smoothing_factor),
        compute_metrics=score,
        callbacks=[EarlyStoppingCallback(patience)] if patience else None,
    )
    trainer.train(find_checkpoint(args))
    return trainer, model, extractor, hearing


def forget(output: Path, wish: str | None) -> None:
    """Remove what an earlier command left of trainings that this one begins anew.

    All at once, before the first of them: after an interruption, those that had not begun would otherwise be
    found and gone on with, though they are of another recipe.

    Args:
        output: where a protocol's checkpoints are, those of its later trainings in folders inside.
        wish: --resume_from_checkpoint; one by name is of the first training, and all others begin anew.
    """
    if wish == "true":
        return
    first = [] if wish else [output]
    for folder in (*first, *output.glob("held-out-*"), output / "refit"):
        checkpoints.clear(folder)


def find_checkpoint(args: Arguments) -> str | None:
    """Give the checkpoint that training goes on from; None for one that starts anew."""
    wish, output = args.resume_from_checkpoint, Path(args.output_dir)
    with args.main_process_first():
        if not wish:
            return None
        if wish == "true":
            checkpoint = checkpoints.latest_complete(output)
            return checkpoint and str(checkpoint)
    if not checkpoints.is_whole(Path(wish)):
        raise SystemExit(f"{wish} is cut off or damaged. {GO_ON}")
    return wish


def without_choices(args: Arguments, name: str) -> Arguments:
    """Give the arguments of a training whose last epoch is kept, whatever validation says.

    Args:
        args: of the first training.
        name: of the folder for its checkpoints, inside the first's.
    """
    args = copy.copy(args)
    args.output_dir = str(Path(args.output_dir, name))
    args.eval_strategy, args.load_best_model_at_end = IntervalStrategy.NO, False
    if args.resume_from_checkpoint != "true":
        args.resume_from_checkpoint = None  # a checkpoint by name is one of the first training
    return args


def waveform_inputs(
    recipe: Recipe, model: PreTrainedModel, extractor: FeatureExtractionMixin, splits: DatasetDict
) -> TrainingInputs:
    """Train the model on waveforms, augmented anew in every epoch."""
    plain, validation = [ClipDataset(splits[name], WINDOW_SECONDS) for name in ("train", "validation")]
    change = augment if recipe.augmentation else None
    training = ClipDataset(splits["train"], WINDOW_SECONDS, change)
    return TrainingInputs(model, Collator(extractor), training, plain, validation)


def cached_inputs(
    recipe: Recipe,
    args: Arguments,
    model: PreTrainedModel,
    extractor: FeatureExtractionMixin,
    splits: DatasetDict,
) -> TrainingInputs:
    """Train what lies above the frozen part on the states it gives."""
    copies = recipe.cached_views if recipe.augmentation else 0
    model.to(args.device)
    try:
        if recipe.teacher:
            teacher = make_teacher(recipe, args, splits, model.stride)
            tail, teach = DistillationHead(model, teacher.width, recipe.teacher_weight), teacher.get
        elif recipe.model in CNNS:
            tail, teach = UpperCNN(model), None
        else:
            tail, teach = UpperEncoder(model, recipe.frozen_layers), None
    except ValueError as error:
        raise SystemExit(str(error)) from error
    with args.main_process_first():
        batch = args.per_device_eval_batch_size
        states = FeatureCache(tail, extractor, WINDOW_SECONDS, recipe.cache_dir, batch)
        states.add(splits["train"], copies)
        states.add(splits["validation"], copies=0)
    training = CachedDataset(states, splits["train"], copies, teach)
    plain, validation = [CachedDataset(states, splits[name], copies=0) for name in ("train", "validation")]
    return TrainingInputs(tail, collate_cached, training, plain, validation)


def make_teacher(recipe: Recipe, args: Arguments, splits: DatasetDict, stride: int) -> DistillationTargets:
    """Let the encoder that teaches hear the training clips.

    Raises:
        ValueError: there is no such encoder, or its states cannot be kept.
    """
    labels = splits["train"].features["emotion"].names
    encoder, extractor, _ = new_classifier(recipe.teacher, labels)  # its head is not asked
    layers, batch = encoder.config.num_hidden_layers, args.per_device_eval_batch_size
    freeze(encoder, layers, args.device.type)
    tail = UpperEncoder(encoder.to(args.device), layers)
    with args.main_process_first(), torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16):
        states = FeatureCache(tail, extractor, WINDOW_SECONDS, recipe.cache_dir, batch)
        states.add(splits["train"], copies=0)
    return DistillationTargets(states, splits["train"], stride)


def parse_arguments() -> tuple[Recipe, Arguments]:
    """Read the command line."""
    parser = HfArgumentParser((Recipe, Arguments), description=__doc__)
    recipe, args = parser.parse_args_into_dataclasses()
    args.output_dir = args.output_dir or f"outputs/checkpoints/{recipe.model_dir.name}"
    if Path(args.output_dir).resolve().is_relative_to(recipe.model_dir.resolve()):
        raise SystemExit("Checkpoints inside --model_dir would be replaced with it: change --output_dir.")
    if recipe.model in CNNS and (recipe.linear_probe or recipe.frozen_layers is not None or recipe.lora_rank):
        raise SystemExit("A CNN is trained from the start: it has nothing to freeze, to probe or to adapt.")
    try:
        json.loads(recipe.model_config)
    except ValueError as error:
        raise SystemExit(f"--model_config is not JSON: {error}.") from error
    if recipe.teacher and (recipe.model != "cnn" or recipe.cached_views is None):
        raise SystemExit("--teacher teaches --model cnn, with --cached_views.")
    if recipe.calibration_folds and not recipe.refit:
        raise SystemExit("--calibration_folds calibrates what --refit trains: give both.")
    if recipe.push_model_to and len(recipe.protocol) > 1:
        raise SystemExit("--push_model_to publishes one model: give one --protocol.")
    frozen = recipe.model in CNNS or recipe.frozen_layers
    if recipe.cached_views is not None and (not frozen or recipe.lora_rank):
        raise SystemExit("--cached_views needs --frozen_layers of at least 1, or a CNN, and no --lora_rank.")
    return recipe, args


def save_folder(model: PreTrainedModel, extractor, temperature: float, folder: Path) -> None:
    """Save a model folder, the temperature folded into the last layer so that every loader is calibrated."""
    head = last_linear(model)
    with torch.no_grad():
        head.weight /= temperature
        head.bias /= temperature
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)


def save_summary(reports: dict[str, dict], file: Path) -> None:
    """Write the figures of all protocols, and how they came to be, into one file."""
    of_one = next(iter(reports.values()))
    about = {name: of_one[name] for name in ("architecture", "parameters", "labels", "measured_on")}
    of_each = ("protocol", "speakers")
    training = {name: value for name, value in of_one["training"].items() if name not in of_each}
    atomic_write(file, json.dumps(summarise(reports) | about | {"training": training}, indent=1) + "\n")


def describe_distillation(name: str) -> dict | None:
    """Read what `distill.py` wrote beside the encoder, where it made it."""
    report = Path(name) / "distillation.json"
    return json.loads(report.read_text()) if report.is_file() else None


def describe_rows(rows: Dataset) -> str:
    """Say how many clips of how many speakers of which corpora: `247 clips of 9 speakers (247 ravdess)`."""
    corpora = ", ".join(f"{clips:,} {corpus}" for corpus, clips in Counter(rows["corpus"]).most_common())
    return f"{len(rows):,} clips of {len(set(rows['speaker']))} speakers ({corpora})"


if __name__ == "__main__":
    main()
