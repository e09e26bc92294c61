"""Batch invariance of encoders whose front end normalises over time, as wav2vec2-base does.

A group norm follows the first convolution of such a front end: each channel gets mean 0 and deviation 1 over
all frames of the batch, padding included. So a clip's answer would depend on the clips that it is batched
with. Here each clip is normalised over its own frames. A clip alone in its batch gets the numbers of the
stock model.
"""

import torch
from torch import nn
from transformers import PreTrainedModel


class MaskedGroupNorm(nn.GroupNorm):
    """A group norm over each clip's own frames.

    Attributes:
        frames: number of frames of each clip; None: all of the batch's.
    """

    frames: list[int] | None = None

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Normalise [clips, channels, frames]; frames behind a clip's end become 0."""
        if self.frames is None:
            return super().forward(hidden)
        length = hidden.shape[2]
        normalised = [
            nn.functional.pad(
                super(MaskedGroupNorm, self).forward(clip[None, :, :count]), (0, length - count)
            )
            for clip, count in zip(hidden, self.frames, strict=True)
        ]
        return torch.cat(normalised)


def mask_group_norm(model: PreTrainedModel) -> None:
    """Make a model's group norms over time leave out the padding that its attention mask marks.

    Names of parameters and what is saved stay as they are. A model without such a norm is left alone.
    """
    layer = _first_layer(model.base_model)
    if layer is None:
        return
    layer.layer_norm.__class__ = MaskedGroupNorm
    model.base_model.register_forward_pre_hook(_set_frames, with_kwargs=True)
    model.base_model.register_forward_hook(_clear_frames, always_call=True)


def _first_layer(encoder: nn.Module) -> nn.Module | None:
    layers = getattr(getattr(encoder, "feature_extractor", None), "conv_layers", None)
    norm = getattr(layers[0], "layer_norm", None) if layers else None
    return layers[0] if isinstance(norm, nn.GroupNorm) else None


def _set_frames(encoder: nn.Module, args: tuple, kwargs: dict) -> None:
    mask = kwargs.get("attention_mask")
    if mask is not None:
        layer = _first_layer(encoder)
        [size], [stride] = layer.conv.kernel_size, layer.conv.stride
        layer.layer_norm.frames = ((mask.sum(1) - size) // stride + 1).tolist()


def _clear_frames(encoder: nn.Module, *call) -> None:
    _first_layer(encoder).layer_norm.frames = None
