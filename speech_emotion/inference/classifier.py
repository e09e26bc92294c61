"""A trained classifier: recordings in, emotions out."""

import json
import logging
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from speech_emotion.audio.decoding import MAX_RECORDING_SECONDS, SAMPLE_RATE, AudioError
from speech_emotion.inference.backends import (
    Engine,
    ExportError,
    TorchBackend,
    choose_backend,
    open_export,
    waveform_extractor,
)
from speech_emotion.inference.prediction import Prediction, Segment
from speech_emotion.inference.recording import Source, find_utterances, read_blocks
from speech_emotion.inference.reference import Reference, ReferenceHead
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.labels import PLAIN
from speech_emotion.models.folder import (
    NEVER,
    SETTINGS,
    WINDOW_SECONDS,
    ModelError,
    Threshold,
    errors_elsewhere,
    is_sure,
    load_report,
)
from speech_emotion.models.untrusted import check_labels, check_window, fetch_settings

if TYPE_CHECKING:
    from transformers import FeatureExtractionMixin, PreTrainedModel

logger = logging.getLogger(__name__)


class EmotionClassifier:
    """A trained classifier, its feature extractor, and the engine that runs it.

    Args:
        model: the checkpoint.
        extractor: its feature extractor.
        engine: runs the network; PyTorch by default.

    Attributes:
        labels: the classes in the order of the outputs.
        window_seconds: the longest clip that the model takes at once.
        folder: where it was loaded from; None for a model that was not loaded.
        report: the content of its `report.json`; empty without one.

    >>> classifier = EmotionClassifier.from_pretrained("models/wav2vec2")  # doctest: +SKIP
    >>> classifier.predict("clip.wav").label  # doctest: +SKIP
    'happy'
    """

    def __init__(
        self, model: "PreTrainedModel", extractor: "FeatureExtractionMixin", engine: Engine | None = None
    ):
        self._checkpoint = model, extractor
        labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
        window = getattr(model.config, "window_seconds", WINDOW_SECONDS)
        # The name of a model that was not loaded is empty.
        folder = Path(model.name_or_path) if model.name_or_path else None
        self._set_up(engine or TorchBackend(model, extractor), labels, window, folder)

    def _set_up(self, engine: Engine, labels: list[str], window: float, folder: Path | None) -> None:
        self.engine, self.labels, self.window_seconds, self.folder = engine, labels, window, folder
        self.report = (load_report(folder) if folder else None) or {}

    @property
    def model(self) -> "PreTrainedModel":
        """The checkpoint's network; where an export serves, it is loaded when it is first needed."""
        return self._checkpoint[0]

    @property
    def extractor(self) -> "FeatureExtractionMixin":
        """The checkpoint's feature extractor, loaded with `model`."""
        return self._checkpoint[1]

    @property
    def parameters(self) -> int:
        """The number of the network's parameters."""
        return self.report.get("parameters") or self.model.num_parameters()

    @cached_property
    def _checkpoint(self) -> "tuple[PreTrainedModel, FeatureExtractionMixin]":
        from speech_emotion.models.loading import load_classifier

        return load_classifier(self.folder)

    @classmethod
    def from_pretrained(cls, name: str | PathLike, device: str | None = None) -> "EmotionClassifier":
        """Load a classifier from a folder or a hub id.

        Args:
            name: the folder or the hub id.
            device: where PyTorch runs the checkpoint, such as `cuda`, `mps` or `cpu`. By default the fastest
                engine for this processor runs it: an export in the folder, else PyTorch. An export of a
                model of waveforms needs neither torch nor transformers, which take seconds to import.

        Raises:
            ModelError: it cannot be loaded, part of its weights is missing, or there is no such device.
        """
        try:
            folder = fetch_settings(str(name))
            (labels, window), waveforms = _read_config(folder), waveform_extractor(folder)
            export = None
            if waveforms and labels and device is None:
                export = open_export(folder, waveforms, len(labels))
        except Exception as error:  # settings that somebody made up can raise anything
            raise ModelError.of(str(name), error) from error
        if export:
            classifier = cls.__new__(cls)
            classifier._set_up(export, labels, window, folder)
            return classifier
        from speech_emotion.models.loading import load_classifier

        model, extractor = load_classifier(name, folder)
        if device is None:
            return cls(model, extractor, None if waveforms else choose_backend(model, extractor))
        try:
            return cls(model.to(device), extractor)
        except (RuntimeError, AssertionError) as error:  # a name unknown to torch; torch built without it
            raise ModelError(f"There is no device {device!r} here to run the model on.") from error

    def predict(
        self,
        source: Source,
        rate: int = SAMPLE_RATE,
        max_seconds: float = MAX_RECORDING_SECONDS,
        reference: Reference | Literal["self"] | None = None,
    ) -> Prediction:
        """Classify one recording: find its utterances, classify each, and pool the answers.

        Args:
            source: a local path, the content of an audio file, or samples of shape [n] or [n, channels].
            rate: sampling rate of samples in Hz; files state their own.
            max_seconds: the longest duration accepted, in seconds.
            reference: the speaker's own voice, as in `iter_timeline`.

        Returns:
            The pooled answer, and each utterance's own. `iter_timeline` answers the same, block by block.

        Raises:
            AudioError: no audio, damaged, longer than `max_seconds`, silent, or nobody speaks.
            ModelError: a reference, but the model has no reference head, or the reference is another model's.
        """
        [timeline] = deque(iter_timeline(self, source, rate, max_seconds, reference), maxlen=1)
        return timeline.prediction(self)

    def classify_segments(self, clips: list[np.ndarray], reference: Reference | None = None) -> np.ndarray:
        """Classify clips in which somebody speaks.

        Args:
            clips: float32 samples, each of shape [n], 0.2 s or more, 16 kHz.
            reference: the speaker's own voice; None for an answer without one.

        Returns:
            Probabilities of shape [clips, classes], float64; each row sums to 1.

        Raises:
            ModelError: as of `predict`.
        """
        if reference is None or not clips:
            return softmax(self.logits(clips).astype(float))
        return self.classify_and_pool(clips, reference)[0]

    def classify_and_pool(
        self, clips: list[np.ndarray], reference: Reference | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Classify clips, and compute their pooled states in the same run.

        Args:
            clips: as in `classify_segments`, one or more.
            reference: likewise.

        Returns:
            As `classify_segments` and as `pooled_states`.
        """
        logits, pooled = self._logits_and_pooled(clips)
        if reference is not None:
            logits = self.require_head(reference).logits(logits, pooled, reference.vector)
        return softmax(logits.astype(float)), pooled

    def classify_again(self, table: np.ndarray, pooled: np.ndarray) -> np.ndarray:
        """Classify the clips of one speaker with each other as the reference.

        Args:
            table: their probabilities without a reference, shape [clips, classes].
            pooled: their pooled states, shape [clips, width]; two clips or more.

        Returns:
            As `classify_segments`. The reference of each clip is the mean of the others.
        """
        others = (pooled.sum(axis=0) - pooled) / (len(pooled) - 1)
        own = np.log(np.maximum(table, np.finfo(float).tiny))  # logits, but for a constant
        return softmax(self.require_head().logits(own, pooled, others).astype(float))

    def sounds_plain(self, prediction: Prediction) -> bool:
        """Return whether a recording sounds plain enough for a reference.

        Ask for another sentence if not, but take that one as it is: a person who always sounds angry to the
        model needs a reference most.

        Args:
            prediction: of the recording, without a reference.

        Raises:
            ModelError: the model has no reference head.
        """
        plain = [share for label, share in prediction.probabilities.items() if label in PLAIN]
        return not plain or sum(plain) >= self.require_head().plain_from

    def require_head(self, reference: Reference | None = None) -> ReferenceHead:
        """Return the reference head.

        Raises:
            ModelError: the model has none, or the reference was made with another model.
        """
        if self.reference_head is None:
            raise ModelError("This model answers every voice alike: it has no reference head.")
        if reference is not None and reference.vector.size != self.reference_head.width:
            raise ModelError("This reference was made with another model.")
        return self.reference_head

    @cached_property
    def reference_head(self) -> ReferenceHead | None:
        """The network for a clip with a speaker's reference; None if the folder has none."""
        return ReferenceHead.load(self.folder) if self.folder else None

    def enroll(
        self, recordings: Sequence[Source], rate: int = SAMPLE_RATE, channel: int | None = None
    ) -> Reference:
        """Return how a speaker sounds in some recordings, for `predict(clip, reference=...)`.

        Args:
            recordings: of one speaker, best in a plain voice, each as `predict` takes it.
            rate: sampling rate of samples in Hz; files state their own.
            channel: as in `iter_timeline`.

        Raises:
            ModelError: the model has no reference head.
            AudioError: no recording, or as of `predict`.
        """
        self.require_head()
        if not recordings:
            raise AudioError("A reference needs at least one recording.")
        clips = []
        for recording in recordings:
            blocks = read_blocks(recording, rate, MAX_RECORDING_SECONDS, channel)
            found = [clip for block in find_utterances(blocks, self.window_seconds) for clip in block.clips]
            if not found:
                raise AudioError(
                    "Nobody speaks in a recording for the reference, as far as this program can tell."
                )
            clips += found
        vector = self.pooled_states(clips).mean(axis=0)
        return Reference(vector, len(clips), sum(clip.size for clip in clips) / SAMPLE_RATE)

    def pooled_states(self, clips: list[np.ndarray]) -> np.ndarray:
        """Compute what the last layer's attention pools of clips, for a reference head.

        Args:
            clips: as in `classify_segments`, one or more.

        Returns:
            float32, shape [clips, width]. A clip longer than `window_seconds` gets the mean of its windows.
        """
        return self._logits_and_pooled(clips)[1]

    def answer_segments(
        self, starts: list[float], clips: list[np.ndarray], reference: Reference | None = None
    ) -> list[Segment]:
        """Classify the utterances of a recording.

        Args:
            starts: where each begins, in seconds from the recording's beginning.
            clips: as in `classify_segments`.
            reference: likewise.
        """
        return self._make_segments(starts, clips, self.classify_segments(clips, reference), reference)

    def answer_and_pool(
        self, starts: list[float], clips: list[np.ndarray], reference: Reference | None = None
    ) -> tuple[list[Segment], np.ndarray]:
        """Classify utterances, and compute their pooled states in the same run.

        Args:
            starts: as in `answer_segments`.
            clips: as in `classify_and_pool`.
            reference: likewise.
        """
        table, pooled = self.classify_and_pool(clips, reference)
        return self._make_segments(starts, clips, table, reference), pooled

    def answer_again(self, segments: list[Segment], pooled: np.ndarray) -> list[Segment]:
        """Answer the utterances of one speaker again, with each other as the reference.

        Args:
            segments: as answered without a reference; two or more.
            pooled: their pooled states, shape [segments, width].
        """
        table = np.array([list(each.probabilities.values()) for each in segments])
        spans = [(each.start, each.end) for each in segments]
        return self._to_segments(spans, self.classify_again(table, pooled), self.threshold_with(True))

    def _make_segments(
        self, starts: list[float], clips: list[np.ndarray], table: np.ndarray, reference: Reference | None
    ) -> list[Segment]:
        spans = [(start, start + clip.size / SAMPLE_RATE) for start, clip in zip(starts, clips, strict=True)]
        return self._to_segments(spans, table, self.threshold_with(reference is not None))

    def _to_segments(
        self, spans: list[tuple[float, float]], table: np.ndarray, threshold: Threshold
    ) -> list[Segment]:
        labels = [self.labels[index] for index in table.argmax(axis=1)]
        return [
            Segment(
                start=start,
                end=end,
                label=label,
                probabilities=dict(zip(self.labels, shares.tolist(), strict=True)),
                sure=is_sure(threshold, label, shares.max()),
            )
            for (start, end), label, shares in zip(spans, labels, table, strict=True)
        ]

    @property
    def threshold(self) -> Threshold:
        """The confidence from which on the model is sure, for all labels or for each.

        A model without a report is never sure: nobody has measured how often it is right.
        """
        return self.report.get("threshold", NEVER)

    def threshold_with(self, reference: bool) -> Threshold:
        """Return the same for answers with a reference, whose head has its own, or for those without."""
        return self.reference_head.threshold if reference and self.reference_head else self.threshold

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
        owners, windows = self._cut(clips)
        return mean_by_owner(self._run("run", windows), owners)

    def _logits_and_pooled(self, clips: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Compute the logits and the pooled states of clips in one run."""
        owners, windows = self._cut(clips)
        logits, pooled = self._run("run_pooled", windows)
        return mean_by_owner(logits, owners), mean_by_owner(pooled, owners)

    def _cut(self, clips: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Cut clips into windows; the index of each window's clip comes first."""
        cut = [cut_windows(clip, self.window_seconds) for clip in clips]
        owners = np.repeat(np.arange(len(clips)), [len(own) for own in cut])
        return owners, [window for own in cut for window in own]

    def _run(self, method: str, windows: list[np.ndarray]) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Run a method of the engine; where an export fails, PyTorch runs the checkpoint from then on."""
        try:
            return getattr(self.engine, method)(windows)
        except ExportError as error:
            logger.warning("%s", error)
            self.engine = TorchBackend(self.model, self.extractor)
            return getattr(self.engine, method)(windows)


def mean_by_owner(values: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Average the rows of each owner: float32, shape [owners, width]."""
    sums = np.zeros((owners[-1] + 1, values.shape[1]), np.float32)
    np.add.at(sums, owners, values)
    return sums / np.bincount(owners)[:, None].astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute probabilities along the last axis; importing scipy for this takes half a second."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _read_config(folder: Path) -> tuple[list[str], float]:
    """Read and check a config's classes, in the order of the outputs, and its window in seconds."""
    config = json.loads((folder / SETTINGS[0]).read_text())
    names, window = config.get("id2label") or {}, config.get("window_seconds", WINDOW_SECONDS)
    labels = [names.get(str(index)) for index in range(len(names))]
    if labels:
        check_labels(labels)
    check_window(window)
    return labels, float(window)


def cut_windows(audio: np.ndarray, seconds: float = WINDOW_SECONDS) -> list[np.ndarray]:
    """Cut shape-[n] samples at 16 kHz into half-overlapping windows, the last one flush with the end."""
    window = int(seconds * SAMPLE_RATE)
    if audio.size <= window:
        return [audio]
    starts = [*range(0, audio.size - window, window // 2), audio.size - window]
    return [audio[start : start + window] for start in starts]
