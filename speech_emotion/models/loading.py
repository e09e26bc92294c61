"""Create and load classifiers: folders or hub ids that `AutoModelForAudioClassification` understands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    FeatureExtractionMixin,
    PreTrainedConfig,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)
from transformers.utils import logging

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.models.cnn import SpectrogramCNN
from speech_emotion.models.cnn_mfcc import MfccCNN
from speech_emotion.models.folder import WINDOW_SECONDS, ModelError
from speech_emotion.models.group_norm import mask_group_norm
from speech_emotion.models.registration import register
from speech_emotion.models.untrusted import (
    check_labels,
    check_rate,
    check_weights,
    check_window,
    fetch_settings,
)

CNNS = {"cnn": SpectrogramCNN, "cnn-mfcc": MfccCNN}  # names of new networks, which load no checkpoint
WHISPER_POSITIONS = 50  # of a Whisper for each second

# Errors of transformers for a checkpoint that is missing, damaged or of another kind.
LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError)


def new_classifier(
    name: str, labels: list[str], changes: dict | None = None
) -> tuple[PreTrainedModel, FeatureExtractionMixin, set[str]]:
    """Create a classifier to train.

    Args:
        name: `cnn` or `cnn-mfcc`; or a folder or hub id of an encoder, which gets a new head, or of a
            classifier, which keeps its head if that has as many classes.
        labels: the class names in the order of the outputs.
        changes: fields of the model's config to set. `window_seconds` is the length of sound that it takes at
            once. A Whisper with fewer `encoder_layers` keeps its first ones; `max_source_positions` may be
            fewer where they still cover the window.

    Returns:
        The model, its feature extractor, and the names of the parameters that start at random.

    Raises:
        ModelError: transformers can load no encoder or classifier of that name.
    """
    register()
    labelling = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    fields = labelling | (changes or {})
    window = fields.pop("window_seconds", None)
    if name in CNNS:
        network = CNNS[name]
        try:
            config = network.config_class(**fields)
            _set_window(config, window)
            model = network(config)
        except ValueError as error:
            raise ModelError.of(name, error) from error
        extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
        return model, extractor, {parameter for parameter, _ in model.named_parameters()}
    try:
        config = AutoConfig.from_pretrained(name, **fields)
        _set_window(config, window)
        if getattr(config, "use_weighted_layer_sum", False):
            config.layerdrop = 0.0  # a dropped layer has no state for the sum
        model, report = AutoModelForAudioClassification.from_pretrained(
            name,
            config=config,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
            dtype=torch.float32,
        )
        extractor = AutoFeatureExtractor.from_pretrained(name)
        if isinstance(extractor, WhisperFeatureExtractor):  # its window is as long as the positions
            seconds, rest = divmod(config.max_source_positions, WHISPER_POSITIONS)
            if rest or seconds < config.window_seconds:
                least = f"{config.window_seconds:g} seconds at least"
                raise ValueError(f"max_source_positions must be {WHISPER_POSITIONS} a second, of {least}")
            extractor = WhisperFeatureExtractor(**extractor.to_dict() | {"chunk_length": seconds})
    except LOAD_ERRORS as error:
        raise ModelError.of(name, error) from error
    mask_group_norm(model)
    fresh = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    return model, extractor, fresh - {"encoder.embed_positions.weight"}  # Whisper's are fixed sines


def load_classifier(
    name: str | Path, folder: Path | None = None
) -> tuple[PreTrainedModel, FeatureExtractionMixin]:
    """Load a trained classifier, never a partly random one.

    Args:
        name: a folder or a hub id. Only safetensors are read, and no code of the model's.
        folder: the result of `fetch_settings`, if it was called before.

    Returns:
        The model in evaluation mode, float32, its `name_or_path` the folder on this machine that it was read
        from; and its feature extractor.

    Raises:
        ModelError: there is no model; `models.untrusted` refuses its files; weights are missing (transformers
            would fill them in at random and only warn) or not finite; its classes are no set of labels;
            the sampling rate is not 16 kHz; or the feature extractor does not fit.
    """
    register()
    try:
        folder = folder or fetch_settings(str(name))
        check_weights(folder)
        with _without_bars():
            model, report = AutoModelForAudioClassification.from_pretrained(
                folder,
                output_loading_info=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
            )
        extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=False)
        mask_group_norm(model)
        _check_classifier(model.eval(), extractor, report["missing_keys"])
    except Exception as error:  # settings made up by somebody can raise anything
        raise ModelError.of(str(name), error) from error
    return model, extractor


@contextmanager
def _without_bars() -> Iterator[None]:
    """Silence transformers' progress bar: weights on this disk load at once."""
    before = logging.set_tqdm_hook(lambda bar, args, kwargs: bar(*args, **kwargs | {"disable": True}))
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)


@torch.inference_mode()
def _check_classifier(model: PreTrainedModel, extractor: FeatureExtractionMixin, missing: set[str]) -> None:
    """Raise a ValueError if a model would predict noise, or something that is no emotion."""
    if missing:
        raise ValueError(f"it lacks weights, so it would predict noise: {', '.join(sorted(missing))}")
    if damaged := [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]:
        raise ValueError(f"not all of its weights are numbers: {', '.join(damaged)}")
    labels = [model.config.id2label.get(index) for index in range(model.config.num_labels)]
    check_labels(labels)
    check_rate(extractor.sampling_rate)
    check_window(window_seconds(model))
    second = np.sin(np.arange(SAMPLE_RATE, dtype=np.float32) / 10)
    logits = model(**extract(extractor, [second])).logits
    if logits.shape != (1, len(labels)) or not logits.isfinite().all():
        raise ValueError(f"of a second of sound it makes no number for each of its {len(labels)} classes")


def extract(extractor: FeatureExtractionMixin, clips: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """Batch waveforms into a model's inputs.

    Args:
        extractor: the model's feature extractor.
        clips: float32 waveforms of any lengths, 16 kHz.

    Returns:
        Tensors by input name, padded to the longest clip where the model takes waveforms, to its fixed
        window where it takes spectrograms (Whisper).
    """
    # A mask for every model of waveforms, also those whose extractor has none: see `group_norm`.
    waveforms = extractor.model_input_names[0] == "input_values"
    options = {"padding": True, "return_attention_mask": True} if waveforms else {}
    return dict(extractor(clips, sampling_rate=SAMPLE_RATE, return_tensors="pt", **options))


def window_seconds(model: PreTrainedModel) -> float:
    """Return the length of sound in seconds that a model takes at once; longer clips are cut."""
    return getattr(model.config, "window_seconds", WINDOW_SECONDS)


def _set_window(config: PreTrainedConfig, seconds: object) -> None:
    """Write the window into a config: the one asked for, else what the config has, else the default."""
    seconds = getattr(config, "window_seconds", WINDOW_SECONDS) if seconds is None else seconds
    check_window(seconds)
    config.window_seconds = float(seconds)


def last_linear(model: PreTrainedModel) -> torch.nn.Linear:
    """Return the layer that computes the logits."""
    return [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
