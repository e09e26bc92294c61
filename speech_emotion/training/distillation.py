"""Distillation into the spectrogram CNN: it learns to predict the states of a larger speech encoder.

A label is one word of eight for a whole sentence. The states of an encoder trained on far more speech are
hundreds of numbers for every moment. The CNN learns to predict them besides the label: from augmented and
partly masked views of a clip, the encoder's states of the clip as it lies (as data2vec does,
https://arxiv.org/abs/2202.03555). The targets use no labels.
"""

import numpy as np
import torch
from datasets import Dataset
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from speech_emotion.models.cnn import SpectrogramCNN
from speech_emotion.training.feature_cache import AS_IT_LIES, FeatureCache, UpperCNN


class DistillationTargets:
    """The first principal components of an encoder's states of clips.

    Args:
        cache: has the encoder's states of these clips as they lie.
        rows: the training clips.
        stride: frames of a spectrogram for each target.

    Attributes:
        width: number of components of a target.
    """

    WIDTH = 128  # fewer where the encoder's states have fewer

    def __init__(self, cache: FeatureCache, rows: Dataset, stride: int):
        self.stride = stride
        clips = {
            sha256: torch.from_numpy(cache.get(sha256, AS_IT_LIES).astype(np.float32))
            for sha256 in rows["sha256"]
        }
        frames = sum(map(len, clips.values()))
        mean = sum(own.sum(0) for own in clips.values()) / frames
        covariance = sum((own - mean).T @ (own - mean) for own in clips.values()) / frames
        deviation = covariance.diag().sqrt().clamp(min=1e-6)
        variances, directions = torch.linalg.eigh(covariance / deviation / deviation[:, None])
        variances, directions = variances[-self.WIDTH :].clamp(min=1e-6), directions[:, -self.WIDTH :]
        # Halfway to unit variance: small components carry emotion as well, but the smallest are noise.
        scales = variances**0.25 * variances.sqrt().mean().sqrt()
        projection = directions / deviation[:, None] / scales
        self.width = len(variances)
        self.components = {sha256: ((own - mean) @ projection).T for sha256, own in clips.items()}

    def get(self, sha256: str, frames: int) -> torch.Tensor:
        """Return the targets for a view of a clip, [frames / stride, width], stretched to its length."""
        return nn.functional.adaptive_avg_pool1d(self.components[sha256], -(-frames // self.stride)).T


class DistillationHead(UpperCNN):
    """A CNN above its spectrogram with a linear layer that predicts targets from the last feature map.

    Args:
        model: the CNN.
        width: number of components of a target.
        weight: weight of the mean squared error, relative to the loss of the label.
    """

    def __init__(self, model: SpectrogramCNN, width: int, weight: float):
        super().__init__(model)
        self.weight = weight
        height = -(-self.width // model.stride)  # rows of the last feature map
        self.predict_targets = nn.Linear(model.config.widths[-1] * height, width)

    def forward(
        self, states: torch.Tensor, attention_mask: torch.Tensor, targets: torch.Tensor | None = None
    ) -> SequenceClassifierOutput:
        """Compute logits and, if targets are given, each clip's weighted error as `loss`.

        Args:
            states: spectrograms, shape [clips, frames, rows].
            attention_mask: shape [clips, frames]; False where a clip has ended.
            targets: shape [clips, frames / stride, width].
        """
        rows, mask = states.transpose(1, 2), attention_mask.float().unsqueeze(1)
        hidden, mask = self.model.feature_map(rows, mask)
        logits = self.model.pool_and_classify(hidden, mask)
        if targets is None:
            return SequenceClassifierOutput(logits=logits)
        predicted = self.predict_targets(hidden.flatten(1, 2).transpose(1, 2)).float()
        error = (predicted - targets).square().mean(2) * mask[:, 0, 0]
        return SequenceClassifierOutput(loss=self.weight * error.sum(1) / mask.sum((1, 2, 3)), logits=logits)
