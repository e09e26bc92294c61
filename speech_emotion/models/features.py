"""Spectrogram features in torch, computed inside the CNNs.

librosa defines the same quantities for one clip in numpy, and the tests compare with it. Here they are
batched, on the model's device, and independent of the padding of a batch: silence surrounds a clip.
"""

import math

import torch
from torch import nn

LOG_FLOOR = 1e-5  # added to a power before its logarithm, so that silence is finite


def frame_waves(waves: torch.Tensor, frame_length: int, hop_length: int) -> torch.Tensor:
    """Cut [batch, samples] into frames centred on multiples of the hop, silence around the clip.

    Returns:
        [batch, frames, frame_length], `samples // hop_length + 1` frames.
    """
    silence = (frame_length // 2, frame_length // 2)
    return nn.functional.pad(waves, silence).unfold(1, frame_length, hop_length)


def zero_crossing_rate(frames: torch.Tensor) -> torch.Tensor:
    """Compute the share of samples whose sign differs from the one before: [..., samples] to [...]."""
    negative = frames < 0
    return (negative[..., 1:] != negative[..., :-1]).sum(-1) / frames.shape[-1]


def root_mean_square(frames: torch.Tensor) -> torch.Tensor:
    """Compute the level of frames in the waveform's unit: [..., samples] to [...]."""
    return frames.square().mean(-1).sqrt()


def pitch_classes(bins: int, sample_rate: int, lowest: float) -> torch.Tensor:
    """Return the matrix that sums a spectrum into chroma: every bin counts for the nearest pitch class.

    Args:
        bins: number of bins of the spectrum, from 0 Hz to half the sampling rate.
        sample_rate: in Hz.
        lowest: frequency in Hz below which a bin counts for none.

    Returns:
        [12, bins] of 0 and 1; row 0 is C, row 9 is A (440 Hz and its octaves).
    """
    frequencies = torch.linspace(0, sample_rate / 2, bins)
    semitones = torch.log2(frequencies.clamp(min=1.0) / 440.0).mul(12).round().long() + 9
    return nn.functional.one_hot(semitones % 12, 12).T * (frequencies >= lowest).float()


def chroma(spectrum: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Sum power by pitch class (Fujishima, 1999), whatever the octave.

    Args:
        spectrum: power, [batch, bins, frames].
        classes: the matrix of `pitch_classes`.

    Returns:
        [batch, 12, frames] without a unit: the strongest class of a frame is 1, in silence all are 0.
    """
    energy = classes @ spectrum
    return energy / energy.amax(1, keepdim=True).clamp(min=LOG_FLOOR)


def mfcc(log_mel: torch.Tensor, dct: torch.Tensor) -> torch.Tensor:
    """Compute mel-frequency cepstral coefficients (Davis and Mermelstein, 1980).

    Args:
        log_mel: natural logarithm of the power in mel bands, [batch, mels, frames].
        dct: [mels, coefficients], of `torchaudio.functional.create_dct`.

    Returns:
        [batch, coefficients, frames], in natural logarithms; librosa's decibels are 10 / ln 10 as large.
    """
    return dct.T @ log_mel


def limit_range(log_mel: torch.Tensor, mask: torch.Tensor, range_db: float) -> torch.Tensor:
    """Raise levels that are further than `range_db` below a clip's loudest point to that level.

    Args:
        log_mel: natural logarithm of the power in mel bands, [batch, mels, frames].
        mask: [batch, 1, frames].
        range_db: in dB.

    Returns:
        [batch, mels, frames].
    """
    loudest = log_mel.masked_fill(mask == 0, -torch.inf).amax((1, 2), keepdim=True)
    return log_mel.maximum(loudest - range_db / 10 * math.log(10))


def frame_mask(attention_mask: torch.Tensor, hop_length: int, frames: int) -> torch.Tensor:
    """Return which frames are within the clips: [batch, samples] of 1 and 0 to [batch, 1, frames], floats."""
    count = attention_mask.sum(1) // hop_length + 1
    return (torch.arange(frames, device=attention_mask.device) < count[:, None]).float().unsqueeze(1)


def standardise(rows: torch.Tensor, mask: torch.Tensor, each_row: bool) -> torch.Tensor:
    """Scale every clip to mean 0 and deviation 1 over its own frames; padding becomes 0.

    Args:
        rows: [batch, rows, frames].
        mask: [batch, 1, frames].
        each_row: row by row, for rows of different units; else over all, which keeps a spectrum's shape.

    Returns:
        [batch, rows, frames].
    """
    over = (2,) if each_row else (1, 2)
    count = mask.sum((1, 2), keepdim=True) * (1 if each_row else rows.shape[1])
    rows = rows - (rows * mask).sum(over, keepdim=True) / count
    deviation = (rows * mask).square().sum(over, keepdim=True).div(count).sqrt()
    return rows * mask / (deviation + 1e-5)
