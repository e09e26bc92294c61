"""The spectrogram CNN: a compact residual network on the log-mel spectrogram, as a transformers model.

It takes raw waveforms and computes the spectrogram itself, so `pipeline("audio-classification")` opens it
like any other model after `speech_emotion.register()`. Its feature extractor is transformers' own
Wav2Vec2FeatureExtractor, which pads and scales waveforms.
"""

import math
from itertools import pairwise

import torch
from torch import nn
from torchaudio.functional import create_dct
from torchaudio.transforms import FrequencyMasking, MelSpectrogram, TimeMasking
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import FRAME_LENGTH, HOP_LENGTH
from speech_emotion.models import features

INPUT_FEATURES = ("log_mel", "mfcc", "stack")


class SpectrogramCNNConfig(PreTrainedConfig):
    """The shape of the network.

    Args:
        input_features: input of the convolutions, rows over frames every 10 ms. `log_mel`:
            the natural logarithm of the power in `n_mels` mel bands. `mfcc`: its first `n_mfcc` cepstral
            coefficients. `stack`, as in many older projects: zero-crossing rate, RMS level, twelve rows of
            chroma, then `mfcc`. `speech_emotion.models.features` defines each.
        n_mfcc: cepstral coefficients, from number 0 up.
        n_mels: mel bands between `f_min` and half the sampling rate.
        f_min: lowest frequency in Hz.
        range_db: dynamic range in dB. Levels further below a clip's loudest point are raised to it; they
            are the room's noise and not the voice.
        widths: channels of the stem and of the residual blocks. The stem reduces time and frequency to a
            quarter, each block but the first to a half.
        dropout: before the classifier.
        freq_mask: widest band that SpecAugment masks in training, in rows.
        time_mask: longest stretch that SpecAugment masks in training, in frames of 10 ms.
    """

    model_type = "spectrogram-cnn"

    input_features: str = "log_mel"
    n_mfcc: int = 40
    n_mels: int = 64
    f_min: float = 50.0
    range_db: float = 45.0
    widths: list[int] | tuple[int, ...] = (32, 64, 128, 160)
    dropout: float = 0.1
    freq_mask: int = 12
    time_mask: int = 30


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch norm and a shortcut; padding stays zero."""

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


class Stem(nn.Module):
    """A wide convolution that reduces a spectrogram to a quarter in height and length, for speed."""

    STRIDE = 4

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 7, self.STRIDE, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, rows: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Transform [batch, 1, mels, frames] under a mask of [batch, 1, 1, frames]."""
        mask = mask[..., :: self.STRIDE]
        return torch.relu(self.norm(self.conv(rows))) * mask, mask


class WaveformClassifier(PreTrainedModel):
    """Base of CNNs over spectrograms: waveforms in, logits out.

    A subclass implements `rows` (compute the spectrogram), `classify` (compute logits from it) and `frames`
    (its number of columns).
    """

    main_input_name = "input_values"

    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        """Compute logits, and the cross-entropy if labels are given.

        Args:
            input_values: waveforms, [batch, samples], 16 kHz.
            attention_mask: 1 on samples, 0 on padding, [batch, samples].
            labels: class indices, [batch].
            kwargs: further arguments of transformers models, ignored.

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
        # The filters are computed on the CPU, because transformers creates models on the meta device. Zero
        # padding at the edges, not reflection: a clip's frames do not depend on its batch's padding.
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
        self.stem = Stem(config.widths[0])
        self.blocks = nn.ModuleList(
            ResidualBlock(*widths, stride=2 if number else 1)
            for number, widths in enumerate(pairwise(config.widths))
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * config.widths[-1], config.num_labels)
        self.post_init()

    @property
    def stride(self) -> int:
        """Number of frames, and of rows, of the spectrogram for one of the last feature map."""
        return math.prod(block.stride for block in self.blocks) * Stem.STRIDE

    def classify(self, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Compute logits, [batch, num_labels], from the output of `rows`."""
        return self.pool_and_classify(*self.feature_map(rows, mask))

    def feature_map(self, rows: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the last feature map from the output of `rows`.

        Returns:
            [batch, width, rows / stride, frames / stride], and its mask, [batch, 1, 1, frames / stride].
        """
        hidden, mask = rows.unsqueeze(1), mask.unsqueeze(1)
        if self.training:
            hidden = self.time_mask(self.freq_mask(hidden))
        hidden, mask = self.stem(hidden, mask)
        hidden = hidden.contiguous(memory_format=torch.channels_last)  # faster on CPUs
        for block in self.blocks:
            hidden, mask = block(hidden, mask)
        return hidden, mask

    def pool_and_classify(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Compute logits, [batch, num_labels], from the output of `feature_map`."""
        return self.classifier(self.dropout(torch.cat(_mean_and_std(hidden, mask), dim=1)))

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise convolutions so that they preserve variance (https://arxiv.org/abs/1502.01852)."""
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        else:
            super()._init_weights(module)

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the number of frames of clips with this many samples."""
        return samples // HOP_LENGTH + 1

    def rows(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the input features, [batch, rows, frames], and their mask, [batch, 1, frames].

        Every clip is scaled to mean 0 and deviation 1 over its own frames, so loudness does not matter.
        Padding is 0.
        """
        kind = self.config.input_features
        # bf16 has too few digits for a spectrum, so no autocast here.
        with torch.autocast(input_values.device.type, enabled=False):
            waves = input_values.float() * attention_mask
            spectrum = self.mel.spectrogram(waves)
            rows = torch.log(self.mel.mel_scale(spectrum) + features.LOG_FLOOR)
            mask = features.frame_mask(attention_mask, HOP_LENGTH, rows.shape[2])
            rows = features.limit_range(rows, mask, self.config.range_db)
            if kind != "log_mel":
                rows = features.mfcc(rows, self.dct)
            if kind == "stack":
                frames = features.frame_waves(waves, FRAME_LENGTH, HOP_LENGTH)
                curves = [features.zero_crossing_rate(frames), features.root_mean_square(frames)]
                rows = torch.cat([torch.stack(curves, 1), features.chroma(spectrum, self.classes), rows], 1)
            return features.standardise(rows, mask, each_row=kind != "log_mel"), mask


def _mean_and_std(hidden: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pool [batch, width, mels, frames] over frequency, then over unpadded time: two times [batch, width]."""
    hidden, mask = hidden.float().mean(2), mask.squeeze(2)
    count = mask.sum(2)
    mean = (hidden * mask).sum(2) / count
    variance = ((hidden - mean[..., None]) ** 2 * mask).sum(2) / count
    return mean, torch.sqrt(variance + 1e-5)
