"""The files of a model folder, and what serving reads of its report."""

import json
from pathlib import Path
from typing import TypedDict

import numpy as np

SETTINGS = ("config.json", "preprocessor_config.json")
OPTIONAL_SETTINGS = ("processor_config.json",)  # transformers reads it instead of the second, where it exists
WEIGHTS = "model.safetensors"
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
