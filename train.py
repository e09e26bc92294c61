r"""Fine-tune a speech encoder, or train a CNN on spectrograms, to classify the emotion of a voice.

One recipe for a checkpoint of the hub, a local folder and the CNNs. A shipped model's command is in its
`report.json`.

    accelerate launch train.py --model facebook/wav2vec2-base --model_dir models/wav2vec2 --bf16
    accelerate launch train.py --model cnn --model_dir models/cnn --distill_from outputs/distilled \
        --cached_views as_it_lies augmented-1 augmented-2
    accelerate launch train.py --model cnn-mfcc --model_dir outputs/cnn-mfcc --num_train_epochs 40

Several GPUs:        accelerate launch --multi_gpu train.py ...
Two CPU processes:   accelerate launch --multi_gpu --num_processes 2 train.py --use_cpu ...
                     (accelerate's own --cpu starts a single process, whatever else it is given)
After an interruption: the same command with --resume_from_checkpoint true resumes from the latest complete
checkpoint. Without it, training starts anew and removes the checkpoints that an earlier training wrote into
the same --output_dir.

`--data` is the output of `python -m data_prep`. Validation speakers choose the epoch, the temperature and the
threshold. Test speakers are measured once, at the end, with the finished folder. The model folder is written
aside and replaces an earlier one when it is complete and measured.

A refusal is one sentence and exit code 1; `accelerate launch` prints a traceback of its own below it. All
arguments of transformers.TrainingArguments work.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch
from datasets import DatasetDict, concatenate_datasets
from safetensors import SafetensorError
from transformers.utils import CONFIG_NAME

from speech_emotion.atomic import atomic_directory, check_place, format_os_error
from speech_emotion.dataset import REMEDY, DamagedClipError, DatasetError, cap_corpora
from speech_emotion.evaluation.predict import HELD_OUT, PREDICTIONS
from speech_emotion.evaluation.report import evaluate_folder, print_report
from speech_emotion.hub import PublishError, publish_folder
from speech_emotion.machine import count_cores
from speech_emotion.models.loading import ModelError
from speech_emotion.training import checkpoints
from speech_emotion.training.arguments import Arguments, Recipe, parse_arguments
from speech_emotion.training.calibration import (
    pool,
    predict_held_out,
    predict_test,
    read_held_out,
    read_thresholds,
    report_predictions,
    save_calibrated,
    temperatures,
)
from speech_emotion.training.errors import CheckpointError, TrainingError
from speech_emotion.training.fitting import fit, keep_last_epoch
from speech_emotion.training.record import describe_training, save_summary
from speech_emotion.training.splitting import calibration_groups, load_dataset, split_dataset

RESUME = "The same command with --resume_from_checkpoint true resumes from the latest complete checkpoint."


def train_all(recipe: Recipe, args: Arguments) -> None:
    """Train a model for each protocol, summarise their figures, publish the model."""
    if args.use_cpu:  # accelerate leaves a single process one thread
        torch.set_num_threads(max(1, count_cores() // args.world_size))

    # -------------------------------------------------------------------------------------------------
    # Load and split

    runs = split_dataset(load_dataset(recipe), recipe, args.seed)
    names = {protocol: protocol.replace(":", "-") if len(runs) > 1 else "" for protocol in runs}
    output = Path(args.output_dir)
    with args.main_process_first():
        for name in names.values():
            checkpoints.clear_stale(output / name, args.resume_from_checkpoint)

    # -------------------------------------------------------------------------------------------------
    # Train and evaluate

    reports = {}
    for protocol, splits in runs.items():
        args.output_dir = str(output / names[protocol])
        reports[protocol] = train(recipe, args, protocol, splits, recipe.model_dir / names[protocol])

    # -------------------------------------------------------------------------------------------------
    # Summarise and publish

    if args.process_index == 0:
        if recipe.summary:
            save_summary(reports, recipe.summary)
        if recipe.push_model_to:
            print(f"Published: {publish_folder(recipe.model_dir, recipe.push_model_to)}")


def train(
    recipe: Recipe, args: Arguments, protocol: str | None, splits: DatasetDict, folder: Path
) -> dict | None:
    """Train one model and write its folder.

    Args:
        recipe: what is trained on what.
        args: the Trainer's arguments.
        protocol: how the dataset was split; None: as prepared.
        splits: `train`, `validation` and `test`.
        folder: the model folder.

    Returns:
        The model's report; None in every process but the first.
    """
    check_place(folder, CONFIG_NAME)
    started = time.time()
    groups = calibration_groups(splits, recipe, args.seed)

    # -------------------------------------------------------------------------------------------------
    # Fit: validation speakers choose the epoch, or are trained on as well

    everyone = DatasetDict(splits | {"train": concatenate_datasets([splits["train"], splits["validation"]])})
    if recipe.validate:
        fitted = fit(recipe, args, splits)
        held_out = [predict_held_out(fitted, splits["validation"])]
    else:
        fitted = fit(recipe, keep_last_epoch(args, "everyone"), everyone)
        held_out = [read_held_out(file) for file in recipe.calibrate_on]

    # -------------------------------------------------------------------------------------------------
    # Calibrate: the temperature comes from clips that a training did not hear, as they will be served

    for number, group in enumerate(groups, start=1):
        other = fit(recipe, keep_last_epoch(args, f"held-out-{number}"), group)
        held_out.append(predict_held_out(other, group["validation"]))
    temperature, each_temperature = temperatures(held_out) if held_out else (1.0, [])

    # -------------------------------------------------------------------------------------------------
    # Refit: once more from the start, on the validation speakers as well

    if recipe.refit:
        fitted = fit(recipe, keep_last_epoch(args, "refit"), everyone)
    if recipe.refit or not recipe.validate:
        splits = everyone
    if not fitted.trainer.is_world_process_zero():
        return None

    # -------------------------------------------------------------------------------------------------
    # Save

    training = describe_training(recipe, args, protocol, splits) | {
        "minutes": round((time.time() - started) / 60, 1),
        "validation_uar": held_out[0].uar if recipe.validate else None,
        "temperature": temperature,
        "temperatures": each_temperature,
    }
    with atomic_directory(folder, CONFIG_NAME) as fresh:
        if not recipe.validate:
            predictions = predict_test(fitted, splits["test"], recipe.compute_views)
            np.savez_compressed(fresh / PREDICTIONS, **predictions)
        save_calibrated(fitted.model, fitted.extractor, temperature, fresh)
        if splits is everyone and held_out:  # the saved model has heard the validation speakers
            kept = pool(held_out)
            np.savez(fresh / HELD_OUT, logits=kept.logits / temperature, labels=kept.labels)

        # ---------------------------------------------------------------------------------------------
        # Evaluate: the test speakers, once

        if recipe.summary and not recipe.validate and not held_out:
            report = report_predictions(fitted.model, predictions, splits["test"], training)
            (fresh / "report.json").write_text(json.dumps(report, indent=1) + "\n")
            return report
        splits = DatasetDict(splits | {"test": cap_corpora(splits["test"], recipe.test_clips, args.seed)})
        quick = recipe.summary is not None
        threshold = read_thresholds(recipe.calibrate_on, splits["test"].features["emotion"].names)
        report = evaluate_folder(fresh, splits, training, quick, threshold=threshold)
    print_report(report)
    print(f"Saved to {folder}")
    return report


def main() -> None:
    """Train; turn every foreseen error into a sentence that says what to do."""
    place = None
    try:
        recipe, args = parse_arguments(__doc__)
        place = recipe.model_dir
        train_all(recipe, args)
    except CheckpointError as error:
        raise SystemExit(f"{error} {RESUME}") from error
    except DamagedClipError as error:  # whose message a worker process puts a traceback into
        raise SystemExit(f"A clip of {recipe.data!r} is damaged. {REMEDY} {RESUME}") from error
    except (TrainingError, DatasetError, ModelError, PublishError) as error:
        raise SystemExit(str(error)) from error
    except FileExistsError as error:
        raise SystemExit(f"{format_os_error(error, place)}.") from error
    except (OSError, SafetensorError) as error:
        raise SystemExit(f"{format_os_error(error, place)}. {RESUME}") from error
    except KeyboardInterrupt as error:
        raise SystemExit(f"Interrupted. {RESUME}") from error


if __name__ == "__main__":
    main()
