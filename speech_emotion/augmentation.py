"""What happens to training clips, and to no others: changes of voice, room, channel and level.

Each is one that leaves the expressed emotion as it is, so pitch and tempo move little.
"""

import numpy as np
from audiomentations import (
    AddGaussianSNR,
    BandPassFilter,
    Compose,
    Gain,
    PitchShift,
    SevenBandParametricEQ,
    TimeStretch,
)

from speech_emotion.audio import SAMPLE_RATE

_CHANGES = Compose(
    [
        PitchShift(min_semitones=-2.0, max_semitones=2.0, p=0.3),
        TimeStretch(min_rate=0.9, max_rate=1.1, leave_length_unchanged=False, p=0.3),
        SevenBandParametricEQ(min_gain_db=-8.0, max_gain_db=8.0, p=0.3),
        BandPassFilter(min_center_freq=1000.0, max_center_freq=2000.0, p=0.1),  # about a telephone's band
        AddGaussianSNR(min_snr_db=5.0, max_snr_db=35.0, p=0.4),
        Gain(min_gain_db=-12.0, max_gain_db=6.0, p=0.3),
    ]
)


def augment(audio: np.ndarray) -> np.ndarray:
    """Change a clip at random; Python's and numpy's global seeds decide how.

    Args:
        audio: float32 samples of shape [n], 16 kHz.

    Returns:
        float32 samples of shape [m], m within a tenth of n.
    """
    return _CHANGES(audio, sample_rate=SAMPLE_RATE)
