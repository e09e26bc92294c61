r"""Baseline: a frozen encoder and logistic regression, on the same splits as the classifiers.

    python benchmarks/frozen_probe.py  # the first three layers of Whisper base.en
    python benchmarks/frozen_probe.py --encoder outputs/distilled \
        --output benchmarks/results/frozen_distilled_folds.json

The features are the mean and standard deviation over time of the third layer's states, over the first five
seconds of each clip. The validation speakers of each fold choose C and then join training, as with train.py's
--refit. Without --output, writes results/frozen_whisper_folds.json.
"""

import numpy as np
import torch
from datasets import Dataset
from fixed_features import cross_validate, make_parser
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from speech_emotion.dataset import crop, read_clip
from speech_emotion.models.loading import WINDOW_SECONDS, extract
from speech_emotion.training.distillation_speech import unit_variance
from speech_emotion.training.distillation_student import TeacherEncoder

LAYERS = 3
CS = (0.001, 0.003, 0.01, 0.03, 0.1)
MOST_STEPS = 1000  # of the regression


class Whisper:
    """The states of Whisper's first layers."""

    def __init__(self, encoder: str):
        self.teacher = TeacherEncoder(encoder, LAYERS, torch.device("cpu"))

    def states(self, clip: np.ndarray) -> torch.Tensor:
        """Compute the last layer's states, shape [frames, width], of a 16 kHz waveform."""
        wave = torch.from_numpy(unit_variance(clip))
        return self.teacher.states(wave[None])[-1][0]


class Stock:
    """The states of a stock encoder, as the head of its classifier receives them."""

    def __init__(self, encoder: str):
        self.model = AutoModel.from_pretrained(encoder).eval()
        self.extractor = AutoFeatureExtractor.from_pretrained(encoder)

    def states(self, clip: np.ndarray) -> torch.Tensor:
        """Compute the last layer's states, shape [frames, width], of a 16 kHz waveform."""
        return self.model(**extract(self.extractor, [clip])).last_hidden_state[0]


def main() -> None:
    """Run the cross-validation."""
    parser = make_parser(__doc__, "frozen_whisper_folds.json")
    parser.add_argument("--encoder", default="outputs/whisper-base.en", help="folder or hub id")
    options = parser.parse_args()
    kind = Whisper if AutoConfig.from_pretrained(options.encoder).model_type == "whisper" else Stock
    encoder, known = kind(options.encoder), {}

    @torch.inference_mode()
    def encode(rows: Dataset) -> np.ndarray:
        for clip in tqdm(rows, desc="states", disable=known.keys() >= set(rows["sha256"])):
            if clip["sha256"] not in known:
                states = encoder.states(crop(read_clip(clip), WINDOW_SECONDS, at_random=False))
                known[clip["sha256"]] = torch.cat([states.mean(0), states.std(0)]).numpy()
        return np.stack([known[sha256] for sha256 in rows["sha256"]])

    cross_validate(
        options,
        encode,
        lambda c: LogisticRegression(C=c, max_iter=MOST_STEPS),
        CS,
        ["torch", "transformers"],
    )


if __name__ == "__main__":
    main()
