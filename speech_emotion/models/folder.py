"""The files of a model folder and its report."""

import json
from pathlib import Path

import numpy as np

SETTINGS = ("config.json", "preprocessor_config.json")
OPTIONAL_SETTINGS = ("processor_config.json",)  # transformers reads it instead of the second, where it exists
WEIGHTS = "model.safetensors"
WINDOW_SECONDS = 5.0  # length of sound that a model takes at once, in training and in serving
ADAPTER = "adapter_config.json"
# The fastest first; the hub's names, under which transformers.js and optimum look for them, too.
EXPORTS = {"ONNX Runtime int8": "onnx/model_quantized.onnx", "ONNX Runtime": "onnx/model.onnx"}
# The card's pictures, which lie beside it.
PICTURES = {name: f"{name}.png" for name in ("confusion_matrix", "reliability", "coverage")}


class ModelError(ValueError):
    """A model that cannot be used; the message is a sentence that says why."""

    @classmethod
    def of(cls, name: str, error: Exception) -> "ModelError":
        """Return the error for a model that could not be loaded, with the first line of the reason."""
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return cls(f"The model {name!r} cannot be loaded: {reason.rstrip('.')}.")


def load_report(folder: str | Path) -> dict | None:
    """Load the `report.json` in a model's folder.

    Returns:
        The report; None where there is none, or one whose figures cannot be used.
    """
    try:
        report = json.loads((Path(folder) / "report.json").read_text("utf-8"))
        threshold, error = report.get("threshold", 0.0), report.get("calibration", {}).get("ece", 0.0)
        matrix = np.array(report.get("confusion_matrix", []))
        labels = report.get("labels", [])
        usable = (
            threshold >= 0
            and float(threshold) < np.inf
            and all(0 <= each <= 1 for each in [error, *errors_elsewhere(report)])
            and matrix.dtype.kind in "iuf"
            and matrix.shape in ((0,), (len(labels),) * 2)
            and (matrix >= 0).all()
        )
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError, ArithmeticError):
        return None  # it is not there, or malformed
    return report if usable else None


def errors_elsewhere(report: dict) -> list[float]:
    """List the calibration errors, 0 to 1, that a report has of the same recipe on corpora left out whole."""
    return [
        own["ece"]
        for own in report.get("comparisons", {}).values()
        if (own.get("architecture"), own.get("parameters")) == (report["architecture"], report["parameters"])
        and all(protocol.startswith("leave_out:") for protocol in own["protocols"])
    ]
