"""From sound to an emotion: the one place where a trained classifier is asked."""

from dataclasses import dataclass
from os import PathLike

import numpy as np
import torch
from scipy.special import softmax
from transformers import FeatureExtractionMixin, PreTrainedModel

from speech_emotion.audio import SAMPLE_RATE, check_speech, load_audio, to_contract
from speech_emotion.models import extract, load_classifier, load_report

WINDOW_SECONDS = 5.0  # what a model hears at once, as in training
HOP_SECONDS = 2.5  # between the windows of a longer clip


@dataclass(frozen=True)
class Prediction:
    """What a classifier makes of one clip.

    Attributes:
        label: the most probable class.
        probabilities: of every class in the model's order; they sum to 1.
        seconds: the length of what was judged, silence at both ends left out.
    """

    label: str
    probabilities: dict[str, float]
    seconds: float


class EmotionClassifier:
    """A trained classifier with its feature extractor.

    >>> classifier = EmotionClassifier.from_pretrained("models/wav2vec2")  # doctest: +SKIP
    >>> classifier.predict("clip.wav").label  # doctest: +SKIP
    'happy'
    """

    def __init__(self, model: PreTrainedModel, extractor: FeatureExtractionMixin):
        self.model = model.eval()
        self.extractor = extractor
        self.labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
        self.report = load_report(model.name_or_path)

    @classmethod
    def from_pretrained(cls, name: str | PathLike) -> "EmotionClassifier":
        """Load a classifier from a folder or a hub id.

        Raises:
            ModelError: it cannot be loaded, or part of its weights is missing.
        """
        return cls(*load_classifier(str(name)))

    def predict(self, source: str | PathLike | bytes | np.ndarray, rate: int = SAMPLE_RATE) -> Prediction:
        """Classify one clip.

        Args:
            source: a local path, the content of an audio file, or samples of shape [n] or [n, channels].
            rate: sampling rate of samples in Hz; files state their own.

        Returns:
            The label and the probability of each class.

        Raises:
            AudioError: no audio, damaged, longer than a minute, silent, or less than half a second of sound.
        """
        audio = to_contract(source, rate) if isinstance(source, np.ndarray) else load_audio(source)
        speech = check_speech(audio)
        probabilities = softmax(self.logits([speech])[0].astype(float))
        return Prediction(
            label=self.labels[int(probabilities.argmax())],
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            seconds=speech.size / SAMPLE_RATE,
        )

    @property
    def calibration(self) -> str:
        """A sentence that says how far the probabilities can be taken at their word."""
        error = (self.report or {}).get("calibration", {}).get("ece")
        if error is None:
            return "How far its confidence can be trusted has not been measured."
        return f"With speakers it had never heard, its confidence was off by {error:.0%} on average."

    @torch.inference_mode()
    def logits(self, clips: list[np.ndarray]) -> np.ndarray:
        """Compute logits of clips that `check_speech` has passed, in one batch.

        Args:
            clips: float32 waveforms, 16 kHz; the logits of longer clips are the mean over windows of 5 s.

        Returns:
            float32, shape [clips, classes].
        """
        windows = [cut_windows(clip) for clip in clips]
        inputs = extract(self.extractor, [window for clip in windows for window in clip])
        inputs = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
        logits = self.model(**inputs).logits.float().cpu().numpy()
        ends = np.cumsum([len(clip) for clip in windows])
        return np.stack([part.mean(axis=0) for part in np.split(logits, ends[:-1])])


def cut_windows(audio: np.ndarray) -> list[np.ndarray]:
    """Cut shape-[n] samples at 16 kHz into overlapping windows of 5 s, the last one flush with the end."""
    window, hop = int(WINDOW_SECONDS * SAMPLE_RATE), int(HOP_SECONDS * SAMPLE_RATE)
    if audio.size <= window:
        return [audio]
    starts = [*range(0, audio.size - window, hop), audio.size - window]
    return [audio[start : start + window] for start in starts]
