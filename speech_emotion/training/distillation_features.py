"""The student's last layer, whose feed-forward network measures each frame instead of changing it.

Its hidden units hold what a classifier pools over a clip (`PoolingLayer`):

1. every dimension z of the layer's state, at zero mean and unit variance, as GELU(2z) and GELU(-2z). Their
   difference is 2z and their sum about |2z|, so their means over a clip tell its mean and its spread.
2. in the two `speech_units` of the config, a ramp: their difference is 0 where nobody speaks and 6 where
   somebody does. Its exponential is the weight of the frame. A linear probe of the state finds speech, fitted
   on the answers of Silero VAD.

The network's output is zero, so the encoder's own output is the state itself.
"""

from collections.abc import Iterable

import numpy as np
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from transformers import Wav2Vec2Model

from speech_emotion.audio.vad import HOP, SLOWER, combined_probabilities
from speech_emotion.dataset import crop, read_clip
from speech_emotion.training.augmentation import augment
from speech_emotion.training.distillation_speech import unit_variance
from speech_emotion.training.distillation_student import LEAD, STRIDE
from speech_emotion.training.inputs import seeded

GAIN = 2.0  # of a state before GELU, which is then nearly a rectifier
PROBE_CLIPS, PROBE_SECONDS = 900, 5.0  # that the probe for speech is fitted on, at most, each
SPEECH, SILENCE = 0.8, 0.2  # Silero's probabilities above and below which a frame counts
RAMP = (-3.0, 1.0)  # the probe's logits between which a frame's weight rises
RAMP_UNITS = 3.0  # half of the ramp's height: where GELU begins to be linear


def draw_clips(rows: Dataset, rng: np.random.Generator) -> Iterable[np.ndarray]:
    """Yield training clips, two thirds of them augmented: float32, 16 kHz, at most `PROBE_SECONDS`."""
    for number, row in enumerate(rng.permutation(len(rows))[:PROBE_CLIPS].tolist()):
        audio = read_clip(rows[row])
        with seeded(int(rng.integers(2**32))):
            audio = augment(audio) if number % 3 else audio
            yield crop(audio, PROBE_SECONDS, at_random=True)


def write_features(student: Wav2Vec2Model, clips: Iterable[np.ndarray]) -> float:
    """Write the last layer's feed-forward network.

    Args:
        student: whose last LayerNorm scales the last state to zero mean and unit variance.
        clips: float32, 16 kHz, that the probe for speech is fitted on.

    Returns:
        The share of the frames of every fifth clip in which the probe finds what Silero does.
    """
    weight, bias, agreement = fit_probe(student, clips)
    width, layer = student.config.hidden_size, student.encoder.layers[-1]
    layer.final_layer_norm.load_state_dict(student.encoder.layer_norm.state_dict())
    hidden, output = layer.feed_forward.intermediate_dense, layer.feed_forward.output_dense
    for parameter in (*hidden.parameters(), *output.parameters()):
        parameter.zero_()
    hidden.weight[:width] = GAIN * torch.eye(width)
    hidden.weight[width : 2 * width] = -GAIN * torch.eye(width)
    low, high = RAMP
    steepness = 2 * RAMP_UNITS / (high - low)
    units = slice(2 * width, 2 * width + 2)
    hidden.weight[units] = steepness * weight
    middle = steepness * (bias - (low + high) / 2)
    hidden.bias[units] = middle + torch.tensor([RAMP_UNITS, -RAMP_UNITS])
    student.config.speech_units = [units.start, units.start + 1]
    return agreement


def fit_probe(
    student: Wav2Vec2Model, clips: Iterable[np.ndarray]
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Fit a logistic regression that tells frames with speech from others.

    Returns:
        Its weights, shape [width], its intercept, and its accuracy on every fifth clip.
    """
    states, spoken, tested = [], [], []
    for number, audio in enumerate(clips):
        waves = torch.from_numpy(unit_variance(audio).astype(np.float32))[None]
        own = student(waves.to(student.device)).last_hidden_state[0].cpu().numpy()
        probabilities = combined_probabilities(audio, SLOWER)
        middles = ((np.arange(len(own)) + 1) * STRIDE - LEAD) // HOP  # of the frames, in hops
        heard = probabilities[np.minimum(middles, len(probabilities) - 1)]
        clear = (heard > SPEECH) | (heard < SILENCE)
        states.append(own[clear])
        spoken.append(heard[clear] > SPEECH)
        tested.append(np.full(clear.sum(), number % 5 == 0))
    states, spoken, tested = np.concatenate(states), np.concatenate(spoken), np.concatenate(tested)
    probe = LogisticRegression(C=1e-3, max_iter=200).fit(states[~tested], spoken[~tested])
    agreement = float((probe.predict(states) == spoken)[tested].mean())
    weight, bias = torch.tensor(probe.coef_[0]), torch.tensor(probe.intercept_[0])
    return weight.float().to(student.device), bias.float().to(student.device), agreement
