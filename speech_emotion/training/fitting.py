"""One training: a model, the inputs it is trained on, and the Trainer that has run."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset, DatasetDict
from torch import nn
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, FeatureExtractionMixin, PreTrainedModel, set_seed
from transformers.trainer_utils import IntervalStrategy

from speech_emotion.models.cnn import SpectrogramCNN
from speech_emotion.models.loading import CNNS, new_classifier, window_seconds
from speech_emotion.training import checkpoints
from speech_emotion.training.arguments import RESUME_LATEST, Arguments, Recipe
from speech_emotion.training.augmentation import augment
from speech_emotion.training.distillation import DistillationHead, DistillationTargets
from speech_emotion.training.errors import ArgumentsError
from speech_emotion.training.feature_cache import (
    AS_IT_LIES,
    CachedDataset,
    FeatureCache,
    PoolingLayer,
    UpperCNN,
    UpperEncoder,
    collate_cached,
)
from speech_emotion.training.heads import add_lora, draw_probe_clips, fit_linear_probe, freeze
from speech_emotion.training.inputs import ClipDataset, Collator
from speech_emotion.training.sampling import balance
from speech_emotion.training.trainer import EmotionTrainer, make_loss, score


@dataclass
class TrainingInputs:
    """What is trained, and on what: the whole model on waveforms, or its upper layers on cached states.

    Attributes:
        model: the module that is trained.
        collate: batches items of the datasets.
        training: the training clips.
        plain: the training clips without augmentation.
        validation: the validation clips.
        rows: of the training clips.
        cache: where the states come from; None for waveforms.
    """

    model: nn.Module
    collate: Callable
    training: torch.utils.data.Dataset
    plain: torch.utils.data.Dataset
    validation: torch.utils.data.Dataset
    rows: Dataset
    cache: FeatureCache | None = None


@dataclass
class FittedModel:
    """A finished training.

    Attributes:
        model: the classifier with the trained weights.
        extractor: its feature extractor.
        trainer: the Trainer that has run.
        inputs: what it was trained on.
    """

    model: PreTrainedModel
    extractor: FeatureExtractionMixin
    trainer: EmotionTrainer
    inputs: TrainingInputs


def fit(recipe: Recipe, args: Arguments, splits: DatasetDict) -> FittedModel:
    """Train a new model on the training split, resuming where the arguments say so.

    Args:
        recipe: what is trained on what.
        args: the Trainer's arguments.
        splits: `train` and `validation`.

    Raises:
        ModelError: the model to start from cannot be loaded.
        TrainingError: the model cannot be trained as the recipe asks, or a checkpoint cannot be resumed from.
    """
    set_seed(args.seed)
    labels = splits["train"].features["emotion"].names
    model, extractor, fresh = new_classifier(recipe.model, labels, json.loads(recipe.model_config))
    new_parameters = {parameter for name, parameter in model.named_parameters() if name in fresh}
    if recipe.frozen_layers is not None:
        freeze(model, recipe.frozen_layers, args.device.type)
    elif recipe.pooling_layer:
        freeze(model, model.config.num_hidden_layers, args.device.type)
    if recipe.cached_views:
        inputs = cached_inputs(recipe, args, model, extractor, splits)
    else:
        inputs = waveform_inputs(recipe, model, extractor, splits)
    if recipe.distill_from or recipe.pooling_layer:
        new_parameters |= {*inputs.model.parameters()}  # those of the distillation head or the new layer, too
    weights = balance(inputs.rows) if recipe.balance else None
    if recipe.linear_probe:
        plain, own_weights = draw_probe_clips(inputs.plain, weights, args.seed)
        plain = DataLoader(plain, args.per_device_eval_batch_size, collate_fn=inputs.collate)
        new_parameters |= fit_linear_probe(model, inputs.model.to(args.device), plain, own_weights)
    if recipe.pooling_layer:
        inputs.model.set_scale(DataLoader(inputs.plain, 512, collate_fn=inputs.collate))
    if recipe.lora_rank:
        inputs.model = add_lora(model, recipe.lora_rank)
        new_parameters = {each for each in inputs.model.parameters() if each.requires_grad}
    patience = recipe.early_stopping_patience if args.load_best_model_at_end else 0
    trainer = EmotionTrainer(
        inputs.model,
        args,
        new_parameters=new_parameters,
        head_learning_rate=recipe.head_learning_rate,
        mixup=recipe.mixup,
        clip_weights=weights,
        ema_decay=recipe.ema_decay,
        train_dataset=inputs.training,
        eval_dataset=inputs.validation,
        data_collator=inputs.collate,
        compute_loss_func=make_loss(args.label_smoothing_factor),
        compute_metrics=score,
        callbacks=[EarlyStoppingCallback(patience)] if patience else None,
    )
    with args.main_process_first():
        checkpoint = checkpoints.find_resumable(Path(args.output_dir), args.resume_from_checkpoint)
    try:
        trainer.train(checkpoint)
    except RuntimeError as error:
        if not checkpoint or "loading state_dict" not in str(error):
            raise
        raise ArgumentsError(
            f"{checkpoint} is of a training with other arguments: "
            "train anew without --resume_from_checkpoint."
        ) from error
    if recipe.pooling_layer:
        inputs.model.write_back()
    if recipe.lora_rank:
        model = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
    return FittedModel(model, extractor, trainer, inputs)


def keep_last_epoch(args: Arguments, name: str) -> Arguments:
    """Return the arguments of a later training, which keeps its last epoch whatever validation says.

    Args:
        args: those of the first training.
        name: of the folder for its checkpoints, inside the first one's.
    """
    args = copy.copy(args)
    args.output_dir = str(Path(args.output_dir, name))
    args.eval_strategy, args.load_best_model_at_end = IntervalStrategy.NO, False
    if args.resume_from_checkpoint != RESUME_LATEST:
        args.resume_from_checkpoint = None  # a path is a checkpoint of the first training
    return args


def waveform_inputs(
    recipe: Recipe, model: PreTrainedModel, extractor: FeatureExtractionMixin, splits: DatasetDict
) -> TrainingInputs:
    """Return the whole model and waveforms, augmented anew in every epoch."""
    seconds = window_seconds(model)
    plain, validation = [ClipDataset(splits[name], seconds) for name in ("train", "validation")]
    change = augment if recipe.augmentation else None
    training = ClipDataset(splits["train"], seconds, change)
    return TrainingInputs(model, Collator(extractor), training, plain, validation, splits["train"])


def cached_inputs(
    recipe: Recipe,
    args: Arguments,
    model: PreTrainedModel,
    extractor: FeatureExtractionMixin,
    splits: DatasetDict,
) -> TrainingInputs:
    """Return the layers above the frozen part and the states that the frozen part computes.

    Raises:
        ModelError: there is no encoder to distil from.
        ArgumentsError: the states of such a model cannot be cached.
    """
    views = recipe.cached_views if recipe.augmentation else [AS_IT_LIES]
    model.to(args.device)
    targets = distillation_targets(recipe, args, splits, model) if recipe.distill_from else None
    try:
        if targets:
            upper = DistillationHead(model, targets.width, recipe.distill_weight)
        elif recipe.model in CNNS:
            upper = UpperCNN(model)
        elif recipe.pooling_layer:
            upper = PoolingLayer(model)
        else:
            upper = UpperEncoder(model, recipe.frozen_layers)
    except ValueError as error:
        raise ArgumentsError(str(error)) from error
    with args.main_process_first():
        cache = FeatureCache(upper, extractor, window_seconds(model), recipe.cache_dir, args.bf16)
        if recipe.compute_views:
            cache.add(splits["train"], views)
            cache.add(splits["validation"], [AS_IT_LIES])
    rows = cache.select(splits["train"], views)
    training = CachedDataset(cache, rows, views, recipe.cached_frames, targets and targets.get)
    plain = CachedDataset(cache, rows, views, recipe.cached_frames)
    validation = CachedDataset(cache, cache.select(splits["validation"], [AS_IT_LIES]), [AS_IT_LIES])
    return TrainingInputs(upper, collate_cached, training, plain, validation, rows, cache)


def distillation_targets(
    recipe: Recipe, args: Arguments, splits: DatasetDict, model: SpectrogramCNN
) -> DistillationTargets:
    """Compute the states that the CNN learns to predict: those of the encoder to distil from.

    Args:
        recipe: names the encoder.
        args: the Trainer's arguments.
        splits: `train` is computed.
        model: the CNN, whose window and stride the targets have.

    Raises:
        ModelError: there is no such encoder.
        ArgumentsError: its states cannot be cached.
    """
    labels = splits["train"].features["emotion"].names
    encoder, extractor, _ = new_classifier(recipe.distill_from, labels)  # its head is not used
    layers = encoder.config.num_hidden_layers
    freeze(encoder, layers, args.device.type)
    try:
        upper = UpperEncoder(encoder.to(args.device), layers)
    except ValueError as error:
        raise ArgumentsError(str(error)) from error
    with args.main_process_first():
        cache = FeatureCache(upper, extractor, window_seconds(model), recipe.cache_dir, args.bf16)
        cache.add(splits["train"], [AS_IT_LIES])
    return DistillationTargets(cache, splits["train"], model.stride)
