"""A trained classifier: recordings in, emotions out."""

import logging
from collections import deque
from os import PathLike

import numpy as np
from scipy.special import softmax
from transformers import FeatureExtractionMixin, PreTrainedModel

from speech_emotion.audio.decoding import MAX_RECORDING_SECONDS, SAMPLE_RATE
from speech_emotion.inference.backends import Engine, ExportError, TorchBackend, choose_backend
from speech_emotion.inference.prediction import Prediction, Segment
from speech_emotion.inference.recording import Source
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.models.folder import errors_elsewhere, load_report
from speech_emotion.models.loading import WINDOW_SECONDS, ModelError, load_classifier

logger = logging.getLogger(__name__)


class EmotionClassifier:
    """A trained classifier, its feature extractor, and the engine that runs it.

    Args:
        model: the checkpoint.
        extractor: its feature extractor.
        engine: runs the network; PyTorch by default.

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
    def from_pretrained(cls, name: str | PathLike, device: str | None = None) -> "EmotionClassifier":
        """Load a classifier from a folder or a hub id.

        Args:
            name: the folder or the hub id.
            device: where PyTorch runs the checkpoint, such as `cuda`, `mps` or `cpu`. By default the fastest
                engine for this processor runs it: an export in the folder, else PyTorch.

        Raises:
            ModelError: it cannot be loaded, part of its weights is missing, or there is no such device.
        """
        model, extractor = load_classifier(str(name))
        if device is None:
            return cls(model, extractor, choose_backend(model, extractor))
        try:
            return cls(model.to(device), extractor)
        except (RuntimeError, AssertionError) as error:  # a name unknown to torch; torch built without it
            raise ModelError(f"There is no device {device!r} here to run the model on.") from error

    def predict(
        self,
        source: Source,
        rate: int = SAMPLE_RATE,
        max_seconds: float = MAX_RECORDING_SECONDS,
        reference=None,
    ) -> Prediction:
        """Classify one recording: find its utterances, classify each, and pool the answers.

        Args:
            source: a local path, the content of an audio file, or samples of shape [n] or [n, channels].
            rate: sampling rate of samples in Hz; files state their own.
            max_seconds: the longest duration accepted, in seconds.
            reference: the speaker's own voice, as in `classify_segments`.

        Returns:
            The pooled answer, and each utterance's own. `iter_timeline` answers the same, block by block.

        Raises:
            AudioError: no audio, damaged, longer than `max_seconds`, silent, or nobody speaks.
        """
        [timeline] = deque(iter_timeline(self, source, rate, max_seconds, reference), maxlen=1)
        return timeline.prediction(self)

    def classify_segments(self, clips: list[np.ndarray], reference=None) -> np.ndarray:
        """Classify clips in which somebody speaks.

        Args:
            clips: float32 samples, each of shape [n], 0.2 s or more, 16 kHz.
            reference: the speaker's own voice; None for an answer without one.

        Returns:
            Probabilities of shape [clips, classes], float64; each row sums to 1.
        """
        return softmax(self.logits(clips).astype(float), axis=1)

    def answer_segments(self, starts: list[float], clips: list[np.ndarray], reference=None) -> list[Segment]:
        """Classify the utterances of a recording.

        Args:
            starts: where each begins, in seconds from the recording's beginning.
            clips: as in `classify_segments`.
            reference: likewise.
        """
        table = self.classify_segments(clips, reference)
        return [
            Segment(
                start=start,
                end=start + clip.size / SAMPLE_RATE,
                label=self.labels[int(shares.argmax())],
                probabilities=dict(zip(self.labels, shares.tolist(), strict=True)),
                sure=bool(shares.max() >= self.threshold),
            )
            for start, clip, shares in zip(starts, clips, table, strict=True)
        ]

    @property
    def window_seconds(self) -> float:
        """The longest clip that the model hears at once: what its config states, or 5 s."""
        return float(getattr(self.model.config, "window_seconds", WINDOW_SECONDS))

    @property
    def threshold(self) -> float:
        """The confidence from which on the model is sure: what its report states, or 0."""
        return self.report.get("threshold", 0.0)

    @property
    def calibration(self) -> str:
        """A sentence on how far the probabilities can be trusted."""
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
            clips: float32 waveforms, 16 kHz. A clip longer than `window_seconds` gets the mean logits of its
                windows.

        Returns:
            float32, shape [clips, classes].
        """
        if not clips:
            return np.empty((0, len(self.labels)), np.float32)
        windows = [
            (owner, window)
            for owner, clip in enumerate(clips)
            for window in cut_windows(clip, self.window_seconds)
        ]
        owners = [owner for owner, _ in windows]
        logits, count = np.zeros((len(clips), len(self.labels)), np.float32), np.bincount(owners)
        np.add.at(logits, owners, self._run([window for _, window in windows]))
        return logits / count[:, None].astype(np.float32)

    def _run(self, windows: list[np.ndarray]) -> np.ndarray:
        """Run the engine; where an export fails, PyTorch runs the checkpoint from then on."""
        try:
            return self.engine.run(windows)
        except ExportError as error:
            logger.warning("%s", error)
            self.engine = TorchBackend(self.model, self.extractor)
            return self.engine.run(windows)


def cut_windows(audio: np.ndarray, seconds: float = WINDOW_SECONDS) -> list[np.ndarray]:
    """Cut shape-[n] samples at 16 kHz into half-overlapping windows, the last one flush with the end."""
    window = int(seconds * SAMPLE_RATE)
    if audio.size <= window:
        return [audio]
    starts = [*range(0, audio.size - window, window // 2), audio.size - window]
    return [audio[start : start + window] for start in starts]
