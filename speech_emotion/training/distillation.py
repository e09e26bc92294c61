"""A teacher for the spectrogram CNN: what a speech encoder makes of the clips that it is trained on.

Labels say little about a sentence: one word of eight. The states of an encoder that has heard far more speech
say hundreds of numbers about every moment of it. The CNN learns to predict them beside the label: from copies
that are changed and partly hidden, what the encoder makes of the clip as it is (as data2vec does,
https://arxiv.org/abs/2202.03555). No label goes into these lessons.
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
        cache: of at least these clips, as they lie.
        rows: the training clips.
        stride: how many frames of a spectrogram get one lesson.

    Attributes:
        width: how many components a lesson has.
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
        # Halfway to unit variance: small components tell of emotion, too, but the smallest are noise.
        scales = variances**0.25 * variances.sqrt().mean().sqrt()
        projection = directions / deviation[:, None] / scales
        self.width = len(variances)
        self.components = {sha256: ((own - mean) @ projection).T for sha256, own in clips.items()}

    def get(self, sha256: str, frames: int) -> torch.Tensor:
        """Give the lessons for a copy of a clip, [frames / stride, width], stretched to its length."""
        return nn.functional.adaptive_avg_pool1d(self.components[sha256], -(-frames // self.stride)).T


class DistillationHead(UpperCNN):
    """A CNN above its spectrogram with a linear layer that predicts the teacher from its last feature map.

    Args:
        model: the CNN.
        width: of a lesson.
        weight: of the mean squared error, relative to the loss of the label.
    """

    def __init__(self, model: SpectrogramCNN, width: int, weight: float):
        super().__init__(model)
        self.weight = weight
        height = -(-self.width // model.stride)  # rows of the last feature map
        self.lesson = nn.Linear(model.config.widths[-1] * height, width)

    def forward(
        self, states: torch.Tensor, attention_mask: torch.Tensor, lessons: torch.Tensor | None = None
    ) -> SequenceClassifierOutput:
        """Compute logits and, where there are lessons, as `loss` how far each clip is from them.

        Args:
            states: spectrograms, shape [clips, frames, rows].
            attention_mask: shape [clips, frames]; False where a clip has ended.
            lessons: what the teacher makes of them, shape [clips, frames / stride, width].
        """
        rows, mask = states.transpose(1, 2), attention_mask.float().unsqueeze(1)
        hidden, mask = self.model.feature_map(rows, mask)
        logits = self.model.pool_and_classify(hidden, mask)
        if lessons is None:
            return SequenceClassifierOutput(logits=logits)
        heard = self.lesson(hidden.flatten(1, 2).transpose(1, 2)).float()
        error = (heard - lessons).square().mean(2) * mask[:, 0, 0]
        return SequenceClassifierOutput(loss=self.weight * error.sum(1) / mask.sum((1, 2, 3)), logits=logits)
