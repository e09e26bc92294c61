"""From sound to an emotion: the one place where a trained classifier is asked."""

from dataclasses import dataclass
from os import PathLike

import numpy as np
from scipy.special import softmax
from transformers import FeatureExtractionMixin, PreTrainedModel

from speech_emotion.audio.decoding import SAMPLE_RATE, AudioError, load_audio, to_mono_16k
from speech_emotion.audio.silence import trim_and_validate
from speech_emotion.audio.vad import contains_speech
from speech_emotion.inference.backends import Engine, ExportError, TorchBackend, choose_backend
from speech_emotion.models.folder import errors_elsewhere, load_report
from speech_emotion.models.loading import WINDOW_SECONDS, load_classifier

HOP_SECONDS = 2.5  # between the windows of a longer clip


@dataclass(frozen=True)
class Prediction:
    """What a classifier makes of one clip.

    Attributes:
        label: the most probable class.
        probabilities: of every class in the model's order; they sum to 1.
        seconds: the length of what was judged, silence at both ends left out.
        sure: whether the label's probability reaches the threshold of the model's report; True without one.
        engine: what computed it.
    """

    label: str
    probabilities: dict[str, float]
    seconds: float
    sure: bool
    engine: str

    @property
    def confidence(self) -> float:
        """The label's probability."""
        return self.probabilities[self.label]

    def row(self) -> dict[str, str | bool | float]:
        """Give one flat row of a table: emotion, sure, confidence, then each probability by its label."""
        shares = {label: round(share, 4) for label, share in self.probabilities.items()}
        return {"emotion": self.label, "sure": self.sure, "confidence": round(self.confidence, 4)} | shares


class EmotionClassifier:
    """A trained classifier, its feature extractor, and the engine that runs it: PyTorch where none is given.

    >>> classifier = EmotionClassifier.from_pretrained("models/wav2vec2")  # doctest: +SKIP
    >>> classifier.predict("clip.wav").label  # doctest: +SKIP
    'happy'
    """

    def __init__(
        self, model: PreTrainedModel, extractor: FeatureExtractionMixin, engine: Engine | None = None
    ):
        self.model, self.extractor = model, extractor
        self.engine = engine or TorchBackend(model, extractor)
        self.labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
        folder = model.name_or_path  # empty of a model that was not loaded
        self.report = (load_report(folder) if folder else None) or {}

    @classmethod
    def from_pretrained(cls, name: str | PathLike) -> "EmotionClassifier":
        """Load a classifier from a folder or a hub id, with the fastest engine that is there for it.

        Raises:
            ModelError: it cannot be loaded, or part of its weights is missing.
        """
        model, extractor = load_classifier(str(name))
        return cls(model, extractor, choose_backend(model, extractor))

    def predict(self, source: str | PathLike | bytes | np.ndarray, rate: int = SAMPLE_RATE) -> Prediction:
        """Classify one clip.

        Args:
            source: a local path, the content of an audio file, or samples of shape [n] or [n, channels].
            rate: sampling rate of samples in Hz; files state their own.

        Returns:
            The label and the probability of each class.

        Raises:
            AudioError: no audio, damaged, longer than a minute, silent, less than half a second of sound, or
                nobody speaks.
        """
        audio = to_mono_16k(source, rate) if isinstance(source, np.ndarray) else load_audio(source)
        speech = trim_and_validate(audio)
        if not contains_speech(speech):
            raise AudioError("Nobody speaks in this recording, as far as this program can hear.")
        return self.predict_speech([speech])[0]

    def predict_speech(self, clips: list[np.ndarray]) -> list[Prediction]:
        """Classify clips in which somebody speaks.

        Args:
            clips: float32 samples, each of shape [n], half a second or more, 16 kHz.

        Returns:
            For each clip the label and the probability of each class.
        """
        return [
            Prediction(
                label=self.labels[int(shares.argmax())],
                probabilities=dict(zip(self.labels, shares.tolist(), strict=True)),
                seconds=clip.size / SAMPLE_RATE,
                sure=bool(shares.max() >= self.threshold),
                engine=self.engine.name,
            )
            for clip, shares in zip(clips, softmax(self.logits(clips).astype(float), axis=1), strict=True)
        ]

    @property
    def threshold(self) -> float:
        """The confidence from which on the model is sure, by its report; 0 without one."""
        return self.report.get("threshold", 0.0)

    @property
    def calibration(self) -> str:
        """A sentence that says how far the probabilities can be taken at their word."""
        error = self.report.get("calibration", {}).get("ece")
        if error is None:
            return "How far its confidence can be trusted has not been measured."
        sentence = "With speakers it had never heard, its confidence was off by "
        sentence += f"{100 * error:.0f} percentage points on average"
        if elsewhere := errors_elsewhere(self.report):
            sentence += f"; where the kind of recording was new as well, by {100 * max(elsewhere):.0f}"
        return f"{sentence}."

    def logits(self, clips: list[np.ndarray]) -> np.ndarray:
        """Compute logits.

        Args:
            clips: float32 waveforms, 16 kHz; the logits of longer clips are the mean over windows of 5 s.

        Returns:
            float32, shape [clips, classes].
        """
        if not clips:
            return np.empty((0, len(self.labels)), np.float32)
        windows = [(owner, window) for owner, clip in enumerate(clips) for window in cut_windows(clip)]
        owners = [owner for owner, _ in windows]
        logits, count = np.zeros((len(clips), len(self.labels)), np.float32), np.bincount(owners)
        np.add.at(logits, owners, self._run([window for _, window in windows]))
        return logits / count[:, None].astype(np.float32)

    def _run(self, windows: list[np.ndarray]) -> np.ndarray:
        """Run the engine; an export that fails on what was never tried is given up for the checkpoint."""
        try:
            return self.engine.run(windows)
        except ExportError as error:
            print(error)
            self.engine = TorchBackend(self.model, self.extractor)
            return self.engine.run(windows)


def cut_windows(audio: np.ndarray) -> list[np.ndarray]:
    """Cut shape-[n] samples at 16 kHz into overlapping windows of 5 s, the last one flush with the end."""
    window, hop = int(WINDOW_SECONDS * SAMPLE_RATE), int(HOP_SECONDS * SAMPLE_RATE)
    if audio.size <= window:
        return [audio]
    starts = [*range(0, audio.size - window, hop), audio.size - window]
    return [audio[start : start + window] for start in starts]
