"""The MFCC CNN, a small network that many older projects train, as a transformers model for comparison.

Its shape and number of parameters are as published. Three assumptions: its 216 frames are 2.5 s at librosa's
defaults for 44.1 kHz (windows of 2048 samples, a hop of 512), whose durations are kept at 16 kHz, so that the
mel bands end at 8 kHz; it takes the first 2.5 s of a clip; and every clip is standardised by itself, not by
the mean and deviation of the training clips.
"""

import torch
from torch import nn
from torchaudio.functional import create_dct
from torchaudio.transforms import MelSpectrogram
from transformers import PreTrainedConfig

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.models import features
from speech_emotion.models.cnn import WaveformClassifier

COEFFICIENTS = 25
SAMPLES = SAMPLE_RATE * 5 // 2  # 2.5 s; longer clips are cut, shorter ones padded
HOP = round(512 * SAMPLE_RATE / 44_100)  # 11.6 ms
WINDOW = round(2048 * SAMPLE_RATE / 44_100)  # 46.4 ms
FRAMES = SAMPLES // HOP + 1  # 216


class MfccCNNConfig(PreTrainedConfig):
    """The config of a network of fixed shape.

    Args:
        dropout: after each convolution block and on both sides of the dense layer's activation.
    """

    model_type = "mfcc-cnn"

    dropout: float = 0.2


class ClipNorm(nn.BatchNorm1d):
    """A batch norm that uses its running statistics for a batch of one clip, such as the last of an epoch."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Normalise [batch, width]."""
        if len(hidden) > 1:
            return super().forward(hidden)
        running = self.running_mean, self.running_var
        return nn.functional.batch_norm(hidden, *running, self.weight, self.bias, eps=self.eps)


class MfccCNN(WaveformClassifier):
    """Classify waveforms by a plain CNN over the first 2.5 s of their MFCC; 56,040 parameters for 8 classes.

    Four blocks of a 3×3 convolution to 32 channels, batch norm, ReLU, 2×2 max-pooling and dropout, then dense
    layers of 64 and 8. Convolutions keep their input's size, pooling drops an odd last row or frame:

        25×216 -> 12×108 -> 6×54 -> 3×27 -> 1×13, times 32 channels: 416 values
        convolutions  (9·1·32 + 32) + 3·(9·32·32 + 32)    28,064
        batch norms   4 blocks · 4·32 + dense 4·64           768
        dense         (416·64 + 64) + (64·8 + 8)          27,208
                                                          56,040

    The count is Keras's, which includes the two running statistics of a batch norm: 384 of the 56,040, so
    PyTorch counts 55,656. It implies the batch norm after the first dense layer: without it the sum
    would need 420 more inputs of that layer, and 420 is no multiple of 32 channels.
    """

    config_class = MfccCNNConfig

    def __init__(self, config: MfccCNNConfig):
        super().__init__(config)
        # Computed on the CPU, because transformers creates models on the meta device.
        with torch.device("cpu"):
            self.mel = MelSpectrogram(
                SAMPLE_RATE,
                n_fft=1024,
                win_length=WINDOW,
                hop_length=HOP,
                n_mels=128,
                pad_mode="constant",
                norm="slaney",
                mel_scale="slaney",
            )
            self.register_buffer("dct", create_dct(COEFFICIENTS, self.mel.n_mels, norm="ortho").contiguous())
        self.blocks = nn.Sequential(*(_block(width, 32, config.dropout) for width in (1, 32, 32, 32)))
        self.dense = nn.Sequential(
            nn.Linear(32 * (COEFFICIENTS // 16) * (FRAMES // 16), 64),
            nn.Dropout(config.dropout),
            ClipNorm(64),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        self.classifier = nn.Linear(64, config.num_labels)
        self.post_init()

    def classify(self, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Compute logits, [batch, num_labels], from the output of `rows`, padded to the full 216 frames."""
        rows = nn.functional.pad(rows, (0, FRAMES - rows.shape[2]))
        return self.classifier(self.dense(self.blocks(rows.unsqueeze(1)).flatten(1)))

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the number of frames of clips with this many samples."""
        return samples.clamp(max=SAMPLES) // HOP + 1

    def rows(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the MFCC of the first 2.5 s, [batch, 25, 216], and their mask, [batch, 1, 216].

        Each coefficient has mean 0 and deviation 1 over the clip's own frames; padding is 0.
        """
        # bf16 has too few digits for a spectrum, so no autocast here.
        with torch.autocast(input_values.device.type, enabled=False):
            missing = (0, SAMPLES - input_values.shape[1])  # negative: cut
            attention_mask = nn.functional.pad(attention_mask, missing)
            waves = nn.functional.pad(input_values.float(), missing) * attention_mask
            log_mel = torch.log(self.mel(waves) + features.LOG_FLOOR)
            mask = features.frame_mask(attention_mask, HOP, FRAMES)
            return features.standardise(features.mfcc(log_mel, self.dct), mask, each_row=True), mask


def _block(width_in: int, width_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, padding=1),
        nn.BatchNorm2d(width_out),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(dropout),
    )
