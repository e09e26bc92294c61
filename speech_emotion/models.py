"""Make, load and save classifiers: folders or hub ids that `AutoModelForAudioClassification` understands."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    FeatureExtractionMixin,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
)
from transformers.utils import cached_file

from speech_emotion.audio import SAMPLE_RATE
from speech_emotion.cnn import SpectrogramCNN
from speech_emotion.cnn_mfcc import MfccCNN

CNNS = {"cnn": SpectrogramCNN, "cnn-mfcc": MfccCNN}  # names that make a new network, not load a checkpoint


# What transformers raises for a checkpoint that is missing, damaged or of another kind.
LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError)


class ModelError(ValueError):
    """A model that cannot be used; the message is a sentence that says why."""

    @classmethod
    def of(cls, name: str, error: Exception) -> "ModelError":
        """Make it of what transformers raised."""
        reason = str(error).strip().partition("\n")[0]
        return cls(f"The model {name!r} cannot be loaded: {reason}")


def new_classifier(
    name: str, labels: list[str], changes: dict | None = None
) -> tuple[PreTrainedModel, FeatureExtractionMixin, set[str]]:
    """Make a classifier to be trained.

    Args:
        name: `cnn` or `cnn-mfcc`, or a folder or hub id of an encoder, which gets a new head, or of a
            classifier, which keeps its own where that has as many classes.
        labels: the class names in the order of the outputs.
        changes: fields of the model's config to set.

    Returns:
        The model, its feature extractor, and the names of the parameters that start at random.

    Raises:
        ModelError: there is no encoder or classifier of that name that transformers can load.
    """
    labelling = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    fields = labelling | (changes or {})
    if name in CNNS:
        network = CNNS[name]
        model = network(network.config_class(**fields))
        extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
        return model, extractor, {parameter for parameter, _ in model.named_parameters()}
    try:
        config = AutoConfig.from_pretrained(name, **fields)
        if getattr(config, "use_weighted_layer_sum", False):
            config.layerdrop = 0.0  # a layer that is left out gives no state to weigh
        model, report = AutoModelForAudioClassification.from_pretrained(
            name,
            config=config,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
        extractor = AutoFeatureExtractor.from_pretrained(name)
    except LOAD_ERRORS as error:
        raise ModelError.of(name, error) from error
    fresh = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    return model, extractor, fresh


def load_classifier(name: str | Path) -> tuple[PreTrainedModel, FeatureExtractionMixin]:
    """Load a trained classifier, never a partly random one.

    Args:
        name: a folder or a hub id. Only safetensors are read, and no code of the model's.

    Returns:
        The model in evaluation mode, float32, and its feature extractor.

    Raises:
        ModelError: nothing loadable there, weights missing from the checkpoint (transformers would fill them
            in at random and only warn), or a sampling rate other than 16 kHz.
    """
    name = str(name)
    try:
        model, report = AutoModelForAudioClassification.from_pretrained(
            name, output_loading_info=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
        extractor = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False)
    except LOAD_ERRORS as error:
        raise ModelError.of(name, error) from error
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"]))
        raise ModelError(f"The checkpoint of {name!r} lacks weights, so it would predict noise: {missing}.")
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ModelError(
            f"The model {name!r} wants {extractor.sampling_rate} Hz audio; {SAMPLE_RATE} is served."
        )
    return model.eval(), extractor


def load_report(name: str) -> dict | None:
    """Load the `report.json` beside a model, in its folder or on the hub; None where it has none."""
    try:
        path = find_file(name, "report.json")
        return json.loads(path.read_text()) if path else None
    except (OSError, ValueError):  # not to be read, or not JSON
        return None


def find_file(name: str, file: str) -> Path | None:
    """Find a file of a model's folder, or of its repository on the hub; None where it has none."""
    try:
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
    except OSError:  # no way to the hub
        return None
    return Path(path) if path else None


def extract(extractor: FeatureExtractionMixin, clips: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """Batch waveforms into a model's inputs.

    Args:
        extractor: the model's feature extractor.
        clips: float32 waveforms of any lengths, 16 kHz.

    Returns:
        Tensors by input name, padded to the longest clip where the model takes waveforms, to its fixed
        window where it takes spectrograms (Whisper).
    """
    padding = {"padding": True} if extractor.model_input_names[0] == "input_values" else {}
    return dict(extractor(clips, sampling_rate=SAMPLE_RATE, return_tensors="pt", **padding))


def last_linear(model: PreTrainedModel) -> torch.nn.Linear:
    """Give the layer that makes the logits."""
    return [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
