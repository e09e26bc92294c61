"""The arguments of `train.py`: what is trained on what, and transformers' own with this recipe's defaults."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import HfArgumentParser, TrainingArguments

from speech_emotion.models.loading import CNNS
from speech_emotion.training.errors import ArgumentsError

RESUME_LATEST = "true"  # --resume_from_checkpoint: from the latest complete checkpoint


@dataclass
class Recipe:
    """What is trained on what.

    The comments group the arguments as `train.py --help` lists them.
    """

    # Model
    model: str = field(
        default="facebook/wav2vec2-base",
        metadata={"help": "hub id or folder of a pretrained encoder, `cnn` or `cnn-mfcc`"},
    )
    model_dir: Path = field(
        default=Path("outputs/model"),
        metadata={"help": "folder for the finished model; with several protocols, one folder in it for each"},
    )
    model_config: str = field(
        default="{}",
        metadata={"help": """fields of the model's config to change, as JSON: '{"final_dropout": 0.1}'"""},
    )
    push_model_to: str | None = field(default=None, metadata={"help": "hub id to publish the folder as"})

    # Data
    data: str = field(default="data/emotion", metadata={"help": "the dataset's folder or hub id"})
    corpora: list[str] = field(
        default_factory=list,
        metadata={"help": 'use only these, as `savee` or "ravdess speech" (default: all of the dataset)'},
    )
    protocol: list[str] = field(
        default_factory=list,
        metadata={
            "help": "split anew: fold:1 .. fold:6, leave_out:CORPUS, tfds, random (leaks speakers); several "
            "are trained one after another (default: the splits as prepared)"
        },
    )
    train_on: list[str] = field(
        default_factory=list,
        metadata={
            "help": "with --protocol: train whole on these corpora too, which would only test or be set "
            "aside, as `meld` or `emov_db`"
        },
    )
    clips_per_speaker: int = field(
        default=200,
        metadata={"help": "maximum of training clips of one speaker: TESS has 1,400 of each of two"},
    )
    balance: bool = field(
        default=True, metadata={"help": "draw every emotion of a corpus as often as any other of it"}
    )
    augmentation: bool = field(default=True, metadata={"help": "change training clips at random"})
    mixup: float = field(default=0.0, metadata={"help": "alpha of mix-up for every second batch; 0: none"})

    # Which layers are trained, and from where
    frozen_layers: int | None = field(
        default=None,
        metadata={"help": "freeze the front end and this many transformer layers (default: train all)"},
    )
    pooling_layer: bool = field(
        default=False,
        metadata={
            "help": "freeze the encoder and add a layer: a mean over frames with speech, and a hidden layer "
            "behind it; needs --cached_views"
        },
    )
    cached_views: list[str] = field(
        default_factory=list,
        metadata={
            "help": "run the frozen part (of a CNN: the spectrogram) once for each of these views of a clip, "
            "and train the rest on what it returned: as_it_lies, voice, augmented-1, augmented-2, ... "
            "(default: run it in every epoch, which is slower)"
        },
    )
    cached_frames: int | None = field(
        default=None,
        metadata={
            "help": "with --cached_views: train each step on this many frames of a clip, drawn at random "
            "(default: all)"
        },
    )
    compute_views: bool = field(
        default=True,
        metadata={
            "help": "compute the views that the cache lacks; false: train, and with --summary test, on those "
            "that it has"
        },
    )
    cache_dir: Path = field(
        default=Path("outputs/cache"),
        metadata={
            "help": "folder in which --cached_views keeps what it computes, for this run and later ones"
        },
    )
    linear_probe: bool = field(
        default=False,
        metadata={"help": "start the head from a linear probe of the frozen encoder instead of at random"},
    )
    lora_rank: int = field(
        default=0,
        metadata={"help": "train low-rank additions to the attention instead of its weights (peft); 0: no"},
    )
    distill_from: str | None = field(
        default=None,
        metadata={
            "help": "wav2vec2 or HuBERT encoder whose states of the training clips the CNN learns to predict "
            "besides their labels; needs --cached_views"
        },
    )
    distill_weight: float = field(
        default=10.0, metadata={"help": "weight of the distillation loss relative to that of the labels"}
    )

    # Optimisation beyond transformers.TrainingArguments
    head_learning_rate: float = field(
        default=1e-3,
        metadata={"help": "peak learning rate of layers that start at random (the head; the whole CNN)"},
    )
    ema_decay: float = field(
        default=0.99,
        metadata={"help": "decay of the moving average of the weights that is evaluated and saved; 0: none"},
    )
    early_stopping_patience: int = field(
        default=0, metadata={"help": "stop after this many epochs without a better validation UAR; 0: never"}
    )

    # After the first training
    validate: bool = field(
        default=True,
        metadata={
            "help": "hold the validation speakers out, to choose the epoch, the temperature and the "
            "threshold; false: they are trained on as well, and the last epoch is kept"
        },
    )
    calibrate_on: list[Path] = field(
        default_factory=list,
        metadata={
            "help": "with --validate false: predictions.npz of trainings that left corpora out; they choose "
            "the temperature and the thresholds"
        },
    )
    refit: bool = field(
        default=False,
        metadata={
            "help": "train once more from the start, for as many epochs, on the validation speakers as well; "
            "temperature and threshold stay those of trainings that held speakers out"
        },
    )
    calibration_folds: int = field(
        default=0,
        metadata={
            "help": "with --refit: fit temperature and threshold on this many groups of training speakers as "
            "well, each held out from a training of its own"
        },
    )
    test_clips: int | None = field(
        default=None,
        metadata={"help": "measure the finished folder on this many test clips of each corpus at most"},
    )
    summary: Path | None = field(
        default=None,
        metadata={
            "help": "file for the figures of all protocols together, as in benchmarks/results; the reports "
            "then leave out noise, telephone, MP3 and pipeline, which take most of the time"
        },
    )


def has_accelerator() -> bool:
    """Return whether PyTorch has a device that is faster than the CPU: CUDA, Apple's MPS or another."""
    return torch.accelerator.is_available()


@dataclass
class Arguments(TrainingArguments):
    """transformers.TrainingArguments with this recipe's defaults."""

    output_dir: str = field(
        default="", metadata={"help": "folder for checkpoints (default: outputs/checkpoints/NAME)"}
    )
    use_cpu: bool = field(
        default=not has_accelerator(),
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

    def __post_init__(self):
        super().__post_init__()
        # transformers declares a path, and everyone passes a boolean.
        word = str(self.resume_from_checkpoint or "false").lower()
        if word in ("true", "yes", "1"):
            self.resume_from_checkpoint = RESUME_LATEST
        elif word in ("false", "no", "0", "none"):
            self.resume_from_checkpoint = None


def parse_arguments(description: str | None) -> tuple[Recipe, Arguments]:
    """Parse and check the command line.

    Args:
        description: shown above the arguments by `--help`.

    Raises:
        ArgumentsError: arguments that exclude or need one another, here or for transformers.
    """
    parser = HfArgumentParser((Recipe, Arguments), description=description)
    try:
        recipe, args = parser.parse_args_into_dataclasses()
    except ValueError as error:  # of transformers, over several lines
        raise ArgumentsError(" ".join(str(error).split())) from error
    args.output_dir = args.output_dir or f"outputs/checkpoints/{recipe.model_dir.name}"
    check_arguments(recipe, args)
    return recipe, args


def check_arguments(recipe: Recipe, args: Arguments) -> None:
    """Refuse arguments that exclude or need one another.

    Raises:
        ArgumentsError: always with a sentence that names them.
    """
    if Path(args.output_dir).resolve().is_relative_to(recipe.model_dir.resolve()):
        raise ArgumentsError("Checkpoints inside --model_dir would be replaced with it: change --output_dir.")
    if recipe.model in CNNS and (recipe.linear_probe or recipe.frozen_layers is not None or recipe.lora_rank):
        raise ArgumentsError(
            "A CNN is trained from the start: it has nothing to freeze, to probe or to adapt."
        )
    try:
        json.loads(recipe.model_config)
    except ValueError as error:
        raise ArgumentsError(f"--model_config is not JSON: {error}.") from error
    if recipe.distill_from and (recipe.model != "cnn" or not recipe.cached_views):
        raise ArgumentsError("--distill_from needs --model cnn and --cached_views.")
    if recipe.calibration_folds and not recipe.refit:
        raise ArgumentsError("--calibration_folds calibrates what --refit trains: give both.")
    if not recipe.compute_views and recipe.validate:
        raise ArgumentsError("--compute_views false may leave validation clips out: give --validate false.")
    if not recipe.validate and not recipe.cached_views:
        raise ArgumentsError("--validate false needs --cached_views.")
    if recipe.calibrate_on and recipe.validate:
        raise ArgumentsError(
            "--calibrate_on takes the place of the validation speakers: give --validate false."
        )
    if recipe.refit and not recipe.validate:
        raise ArgumentsError("--refit trains on the validation speakers as well: it needs --validate true.")
    if recipe.push_model_to and len(recipe.protocol) > 1:
        raise ArgumentsError("--push_model_to publishes one model: give one --protocol.")
    if recipe.pooling_layer and (
        recipe.model in CNNS
        or recipe.frozen_layers is not None
        or recipe.linear_probe
        or not recipe.cached_views
    ):
        raise ArgumentsError(
            "--pooling_layer needs an encoder and --cached_views, and no --frozen_layers or --linear_probe."
        )
    frozen = recipe.model in CNNS or recipe.frozen_layers or recipe.pooling_layer
    if recipe.cached_views and (not frozen or recipe.lora_rank):
        raise ArgumentsError(
            "--cached_views needs --frozen_layers of at least 1, or a CNN, and no --lora_rank."
        )
