"""Training above a frozen part: what it makes of each clip is computed once and kept.

Where a front end and the first layers stay as they are, running them again in every epoch gives the same
numbers; a CNN's spectrogram is such a front end, too. `FeatureCache` holds them, for several views of each
clip: as it lies, with its silence trimmed, augmented. The upper layers are trained on them in a fraction of
the time. Their parameters are the classifier's own, so what was trained is saved by saving the classifier.
"""

import copy
import hashlib
import json
import logging
import math
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import FeatureExtractionMixin, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import SequenceClassifierOutput

from speech_emotion.atomic import atomic_write
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import trim_silence
from speech_emotion.audio.vad import detect_speech
from speech_emotion.dataset import crop, read_clip
from speech_emotion.models.cnn import WaveformClassifier
from speech_emotion.models.loading import extract
from speech_emotion.training import augmentation
from speech_emotion.training.augmentation import augment
from speech_emotion.training.inputs import seeded

logger = logging.getLogger(__name__)

FAMILIES = ("wav2vec2", "hubert")  # whose encoders are laid out alike

# views; augmented ones are numbered
AS_IT_LIES, TRIMMED, VOICE, AUGMENTED = "as_it_lies", "trimmed", "voice", "augmented-"
MIN_SAMPLES = SAMPLE_RATE // 5  # a shorter view is padded with silence
PART_CLIPS = 384  # clips whose states go into one file
BATCH_SECONDS = 16.0  # sound that is computed at once, padding included
SPREAD_SECONDS = 0.25  # by which clips of one batch may differ in length


@contextmanager
def constant_positions(model: PreTrainedModel, samples: int) -> Iterator[None]:
    """Replace the positional convolution by its output where that does not depend on the sound.

    So it is in an encoder made by `distill.py`: the convolution reads constant channels alone, and takes a
    third of the time of the frozen part on a CPU. Any other encoder is left as it is.

    Args:
        model: a stock wav2vec2 or HuBERT classifier.
        samples: length of the batch that will be computed.
    """
    encoder = model.base_model.encoder
    convolution, table = encoder.pos_conv_embed, _position_table(model, samples)
    if table is not None:
        encoder.pos_conv_embed = _Positions(table)
    try:
        yield
    finally:
        encoder.pos_conv_embed = convolution


class _Positions(nn.Module):
    """A table of positions in the place of a positional convolution."""

    def __init__(self, table: torch.Tensor):
        super().__init__()
        self.table = table

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.table[:, : hidden.shape[1]].expand_as(hidden)


def _position_table(model: PreTrainedModel, samples: int) -> torch.Tensor | None:
    """Compute what the positional convolution adds to clips of up to so many samples.

    Returns:
        Shape [1, frames, width]; None where that depends on the sound or on the clip's length.
    """
    known = getattr(model, "_position_table", None)
    if known is not None and known[0] >= samples:
        return known[1]
    base, dice = model.base_model, torch.Generator().manual_seed(0)
    tables = []
    for size in (samples, samples, samples // 2):
        noise = torch.randn(1, size, generator=dice).to(model.device)
        hidden = base.feature_projection(base.feature_extractor(noise).transpose(1, 2))
        tables.append(base.encoder.pos_conv_embed(hidden[0] if isinstance(hidden, tuple) else hidden))
    table, same, shorter = tables
    constant = torch.allclose(table, same, atol=1e-5) and torch.allclose(
        table[:, : shorter.shape[1]], shorter, atol=1e-5
    )
    model._position_table = samples, table if constant else None
    return model._position_table[1]


class UpperLayers(nn.Module):
    """The part of a classifier that is trained; `compute` runs the part below.

    Args:
        model: the classifier.
        width: of a state.
    """

    THINNING = 1  # of an augmented view's states, every so many are kept

    def __init__(self, model: PreTrainedModel, width: int):
        super().__init__()
        self.config = model.config
        self.width = width
        self.whole = (model,)  # in a tuple, so that its frozen parameters are none of the upper's

    def compute(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute states of shape [clips, frames, width] of waveforms of shape [clips, samples]."""
        raise NotImplementedError

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the number of states of clips of so many samples."""
        raise NotImplementedError

    def frozen(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Return the parameters that the states depend on, by their names."""
        raise NotImplementedError


class UpperEncoder(UpperLayers):
    """The part above the first layers of an encoder: layers, norm, projector, mean over time, classifier.

    Args:
        model: a stock wav2vec2 or HuBERT classifier.
        frozen_layers: how many transformer layers are below, at least 1.

    Raises:
        ValueError: another architecture, or not so many layers.
    """

    THINNING = 2  # neighbouring states are alike, and augmented views are half of the cache

    def __init__(self, model: PreTrainedModel, frozen_layers: int):
        if model.config.model_type not in FAMILIES or model.config.use_weighted_layer_sum:
            raise ValueError(
                f"States are kept of wav2vec2 and HuBERT classifiers without a weighted layer sum, "
                f"not of this {model.config.model_type}."
            )
        encoder = model.base_model.encoder
        if not 1 <= frozen_layers <= len(encoder.layers):
            raise ValueError(f"{frozen_layers} frozen layers: the encoder has {len(encoder.layers)}.")
        super().__init__(model, model.config.hidden_size)
        self.frozen_layers = frozen_layers
        self.layers = encoder.layers[frozen_layers:]
        # Without "stable" norms the encoder's norm comes before its layers, in the frozen part.
        self.norm = encoder.layer_norm if model.config.do_stable_layer_norm else nn.Identity()
        self.projector = model.projector
        self.classifier = model.classifier

    def forward(self, states: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        """Compute logits.

        Args:
            states: shape [clips, frames, width].
            attention_mask: shape [clips, frames]; False where a clip has ended.
        """
        mask = create_bidirectional_mask(
            config=self.config, inputs_embeds=states, attention_mask=attention_mask
        )
        for layer in self.layers:
            states = layer(states, attention_mask=mask)
        states = self.projector(self.norm(states)) * attention_mask[..., None]
        pooled = states.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)
        return SequenceClassifierOutput(logits=self.classifier(pooled))

    def compute(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute the states after the frozen layers."""
        return compute_lower(self.whole[0], self.frozen_layers, input_values, attention_mask)

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the number of states of clips of so many samples."""
        return self.whole[0]._get_feat_extract_output_lengths(samples)

    def frozen(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Return the parameters of the front end and the frozen layers."""
        return lower_parameters(self.whole[0], self.frozen_layers)


def compute_lower(
    model: PreTrainedModel, layers: int, input_values: torch.Tensor, attention_mask: torch.Tensor
) -> torch.Tensor:
    """Compute the states after an encoder's first layers, shape [clips, frames, width]."""
    encoder, seen = model.base_model.encoder, []
    every, encoder.layers = encoder.layers, encoder.layers[:layers]
    hook = every[layers - 1].register_forward_hook(lambda *call: seen.append(call[-1]))
    try:
        with constant_positions(model, input_values.shape[1]):
            model.base_model(input_values, attention_mask=attention_mask)
    finally:
        hook.remove()
        encoder.layers = every
    return seen.pop()


def lower_parameters(model: PreTrainedModel, layers: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Return the parameters of an encoder's front end and first layers.

    The norm after the last layer is none of them where layers normalise first.
    """
    for name, parameter in model.base_model.state_dict().items():
        above = name.startswith("encoder.layers.") and int(name.split(".")[2]) >= layers
        after = name.startswith("encoder.layer_norm.") and model.config.do_stable_layer_norm
        if not above and not after:
            yield name, parameter


class PoolingLayer(UpperLayers):
    """One more transformer layer as pooling and a classifier's hidden layer, trained on one vector a clip.

    The stock head is linear, and pools a mean. With other weights stock layers do more. The feed-forward
    network of the encoder's last layer writes features of each frame; in an encoder made by `distill.py` its
    hidden units tell mean and spread of the state. Attention of one more layer, whose scores depend on
    nothing but how much a frame sounds like speech, is their weighted mean; the feed-forward network behind
    it is a hidden layer on that mean. All but GELU is linear before the mean, so the cache holds one vector
    for each view of a clip, and training takes minutes on a CPU. `write_back` writes the weights into the
    model, whose class stays transformers' own.

    Norms stand between these parts. A norm leaves its input as it is, but for a factor, where two channels
    hold a large constant and its negative; another channel holds the score. So three channels are reserved.

    Args:
        model: a stock wav2vec2 or HuBERT classifier whose layers normalise first. It gets the additional
            layer, unless its config has a `pooling_layer` already.
        dropout: of the pooled features and the hidden layer, in training.

    Raises:
        ValueError: another architecture.
    """

    HIDDEN = 1024  # units of the hidden layer that are used; the stock layer has three times as many
    RESERVED = 3  # the last channels: a large constant, its negative, the score
    CONSTANT = 16384.0
    FEATURE_SCALE = 10.0  # of the features over the state that they are added to
    POOLED_SCALE = 3000.0  # of what was pooled over the frame that it is added to, whose share is then small

    def __init__(self, model: PreTrainedModel, dropout: float = 0.3):
        config = model.config
        if config.model_type not in FAMILIES or not config.do_stable_layer_norm:
            raise ValueError(
                "A pooling layer needs a wav2vec2 whose layers normalise first, "
                f"not this {config.model_type}."
            )
        layers = model.base_model.encoder.layers
        if not getattr(config, "pooling_layer", False):
            layers.append(copy.deepcopy(layers[-1]))
            config.num_hidden_layers, config.pooling_layer = len(layers), True
        self.frozen_layers = len(layers) - 1
        measuring = layers[self.frozen_layers - 1].feed_forward.intermediate_dense
        # Of the units that measure something: an encoder made by `distill.py` leaves half of them out.
        self.units = (measuring.weight.abs().sum(1) > 0).nonzero()[:, 0]
        self.speech_units = getattr(config, "speech_units", None)
        state = config.hidden_size
        super().__init__(model, state + len(self.units))
        width, hidden = state - self.RESERVED, min(self.HIDDEN, config.intermediate_size)
        self.register_buffer("shift", torch.zeros(len(self.units)))
        self.register_buffer("scale", torch.ones(len(self.units)))
        self.features = nn.Linear(len(self.units), width)
        self.hidden_norm = nn.LayerNorm(state, eps=config.layer_norm_eps)
        self.hidden, self.hidden_output = nn.Linear(state, hidden), nn.Linear(hidden, state)
        self.output_norm = nn.LayerNorm(state, eps=config.layer_norm_eps)
        self.classifier = nn.Linear(state, config.num_labels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        """Compute logits.

        Args:
            states: pooled vectors, shape [clips, 1, width].
            attention_mask: shape [clips, 1]; not used.
        """
        pooled = self.pool(states[:, 0])
        hidden = nn.functional.gelu(self.hidden(self.dropout(self.hidden_norm(pooled))))
        pooled = pooled + self.hidden_output(self.dropout(hidden))
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(self.output_norm(pooled))))

    def pool(self, vectors: torch.Tensor) -> torch.Tensor:
        """Compute what attention pools, shape [clips, state], from vectors of shape [clips, width]."""
        state, units = vectors.split([self.config.hidden_size, len(self.units)], dim=1)
        features = self.features(self.dropout((units - self.shift) / self.scale))
        features = features - features.mean(1, keepdim=True)  # else the norm's mean would move the score
        features = features + state[:, : -self.RESERVED] / self.FEATURE_SCALE
        return nn.functional.pad(features, (0, self.RESERVED))

    @torch.no_grad()
    def read_pooled(self, model: PreTrainedModel, vectors: torch.Tensor) -> torch.Tensor:
        """Compute what a finished model's last layer pools, from its clips' cached vectors.

        Args:
            model: trained on this cache, as `write_back` left it.
            vectors: shape [clips, width].

        Returns:
            Shape [clips, state], as `backends.tap_pooled` collects it from clips.
        """
        *_, measuring, pooling = model.base_model.encoder.layers
        state, units = vectors.split([self.config.hidden_size, len(self.units)], dim=1)
        output = measuring.feed_forward.output_dense
        features = nn.functional.linear(units, output.weight[:, self.units], output.bias)
        return pooling.attention.v_proj(pooling.layer_norm(state + features))

    def compute(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute the means over speech of a state and of its features, shape [clips, 1, width]."""
        [model] = self.whole
        layer, found = model.base_model.encoder.layers[self.frozen_layers - 1], {}
        parts = {"state": layer.final_layer_norm, "units": layer.feed_forward.output_dense}
        hooks = [
            part.register_forward_pre_hook(lambda _, inputs, name=name: found.update({name: inputs[0]}))
            for name, part in parts.items()
        ]
        try:
            compute_lower(model, self.frozen_layers, input_values, attention_mask)
        finally:
            for hook in hooks:
                hook.remove()
        units = found["units"].float()
        lengths = model._get_feat_extract_output_lengths(attention_mask.sum(1))
        mask = torch.arange(units.shape[1], device=units.device) < lengths[:, None]
        scores = torch.zeros_like(units[..., 0])
        if self.speech_units:
            first, second = self.speech_units
            scores = units[..., first] - units[..., second]
        shares = scores.masked_fill(~mask, -torch.inf).softmax(1)[:, None]
        return torch.cat([shares @ found["state"].float(), shares @ units[..., self.units]], dim=2)

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Return one for each clip."""
        return torch.ones_like(samples)

    def frozen(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Return the parameters of the front end and the frozen layers, without what `write_back` writes."""
        yield "pooled", torch.ones(1)
        written = f"encoder.layers.{self.frozen_layers - 1}.feed_forward.output_dense."
        for name, parameter in lower_parameters(self.whole[0], self.frozen_layers):
            if not name.startswith(written):
                yield name, parameter

    @torch.no_grad()
    def set_scale(self, clips: DataLoader) -> None:
        """Scale the features to zero mean and unit variance.

        Args:
            clips: batches of training clips.
        """
        units = torch.cat([batch["states"][:, 0, self.config.hidden_size :] for batch in clips])
        self.shift.copy_(units.mean(0))
        self.scale.copy_(units.std(0).clamp_min(1e-4))

    @torch.no_grad()
    def write_back(self) -> None:
        """Write the layers and the head into the model."""
        [model] = self.whole
        *_, measuring, pooling = model.base_model.encoder.layers
        attention, network = pooling.attention, pooling.feed_forward
        linears = (
            *(attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj),
            *(network.intermediate_dense, network.output_dense, measuring.feed_forward.output_dense),
        )
        for parameter in (each for linear in linears for each in linear.parameters()):
            nn.init.zeros_(parameter)
        self._write_features(measuring.feed_forward.output_dense)
        self._write_attention(pooling, attention)
        model.config.classifier_proj_size = classes = model.config.num_labels
        model.projector = nn.Linear(self.config.hidden_size, classes, device=model.device)
        model.classifier = nn.Linear(classes, classes, device=model.device)
        nn.init.eye_(model.classifier.weight)
        nn.init.zeros_(model.classifier.bias)
        copies = [
            (pooling.final_layer_norm, self.hidden_norm, 1.0),
            (network.intermediate_dense, self.hidden, 1.0),
            (network.output_dense, self.hidden_output, self.POOLED_SCALE),
            (model.base_model.encoder.layer_norm, self.output_norm, 1.0),
            (model.projector, self.classifier, 1.0),
        ]
        for target, source, scale in copies:
            place = tuple(slice(size) for size in source.weight.shape)
            target.weight[place] = scale * source.weight
            target.bias[place[0]] = scale * source.bias

    def _write_features(self, output: nn.Linear) -> None:
        """Write what the measuring layer adds to each frame: features, constants, the score."""
        weight = self.FEATURE_SCALE * (self.features.weight - self.features.weight.mean(0)) / self.scale
        bias = self.FEATURE_SCALE * (self.features.bias - self.features.bias.mean())
        output.weight[: -self.RESERVED, self.units] = weight
        output.bias[: -self.RESERVED] = bias - weight @ self.shift
        output.bias[-3], output.bias[-2] = self.CONSTANT, -self.CONSTANT
        if self.speech_units:
            first, second = self.speech_units
            output.weight[-1, first], output.weight[-1, second] = self.FEATURE_SCALE, -self.FEATURE_SCALE

    def _write_attention(self, layer: nn.Module, attention: nn.Module) -> None:
        """Write attention that weighs frames by their score, and undoes the norm's factor."""
        nn.init.ones_(layer.layer_norm.weight)
        nn.init.zeros_(layer.layer_norm.bias)
        factor = self.CONSTANT * math.sqrt(2 / self.config.hidden_size) / self.FEATURE_SCALE
        if self.speech_units:
            first = slice(0, None, attention.head_dim)  # the first dimension of every head
            attention.q_proj.bias[first] = math.sqrt(attention.head_dim)
            attention.k_proj.weight[first, -1] = factor
        own = range(self.config.hidden_size - self.RESERVED)
        attention.v_proj.weight[own, own] = factor
        attention.out_proj.weight[own, own] = self.POOLED_SCALE
        attention.out_proj.bias[-3], attention.out_proj.bias[-2] = -self.CONSTANT, self.CONSTANT


class UpperCNN(UpperLayers):
    """All of a CNN but its spectrogram.

    Args:
        model: a CNN of this project.
    """

    def __init__(self, model: WaveformClassifier):
        second = torch.zeros(1, SAMPLE_RATE, device=model.device)
        super().__init__(model, model.rows(second, torch.ones_like(second))[0].shape[1])
        self.model = model

    def forward(self, states: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        """Compute logits.

        Args:
            states: spectrograms, shape [clips, frames, rows].
            attention_mask: shape [clips, frames]; False where a clip has ended.
        """
        rows, mask = states.transpose(1, 2), attention_mask.float().unsqueeze(1)
        return SequenceClassifierOutput(logits=self.model.classify(rows, mask))

    def compute(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute the spectrograms."""
        return self.model.rows(input_values, attention_mask)[0].transpose(1, 2)

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the number of frames of clips of so many samples."""
        return self.model.frames(samples)

    def frozen(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Return what the spectrogram makes of noise that swells: a CNN's front end has settings alone."""
        noise = torch.randn(1, SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
        swelling = (noise * torch.logspace(-4, 0, SAMPLE_RATE)).to(self.model.device)
        yield type(self.model).__name__, self.compute(swelling, torch.ones_like(swelling)).half()


class FeatureCache:
    """The states of clips after a model's first layers, kept in files where later runs find them.

    What is computed goes into files of a few hundred clips, each written aside and renamed when it is whole.
    So several runs may share a folder: each reads what is there, computes what it lacks, and overwrites
    nothing. An interrupted run goes on where it was. Another encoder, feature extractor, augmentation,
    length, precision or version of torch or transformers has a folder of its own.

    Args:
        upper: what is trained on the states, on the device that computes.
        extractor: the classifier's feature extractor.
        seconds: longer views are cropped to their start, augmented ones at random.
        folder: where the files are.
        bf16: compute the layers above the front end in bfloat16.
    """

    def __init__(
        self,
        upper: UpperLayers,
        extractor: FeatureExtractionMixin,
        seconds: float,
        folder: Path,
        bf16: bool = False,
    ):
        self.upper, self.extractor, self.seconds, self.bf16 = upper, extractor, seconds, bf16
        self.folder = folder / _fingerprint(upper, extractor, seconds, bf16)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.read: set[Path] = set()  # indices of files that are open
        self.pieces: dict[tuple[str, str], tuple[np.ndarray, int, int]] = {}
        self._open_parts()

    def add(self, rows: Dataset, views: Iterable[str]) -> None:
        """Compute the states of these views of the clips, where no file has them yet."""
        self._open_parts()
        sha256s = rows["sha256"][:]
        missing = [
            (row, view)
            for view in views
            for row, sha256 in enumerate(sha256s)
            if (sha256, view) not in self.pieces
        ]
        parts = range(0, len(missing), PART_CLIPS)
        for start in tqdm(parts, desc="frozen part", unit="file", disable=not parts):
            self._compute(rows, missing[start : start + PART_CLIPS])
        self._open_parts()

    def get(self, sha256: str, view: str) -> np.ndarray:
        """Return the states of a view of a clip: float16, shape [frames, width].

        Raises:
            KeyError: nobody has computed them.
        """
        frames, start, count = self.pieces[sha256, view]
        return frames[start : start + count]

    def select(self, rows: Dataset, views: Sequence[str]) -> Dataset:
        """Keep the rows of which the cache has one of these views."""
        self._open_parts()
        sha256s = rows["sha256"][:]
        kept = [
            index
            for index, sha256 in enumerate(sha256s)
            if any((sha256, view) in self.pieces for view in views)
        ]
        return rows if len(kept) == len(rows) else rows.select(kept)

    def _open_parts(self) -> None:
        """Open the files that this or another run has finished since; damaged ones are computed again."""
        for index in sorted(set(self.folder.glob("*.json")) - self.read):
            self.read.add(index)
            data = index.with_suffix(".f16")
            try:
                entries = json.loads(index.read_text())
                shape = (sum(count for *_, count in entries), self.upper.width)
                frames, start = np.memmap(data, np.float16, "r", shape=shape), 0
                if data.stat().st_size != frames.nbytes:
                    raise ValueError(f"{data.name} has another length")
            except (OSError, ValueError) as error:
                logger.warning("%s is damaged, so it is computed again: %s", data, error)
                continue
            for sha256, view, count in entries:
                self.pieces[sha256, view] = frames, start, count
                start += count

    @torch.no_grad()
    def _compute(self, rows: Dataset, items: Sequence[tuple[int, str]]) -> None:
        """Write the states of views of clips into a new file."""
        [model] = self.upper.whole
        model.eval()
        clips = [rows[row] for row, _ in items]
        sounds = [
            make_view(read_clip(clip), view, clip["sha256"], self.seconds)
            for clip, (_, view) in zip(clips, items, strict=True)
        ]
        found: list[np.ndarray | None] = [None] * len(items)
        for batch in _batches([sound.size for sound in sounds]):
            inputs = extract(self.extractor, [sounds[index] for index in batch])
            inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
            with torch.autocast(model.device.type, torch.bfloat16, enabled=self.bf16):
                states = self.upper.compute(**inputs).cpu().to(torch.float16).numpy()
            frames = self.upper.frames(torch.tensor([sounds[index].size for index in batch])).tolist()
            for index, own, count in zip(batch, states, frames, strict=True):
                thinning = self.upper.THINNING if items[index][1].startswith(AUGMENTED) else 1
                found[index] = own[:count:thinning]
        part = self.folder / f".{uuid.uuid4().hex}"
        with part.open("wb") as out:
            for states in found:
                out.write(np.ascontiguousarray(states).tobytes())
            out.flush()
            os.fsync(out.fileno())
        index = self.folder / f"{part.name[1:]}.json"
        part.rename(index.with_suffix(".f16"))
        entries = [
            (clip["sha256"], view, len(states))
            for clip, (_, view), states in zip(clips, items, found, strict=True)
        ]
        atomic_write(index, json.dumps(entries))


class CachedDataset(torch.utils.data.Dataset):
    """Rows as `UpperLayers` are trained on them: the states of a view drawn at random, label beside.

    Args:
        cache: of at least these rows and views.
        rows: a split of the dataset; the cache has one of the views of each.
        views: to draw among, where the cache has them.
        frames: give so many of a view's states, drawn at random and in their order, which makes a step
            cheaper and hides parts of the sound; None: all.
        targets: returns a clip's distillation targets by its hash and its view's frames.
    """

    def __init__(
        self,
        cache: FeatureCache,
        rows: Dataset,
        views: Sequence[str],
        frames: int | None = None,
        targets: Callable[[str, int], torch.Tensor] | None = None,
    ):
        self.cache, self.frames, self.targets = cache, frames, targets
        self.sha256s, self.labels = rows["sha256"][:], rows["emotion"][:]
        self.durations = [min(duration, cache.seconds) for duration in rows["duration"]]
        self.views = [[view for view in views if (sha256, view) in cache.pieces] for sha256 in self.sha256s]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        sha256, views = self.sha256s[index], self.views[index]
        states = self.cache.get(sha256, views[np.random.randint(len(views))])
        if self.frames:
            short = len(states) < self.frames
            states = states[np.sort(np.random.choice(len(states), self.frames, replace=short))]
        clip = {"states": torch.from_numpy(states.astype(np.float32)), "label": self.labels[index]}
        return clip | ({"targets": self.targets(sha256, len(states))} if self.targets else {})


def collate_cached(clips: list[dict]) -> dict[str, torch.Tensor]:
    """Batch items of a CachedDataset: what has frames padded to the longest, a mask of the states, labels."""
    lengths = torch.tensor([len(clip["states"]) for clip in clips])
    padded = {
        name: nn.utils.rnn.pad_sequence([clip[name] for clip in clips], batch_first=True)
        for name in clips[0]
        if name != "label"
    }
    return padded | {
        "attention_mask": torch.arange(lengths.max()) < lengths[:, None],
        "labels": torch.tensor([clip["label"] for clip in clips]),
    }


def make_view(audio: np.ndarray, view: str, sha256: str, seconds: float) -> np.ndarray:
    """Return a view of a clip, the same for whoever makes it.

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        view: `as_it_lies`, `trimmed` (silence cut off at both ends), `voice` (only what the speech detector
            finds, as it is served) or `augmented-1`, `augmented-2`, ...
        sha256: of the clip; with the view's number it seeds what is random.
        seconds: the view's length at most.

    Raises:
        ValueError: there is no such view.
    """
    number = view.removeprefix(AUGMENTED)
    if view == AS_IT_LIES:
        audio = crop(audio, seconds, at_random=False)
    elif view == TRIMMED:
        audio = crop(trim_silence(audio), seconds, at_random=False)
    elif view == VOICE:
        spans = detect_speech(audio) or detect_speech(audio, sensitive=True) or [slice(None)]
        audio = crop(np.concatenate([audio[span] for span in spans]), seconds, at_random=False)
    elif number != view and number.isdecimal():
        seed = int.from_bytes(hashlib.sha256(f"{sha256} {number}".encode()).digest()[:4])
        with seeded(seed):
            audio = crop(augment(audio), seconds, at_random=True)
    else:
        raise ValueError(f"There is no view {view!r}: as_it_lies, trimmed, voice, augmented-1 and so on.")
    return np.pad(audio, (0, max(MIN_SAMPLES - audio.size, 0)))


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield the indices of sounds of about one length, at most `BATCH_SECONDS` with padding."""
    batch: list[int] = []
    for index in np.argsort(sizes, kind="stable").tolist():
        padded = (len(batch) + 1) * sizes[index] > BATCH_SECONDS * SAMPLE_RATE
        if batch and (padded or sizes[index] - sizes[batch[0]] > SPREAD_SECONDS * SAMPLE_RATE):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _fingerprint(upper: UpperLayers, extractor: FeatureExtractionMixin, seconds: float, bf16: bool) -> str:
    """Hash what the states depend on: frozen parameters, extractor, changes to views, length, versions."""
    settings = {
        "seconds": seconds,
        "augmentation": augmentation.VERSION,
        "extractor": extractor.to_dict(),
        "precision": str(torch.bfloat16 if bf16 else None),
        "versions": [version(package) for package in ("torch", "transformers")],
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, parameter in upper.frozen():
        digest.update(f"{name} {parameter.dtype}".encode())
        digest.update(parameter.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
