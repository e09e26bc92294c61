"""The files of a model folder, and what serving reads of its report."""

import hashlib
import json
import re
from pathlib import Path
from typing import TypedDict

import numpy as np

from speech_emotion.atomic import digest

SETTINGS = ("config.json", "preprocessor_config.json")
OPTIONAL_SETTINGS = ("processor_config.json",)  # transformers reads it instead of the second, where it exists
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"  # of a checkpoint in several files, which it names
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
WINDOW_SECONDS = 5.0  # length of sound that a model takes at once, in training and in serving
ADAPTER = "adapter_config.json"
# The fastest first; the hub's names, under which transformers.js and optimum look for them, too.
EXPORTS = {"ONNX Runtime int8": "onnx/model_quantized.onnx", "ONNX Runtime": "onnx/model.onnx"}
# The card's pictures, in the same folder.
PICTURES = {name: f"{name}.png" for name in ("confusion_matrix", "reliability", "coverage")}


class ModelError(ValueError):
    """A model that cannot be used; the message is a sentence that says why."""

    @classmethod
    def of(cls, name: str, error: Exception) -> "ModelError":
        """Return the error for a model that could not be loaded, with the first line of the reason."""
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return cls(f"The model {name!r} cannot be loaded: {reason.rstrip('.')}.")


def list_weights(folder: Path) -> list[Path]:
    """Return the files that a folder's weights are in; all of them exist.

    Raises:
        ValueError: one is missing, or has another name than transformers gives it; the message is a clause.
    """
    if (folder / WEIGHTS).exists() or not (folder / WEIGHTS_INDEX).exists():
        names = [WEIGHTS]
    else:
        names = read_shards(folder / WEIGHTS_INDEX)
    for name in names:
        if not (folder / name).exists():
            raise ValueError(f"it has no {name}")
    return [folder / name for name in names]


def read_shards(index: Path) -> list[str]:
    """Return the names of the files that an index of weights names.

    Raises:
        ValueError: it is damaged or names other files; the message is a clause.
    """
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"its {index.name} is damaged") from error
    if not names or not all(isinstance(name, str) and SHARD.fullmatch(name) for name in names):
        raise ValueError(f"its {index.name} names other files than those of its weights")
    return names


def digest_weights(folder: Path) -> str:
    """Return the SHA-256 of a folder's weights; of several files, that of theirs."""
    digests = [digest(file) for file in list_weights(folder)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


# Of `report.json`. 1 had no version. 2: predictions as they are served; `by_language`, `surroundings`,
# `short_clips`, `false_alarm` and `left_out`; the threshold may be one number for each label.
REPORT_VERSION = 2

NEVER = 2.0  # a confidence that no answer reaches
Threshold = float | dict[str, float]  # confidence from which on a model is sure: for all labels, or for each


class Calibration(TypedDict, total=False):
    """Calibration as serving reads it; `ece` is the expected calibration error on test speakers, 0..1."""

    ece: float


class Comparison(TypedDict, total=False):
    """A summary of several protocols, as serving reads it.

    Attributes:
        architecture: of the network, None for other classifiers.
        parameters: number of them, likewise.
        protocols: what was trained and tested, as `leave_out:savee`.
        ece: expected calibration error, 0..1.
    """

    architecture: str | None
    parameters: int | None
    protocols: list[str]
    ece: float | None


class ServedReport(TypedDict, total=False):
    """The part of `report.json` that serving reads; `evaluation.report.Report` has all of it.

    Attributes:
        version: of the format, `REPORT_VERSION` or older.
        architecture: class name of the network.
        parameters: number of them.
        labels: class names, in the order of the confusion matrix.
        threshold: the confidence from which on the model is sure.
        calibration: on test speakers.
        comparisons: other protocols, by name.
        confusion_matrix: counts of clips, rows the true class, columns the predicted one.
    """

    version: int
    architecture: str
    parameters: int
    labels: list[str]
    threshold: Threshold
    calibration: Calibration
    comparisons: dict[str, Comparison]
    confusion_matrix: list[list[int]]


def is_sure(threshold: Threshold, label: str, confidence: float) -> bool:
    """Return whether an answer's confidence reaches the threshold of its label."""
    return bool(confidence >= (threshold[label] if isinstance(threshold, dict) else threshold))


def load_report(folder: str | Path) -> ServedReport | None:
    """Load the `report.json` in a model's folder.

    Returns:
        The report; None where there is none, or one whose figures cannot be used.
    """
    try:
        report = json.loads((Path(folder) / "report.json").read_text("utf-8"))
        labels, threshold = report.get("labels", []), report.get("threshold", 0.0)
        thresholds = threshold.values() if isinstance(threshold, dict) else [threshold]
        error = report.get("calibration", {}).get("ece", 0.0)
        matrix = np.array(report.get("confusion_matrix", []))
        usable = (
            1 <= report.get("version", 1) <= REPORT_VERSION
            and all(each >= 0 and float(each) < np.inf for each in thresholds)
            and (not isinstance(threshold, dict) or (labels and list(threshold) == labels))
            and all(0 <= each <= 1 for each in [error, *errors_elsewhere(report)])
            and matrix.dtype.kind in "iuf"
            and matrix.shape in ((0,), (len(labels),) * 2)
            and (matrix >= 0).all()
        )
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError, ArithmeticError):
        return None  # there is none, or it is malformed
    return report if usable else None


def errors_elsewhere(report: ServedReport) -> list[float]:
    """Return the calibration errors, 0 to 1, of the same recipe on corpora left out whole."""
    return [
        own["ece"]
        for own in report.get("comparisons", {}).values()
        if (own.get("architecture"), own.get("parameters")) == (report["architecture"], report["parameters"])
        and all(protocol.startswith("leave_out:") for protocol in own["protocols"])
    ]
