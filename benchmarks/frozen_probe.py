"""The yardstick: a frozen encoder and logistic regression, on the splits the classifiers are tested on.

    python benchmarks/frozen_probe.py                              # Whisper base.en's first three layers
    python benchmarks/frozen_probe.py --encoder outputs/distilled  # what distill.py makes of them

Mean and standard deviation over time of the third layer's states, of the first five seconds of each clip;
C is chosen on the validation speakers of each fold, who then join training, as with train.py's --refit.
Writes results/frozen_whisper_folds.json, or results/frozen_distilled_folds.json.
"""

import argparse

import numpy as np
import torch
from datasets import Dataset
from fixed_features import FOLDS, cross_validate
from machine import RESULTS, save_result
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from distill import Teacher
from speech_emotion.data import crop, open_dataset, read_clip
from speech_emotion.inference import WINDOW_SECONDS
from speech_emotion.models import extract

LAYERS = 3
CS = (0.001, 0.003, 0.01, 0.03, 0.1)
MOST_STEPS = 1000  # of the regression


class Whisper:
    """Whisper's states, of its first layers."""

    name = "frozen_whisper"

    def __init__(self, encoder: str):
        self.teacher = Teacher(encoder, LAYERS, torch.device("cpu"))

    def states(self, clip: np.ndarray) -> torch.Tensor:
        """Compute the last layer's states, shape [frames, width], of a 16 kHz waveform."""
        wave = torch.from_numpy(clip / clip.std())
        return self.teacher.states(wave[None])[-1][0]


class Distilled:
    """The states of a stock encoder, as its classifier's head gets them."""

    name = "frozen_distilled"

    def __init__(self, encoder: str):
        self.model = AutoModel.from_pretrained(encoder).eval()
        self.extractor = AutoFeatureExtractor.from_pretrained(encoder)

    def states(self, clip: np.ndarray) -> torch.Tensor:
        """Compute the last layer's states, shape [frames, width], of a 16 kHz waveform."""
        return self.model(**extract(self.extractor, [clip])).last_hidden_state[0]


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="outputs/whisper-base.en", help="folder or hub id")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--protocol", nargs="+", default=FOLDS, help="as for train.py")
    args = parser.parse_args()
    kind = Whisper if AutoConfig.from_pretrained(args.encoder).model_type == "whisper" else Distilled
    encoder, known = kind(args.encoder), {}

    @torch.inference_mode()
    def describe(rows: Dataset) -> np.ndarray:
        for clip in tqdm(rows, desc="states", disable=known.keys() >= set(rows["sha256"])):
            if clip["sha256"] not in known:
                states = encoder.states(crop(read_clip(clip), WINDOW_SECONDS, at_random=False))
                known[clip["sha256"]] = torch.cat([states.mean(0), states.std(0)]).numpy()
        return np.stack([known[sha256] for sha256 in rows["sha256"]])

    figures = cross_validate(
        open_dataset(args.data),
        args.protocol,
        describe,
        lambda c: LogisticRegression(C=c, max_iter=MOST_STEPS),
        CS,
        refit=True,
    )
    print(figures["overall"], {name: own["uar"] for name, own in figures["groups"].items()})
    save_result(RESULTS / f"{encoder.name}_folds.json", figures, ["torch", "transformers", "scikit-learn"])


if __name__ == "__main__":
    main()
