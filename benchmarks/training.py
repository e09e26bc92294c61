"""Measure how fast this recipe trains, compared with transformers' `run_audio_classification.py`.

    python benchmarks/training.py --data data/emotion --model outputs/distilled

Both train the same encoder with a new head and a frozen front end, on the same clips, with the same batch
size, learning rate and epochs, on the CPU; both are scored on the same validation clips. The other recipe
follows the defaults of that script: float32, and clips decoded in random order and padded to the longest.
This recipe uses bfloat16, batches of clips of about one length, and a fused optimiser. It runs as one
process, as two processes of one thread each, and with the states below the last layer cached. Augmentation,
label smoothing, balancing and weight averaging are off, so that all solve the same task.

Needs the extra `bench`. Writes results/training.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time

import torch
from datasets import DatasetDict
from record import RESULTS, ROOT, save_result
from transformers import HfArgumentParser, Trainer, TrainingArguments, set_seed

from speech_emotion.dataset import choose_corpora, open_dataset
from speech_emotion.machine import count_cores
from speech_emotion.models.loading import new_classifier
from speech_emotion.training.arguments import Arguments, Recipe
from speech_emotion.training.fitting import fit
from speech_emotion.training.inputs import ClipDataset, Collator
from speech_emotion.training.trainer import score

CORPUS, EPOCHS, BATCH, LEARNING_RATE, SEED = "ravdess speech", 2, 8, 2e-4, 42
LONGEST_SECONDS = 20.0  # that script's default
THEIRS = "transformers' recipe"
OURS = {  # processes, and arguments of train.py
    "this recipe": (1, ["--frozen_layers", "0"]),
    "this recipe, two processes": (2, ["--frozen_layers", "0"]),
    "this recipe, states below the last layer kept": (
        1,
        ["--frozen_layers", "2", "--cached_views", "as_it_lies"],
    ),
}
SAME_TASK = [
    *("--num_train_epochs", EPOCHS, "--learning_rate", LEARNING_RATE, "--head_learning_rate", LEARNING_RATE),
    *("--lr_scheduler_type", "linear", "--warmup_steps", 0, "--weight_decay", 0, "--seed", SEED, "--bf16"),
    *("--label_smoothing_factor", 0, "--no_augmentation", "--no_balance", "--ema_decay", 0),
    *("--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", "false"),
]


def main() -> None:
    """Train in each way, in a process of its own, and save the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--model", default="outputs/distilled", help="the encoder's folder or hub id")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        splits = choose_corpora(open_dataset(options.data), [CORPUS])
        way = train_theirs if options.way == THEIRS else train_ours
        if figures := way(splits, options):
            print(json.dumps(figures))
        return
    ways = {name: alone(name, options) for name in (THEIRS, *OURS)}
    for figures in ways.values():
        ratio = figures["clips_per_second"] / ways[THEIRS]["clips_per_second"]
        figures["times_as_fast_as_peer"] = round(ratio, 1)
    figures = {"model": options.model, "clips_of": CORPUS, "epochs": EPOCHS, "batch": BATCH, "ways": ways}
    save_result(RESULTS / "training.json", figures, ["torch", "transformers", "accelerate"])


def alone(name: str, options: argparse.Namespace) -> dict:
    """Train in one way in processes of its own."""
    processes, _ = OURS.get(name, (1, None))
    launch = ["accelerate.commands.launch", "--num_machines", "1", "--num_processes", str(processes)]
    # accelerate reads --cpu as one process, whatever else it is given
    launch.append("--multi_gpu" if processes > 1 else "--cpu")
    command = [sys.executable, "-m", *launch, __file__, "--data", options.data, "--model", options.model]
    done = subprocess.run([*command, "--way", name], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    figures = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {figures}")
    return figures


def train_theirs(splits: DatasetDict, options: argparse.Namespace) -> dict:
    """Train as `run_audio_classification.py` does by default."""
    torch.set_num_threads(count_cores())
    set_seed(SEED)
    labels = splits["train"].features["emotion"].names
    model, extractor, _ = new_classifier(options.model, labels)
    model.freeze_feature_encoder()
    clips, unheard = (ClipDataset(splits[name], LONGEST_SECONDS) for name in ("train", "validation"))
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder,
            use_cpu=True,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            seed=SEED,
            save_strategy="no",
            remove_unused_columns=False,
            label_names=["labels"],
            disable_tqdm=True,
        )
        collate = Collator(extractor)
        trainer = Trainer(model, args, collate, clips, unheard, compute_metrics=score)
        started = time.perf_counter()
        trainer.train()
        return figures_of(trainer, len(clips), time.perf_counter() - started, trainer.evaluate())


def train_ours(splits: DatasetDict, options: argparse.Namespace) -> dict | None:
    """Train as `train.py` does; only the first process returns figures."""
    processes, arguments = OURS[options.way]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "--model",
            options.model,
            "--output_dir",
            folder,
            "--cache_dir",
            f"{folder}/cache",
            *arguments,
        ]
        arguments += [
            *SAME_TASK,
            "--per_device_train_batch_size",
            BATCH // processes,
            "--disable_tqdm",
            "true",
        ]
        recipe, args = HfArgumentParser((Recipe, Arguments)).parse_args_into_dataclasses(
            [str(argument) for argument in arguments]
        )
        torch.set_num_threads(max(1, count_cores() // processes))
        started = time.perf_counter()
        fitted = fit(recipe, args, splits)
        seconds = time.perf_counter() - started
        evaluation = fitted.trainer.evaluate()
        if fitted.trainer.is_world_process_zero():
            return figures_of(fitted.trainer, len(fitted.inputs.training), seconds, evaluation)
        return None


def figures_of(trainer: Trainer, clips: int, seconds: float, evaluation: dict[str, float]) -> dict:
    """Return the speed, mean loss and validation score of a training."""
    [loss] = [entry["train_loss"] for entry in trainer.state.log_history if "train_loss" in entry]
    return {
        "clips_per_second": round(EPOCHS * clips / seconds, 1),
        "seconds": round(seconds, 1),
        "mean_loss": round(loss, 3),
        "validation_uar": round(evaluation["eval_uar"], 3),
    }


if __name__ == "__main__":
    main()
