"""The spectrogram CNN: a compact residual network on the log-mel spectrogram, as a transformers model.

Raw waveform in, spectrogram inside, so that `pipeline("audio-classification")` opens it like any other model
once this module is imported. Its feature extractor is transformers' own Wav2Vec2FeatureExtractor, which pads
and scales waveforms.
"""

import torch
from torch import nn
from torchaudio.functional import create_dct
from torchaudio.transforms import FrequencyMasking, MelSpectrogram, TimeMasking
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    PreTrainedConfig,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from speech_emotion import features
from speech_emotion.audio import FRAME_LENGTH, HOP_LENGTH, SAMPLE_RATE

INPUT_FEATURES = ("log_mel", "mfcc", "stack")


class SpectrogramCNNConfig(PreTrainedConfig):
    """Shape of the network.

    Args:
        input_features: what the convolutions see of the waveform, rows over frames every 10 ms. `log_mel`:
            the natural logarithm of the power in `n_mels` mel bands. `mfcc`: its first `n_mfcc` cepstral
            coefficients. `stack`, what many older projects use: zero-crossing rate, RMS level, twelve rows of
            chroma, then `mfcc`. `speech_emotion.features` defines each.
        n_mfcc: cepstral coefficients, from number 0 up.
        n_mels: mel bands between `f_min` and half the sampling rate.
        f_min: lowest frequency in Hz.
        widths: channels of the residual stages; each halves time and frequency.
        blocks: residual blocks in each stage.
        dropout: before the classifier.
        freq_mask: widest band SpecAugment hides in training, in rows.
        time_mask: longest stretch SpecAugment hides in training, in frames of 10 ms.
        masks: how many of each SpecAugment hides in a clip.
    """

    model_type = "spectrogram-cnn"

    input_features: str = "log_mel"
    n_mfcc: int = 40
    n_mels: int = 80
    f_min: float = 50.0
    widths: list[int] | tuple[int, ...] = (32, 64, 128, 160)
    blocks: int = 1
    dropout: float = 0.3
    freq_mask: int = 16
    time_mask: int = 40
    masks: int = 2


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch norm beside a shortcut; padding is kept at zero throughout."""

    def __init__(self, width_in: int, width_out: int, stride: int):
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width_out)
        self.shortcut = nn.Conv2d(width_in, width_out, 1, stride, bias=False)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Transform [batch, width_in, mels, frames] under a mask of [batch, 1, 1, frames]."""
        mask = mask[..., :: self.stride]
        inner = torch.relu(self.norm1(self.conv1(hidden))) * mask
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(hidden)) * mask, mask


class WaveformClassifier(PreTrainedModel):
    """What CNNs over spectrograms have in common: waveforms in, logits out.

    A subclass computes the `rows` of its spectrogram and `classify`s them; `frames` says how many columns
    they have.
    """

    main_input_name = "input_values"

    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        """Compute logits, and the cross-entropy where labels are given.

        Args:
            input_values: waveforms, [batch, samples], 16 kHz.
            attention_mask: 1 on samples, 0 on padding, [batch, samples].
            labels: class indices, [batch].
            kwargs: what every transformers model is passed and this one does not need.

        Returns:
            `logits` of [batch, num_labels], and `loss`.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_values)
        logits = self.classify(*self.rows(input_values, attention_mask))
        loss = nn.functional.cross_entropy(logits, labels) if labels is not None else None
        return SequenceClassifierOutput(loss=loss, logits=logits)


class SpectrogramCNN(WaveformClassifier):
    """Classify waveforms by a residual CNN over their log-mel spectrogram."""

    config_class = SpectrogramCNNConfig

    def __init__(self, config: SpectrogramCNNConfig):
        super().__init__(config)
        if config.input_features not in INPUT_FEATURES:
            known = ", ".join(INPUT_FEATURES)
            raise ValueError(f"input_features is {config.input_features!r}; it can be {known}.")
        # Its filters are computed here, which transformers' loading on the meta device would prevent. Zero
        # padding at the edges, not reflection: a clip's frames do not depend on what its batch pads.
        with torch.device("cpu"):
            self.mel = MelSpectrogram(
                SAMPLE_RATE,
                n_fft=512,
                win_length=FRAME_LENGTH,
                hop_length=HOP_LENGTH,
                f_min=config.f_min,
                n_mels=config.n_mels,
                pad_mode="constant",
            )
            if config.input_features != "log_mel":
                self.register_buffer(
                    "dct", create_dct(config.n_mfcc, config.n_mels, norm="ortho").contiguous()
                )
            if config.input_features == "stack":
                bins = self.mel.n_fft // 2 + 1
                self.register_buffer("classes", features.pitch_classes(bins, SAMPLE_RATE, config.f_min))
        self.freq_mask = FrequencyMasking(config.freq_mask, iid_masks=True)
        self.time_mask = TimeMasking(config.time_mask, iid_masks=True, p=0.3)
        stages, width_in = [], 1
        for width in config.widths:
            for block in range(config.blocks):
                stages.append(ResidualBlock(width_in, width, stride=1 if block else 2))
                width_in = width
        self.stages = nn.ModuleList(stages)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * width_in, config.num_labels)
        self.post_init()

    def classify(self, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Compute logits, [batch, num_labels], of what `rows` gives."""
        hidden, mask = rows.unsqueeze(1), mask.unsqueeze(1)
        if self.training:
            for _ in range(self.config.masks):
                hidden = self.time_mask(self.freq_mask(hidden))
        for stage in self.stages:
            hidden, mask = stage(hidden, mask)
        pooled = torch.cat(_mean_and_std(hidden, mask), dim=1)
        return self.classifier(self.dropout(pooled))

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Give the number of frames of clips of so many samples."""
        return samples // HOP_LENGTH + 1

    def rows(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the input features, [batch, rows, frames], and their mask, [batch, 1, frames].

        Every clip has mean 0 and deviation 1 over its own frames, so loudness does not matter; padding is 0.
        """
        kind = self.config.input_features
        # bf16 has too few digits for a spectrum, so autocast stays out of it.
        with torch.autocast(input_values.device.type, enabled=False):
            waves = input_values.float() * attention_mask
            spectrum = self.mel.spectrogram(waves)
            rows = torch.log(self.mel.mel_scale(spectrum) + features.LOG_FLOOR)
            if kind != "log_mel":
                rows = features.mfcc(rows, self.dct)
            if kind == "stack":
                frames = features.frame_waves(waves, FRAME_LENGTH, HOP_LENGTH)
                curves = [features.zero_crossing_rate(frames), features.root_mean_square(frames)]
                rows = torch.cat([torch.stack(curves, 1), features.chroma(spectrum, self.classes), rows], 1)
            mask = features.frame_mask(attention_mask, HOP_LENGTH, rows.shape[2])
            return features.standardise(rows, mask, each_row=kind != "log_mel"), mask


def _mean_and_std(hidden: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pool [batch, width, mels, frames] over frequency, then over unpadded time: two times [batch, width]."""
    hidden, mask = hidden.float().mean(2), mask.squeeze(2)
    count = mask.sum(2)
    mean = (hidden * mask).sum(2) / count
    variance = ((hidden - mean[..., None]) ** 2 * mask).sum(2) / count
    return mean, torch.sqrt(variance + 1e-5)


AutoConfig.register(SpectrogramCNNConfig.model_type, SpectrogramCNNConfig)
AutoModelForAudioClassification.register(SpectrogramCNNConfig, SpectrogramCNN)
AutoFeatureExtractor.register(SpectrogramCNNConfig, Wav2Vec2FeatureExtractor)
