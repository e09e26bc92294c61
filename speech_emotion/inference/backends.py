"""The engines that run a classifier's network: ONNX Runtime where the folder has an export, else PyTorch.

This module imports neither torch nor transformers: an export runs without them, and they take seconds.
"""

import functools
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnxruntime

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.machine import count_threads
from speech_emotion.models.folder import EXPORTS, OPTIONAL_SETTINGS, SETTINGS, digest_weights, list_weights
from speech_emotion.models.untrusted import check_rate

if TYPE_CHECKING:
    import torch
    from transformers import FeatureExtractionMixin, PreTrainedModel

logger = logging.getLogger(__name__)
BATCH_SIZE = 8  # windows that PyTorch runs at once
POOLED = "pooled"  # the output of an export that a reference head reads
# How far an export's logits may lie from those it gave where it was made. Processors round alike to a few
# thousandths; one without the instructions for int8 products cuts off sums, and is far off.
TOLERANCE = 0.05
RUN_SECONDS = 30  # that an export may take for a window; the slowest of ours takes a hundredth of that
MEMORY = 2_000_000_000  # bytes that all exports may take for their numbers; ours need a tenth of it
SPARE = (
    1_000_000  # bytes of an export's graph; its weights are at most those of a checkpoint in half precision
)


class Engine(Protocol):
    """An engine that runs a network.

    Attributes:
        name: of the engine, for people.
    """

    name: str

    def run(self, windows: list[np.ndarray]) -> np.ndarray:
        """Compute logits, float32 of shape [windows, classes], of float32 waveforms at 16 kHz."""

    def run_pooled(self, windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Compute logits, and what the last layer's attention pools: float32, shape [windows, width]."""


class WaveformExtractor:
    """transformers' Wav2Vec2FeatureExtractor for single waveforms, without transformers.

    Args:
        do_normalize: whether each waveform gets mean 0 and variance 1.
    """

    def __init__(self, do_normalize: bool):
        self.do_normalize = do_normalize

    def __call__(self, wave: np.ndarray, **_) -> dict[str, np.ndarray]:
        """Return `input_values`, float32 of shape [1, n], for a float32 waveform of shape [n]."""
        if self.do_normalize:
            wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        return {"input_values": wave[None].astype(np.float32)}


class ExportError(ValueError):
    """An export that is not to be used; the message is a sentence that says why."""


class TorchBackend:
    """PyTorch, in batches of windows of about one length."""

    name = "PyTorch"

    def __init__(self, model: "PreTrainedModel", extractor: "FeatureExtractionMixin"):
        self.model, self.extractor = model.eval(), extractor

    def run(self, windows: list[np.ndarray]) -> np.ndarray:
        """As in `Engine`."""
        import torch

        with torch.inference_mode():
            return self._run(windows)

    def run_pooled(self, windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """As in `Engine`; one window at a time."""
        import torch

        with torch.inference_mode(), tap_pooled(self.model) as pooled:
            logits = np.concatenate([self._run([window]) for window in windows])
        return logits, np.concatenate([each.float().cpu().numpy() for each in pooled])

    def _run(self, windows: list[np.ndarray]) -> np.ndarray:
        from speech_emotion.models.loading import extract

        order = np.argsort([window.size for window in windows])  # little of a batch is padding
        logits = np.empty((len(windows), self.model.config.num_labels), np.float32)
        for start in range(0, len(windows), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            inputs = extract(self.extractor, [windows[index] for index in batch])
            inputs = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
            logits[batch] = self.model(**inputs).logits.float().cpu().numpy()
        return logits


@contextmanager
def tap_pooled(model: "PreTrainedModel") -> "Iterator[list[torch.Tensor]]":
    """Collect what the attention of a wav2vec2's last layer pools, [clips, width], each time the model runs.

    Such attention gives every frame the same (`training.feature_cache.PoolingLayer`).
    """
    pooled = []
    output = model.base_model.encoder.layers[-1].attention.out_proj
    hook = output.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0][:, 0]))
    try:
        yield pooled
    finally:
        hook.remove()


class OnnxBackend:
    """An export in ONNX Runtime, a window at a time.

    Batches are hardly faster on a CPU, and int8 shares one scale in a batch, so that a clip's answer would
    depend on its neighbours.

    Args:
        file: the export.
        name: of the engine, for people.
        extractor: the classifier's feature extractor, or a `WaveformExtractor` in its place.
        folder: with the checkpoint that it should have been made of.
        classes: how many logits it should give.

    Raises:
        ExportError: it is damaged, of another checkpoint, asks for more memory than any of ours, or gives
            other numbers here than where it was made.
    """

    def __init__(
        self,
        file: Path,
        name: str,
        extractor: "FeatureExtractionMixin | WaveformExtractor",
        folder: Path,
        classes: int,
    ):
        self.name, self.extractor = name, extractor
        if file.stat().st_size > 2 * sum(each.stat().st_size for each in list_weights(folder)) + SPARE:
            raise ExportError(f"{file.name} is larger than any export of its checkpoint.")
        limit_memory()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = count_threads()
        options.log_severity_level = 4  # its errors are raised as well
        options.add_session_config_entry("session.use_env_allocators", "1")  # those that are limited
        try:
            # from memory, so that it cannot name other files as its weights
            self.session = onnxruntime.InferenceSession(file.read_bytes(), options)
            facts = self.session.get_modelmeta().custom_metadata_map
            if facts.get("checkpoint") != digest_weights(folder):
                raise ExportError(f"{file.name} was made of another checkpoint: export it again.")
            warm_up = [probe(), np.tile(probe(), 2)]
            [logits] = run_onnx(self.session, extractor, warm_up, ["logits"])
            if logits.shape != (2, classes) or not np.isfinite(logits).all():
                raise ExportError(f"{file.name} does not give a number for each of {classes} classes.")
            off = np.abs(logits[:1] - json.loads(facts["probe"])).max()
        except ExportError:
            raise
        except Exception as error:  # ONNX Runtime's own have no common ancestor
            raise ExportError(f"{file.name} cannot be run: {error}") from error
        if not off <= TOLERANCE:
            raise ExportError(f"{file.name} gives other numbers on this processor, off by {off:.2f}.")

    def run(self, windows: list[np.ndarray]) -> np.ndarray:
        """As in `Engine`.

        Raises:
            ExportError: it fails, takes too long, or gives no numbers for these windows.
        """
        [logits] = self._run(windows, ["logits"])
        return logits

    def run_pooled(self, windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """As in `Engine`.

        Raises:
            ExportError: likewise, or it has no such output.
        """
        logits, pooled = self._run(windows, ["logits", POOLED])
        return logits, pooled

    def _run(self, windows: list[np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        try:
            results = run_onnx(self.session, self.extractor, windows, outputs)
        except Exception as error:
            raise ExportError(f"{self.name} failed: {error}") from error
        if not all(np.isfinite(each).all() for each in results):
            raise ExportError(f"{self.name} gave no numbers.")
        return results


def run_onnx(
    session: onnxruntime.InferenceSession,
    extractor: "FeatureExtractionMixin | WaveformExtractor",
    windows: list[np.ndarray],
    outputs: list[str],
) -> list[np.ndarray]:
    """Compute these outputs, float32 of shape [windows, ...], of float32 waveforms at 16 kHz, one by one."""
    results = []
    for window in windows:
        values = extractor(window, sampling_rate=SAMPLE_RATE, return_tensors="np")["input_values"]
        with limit_time() as options:
            results.append(session.run(outputs, name_inputs(session, values), options))
    return [np.concatenate(each) for each in zip(*results, strict=True)]


def name_inputs(session: onnxruntime.InferenceSession, values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the inputs of an export for one clip, [1, samples], of which nothing is padding."""
    inputs = {
        "input_values": np.asarray(values, np.float32),
        "attention_mask": np.ones(values.shape, np.int64),
    }
    return {each.name: inputs[each.name] for each in session.get_inputs()}


def choose_backend(model: "PreTrainedModel", extractor: "FeatureExtractionMixin") -> Engine:
    """Return the fastest engine for a model: a usable export in its folder, else PyTorch."""
    export = open_export(Path(model.name_or_path), extractor, model.config.num_labels)
    return export or TorchBackend(model, extractor)


def open_export(
    folder: Path, extractor: "FeatureExtractionMixin | WaveformExtractor", classes: int
) -> OnnxBackend | None:
    """Return the fastest usable export in a model folder, or None; log why the others are passed over."""
    for engine, file in EXPORTS.items():
        if (folder / file).exists():
            try:
                return OnnxBackend(folder / file, engine, extractor, folder, classes)
            except ExportError as error:
                logger.warning("%s", error)
    return None


def waveform_extractor(folder: Path) -> WaveformExtractor | None:
    """Return the extractor that a folder's settings describe; None where it needs transformers' own.

    Raises:
        ValueError: it wants another sampling rate than 16 kHz; the message is a clause that says so.
    """
    settings = json.loads((folder / SETTINGS[1]).read_text())
    if settings.get("feature_extractor_type") != "Wav2Vec2FeatureExtractor":
        return None
    if any((folder / file).exists() for file in OPTIONAL_SETTINGS):
        return None
    check_rate(settings.get("sampling_rate", SAMPLE_RATE))
    return WaveformExtractor(settings.get("do_normalize", True))


@functools.cache
def limit_memory() -> None:
    """Limit the memory of exports to MEMORY: the graph of an untrusted export can ask for any amount."""
    cpu = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg({"max_mem": MEMORY}))


@contextmanager
def limit_time() -> Iterator[onnxruntime.RunOptions]:
    """Return options that end a run after RUN_SECONDS: the graph of an untrusted export may never end."""
    options = onnxruntime.RunOptions()
    timer = threading.Timer(RUN_SECONDS, setattr, (options, "terminate", True))
    timer.start()
    try:
        yield options
    finally:
        timer.cancel()


def probe() -> np.ndarray:
    """Return a second of sound, alike everywhere: harmonics of 140 Hz that swell and fall, and noise."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * 140 * n * time) / n for n in range(1, 20)) * np.sin(np.pi * time)
    return (0.1 * voice + 0.01 * np.random.default_rng(0).standard_normal(time.size)).astype(np.float32)
