"""The summary of one recipe over several protocols, such as the folds of a cross-validation."""

import statistics

import numpy as np

from speech_emotion.evaluation.calibration import expected_calibration_error, pool_bins
from speech_emotion.evaluation.card import leaks
from speech_emotion.evaluation.metrics import score_confusions


def summarise(reports: dict[str, dict]) -> dict:
    """Summarise the test figures of a recipe's models.

    Args:
        reports: by protocol, those of `report.evaluate_folder` or `scores.measure`.

    Returns:
        Shares 0..1 throughout. Speakers that a later protocol tests once more (SAVEE has fewer folds than
        RAVDESS) count once in `groups`.

        - `protocols`, `leaks_speakers` (training had clips of the test speakers), `clips`, `speakers`.
        - `overall`: `accuracy`, `uar`, `macro_f1`, `weighted_f1` and `macro_precision` of all test clips
          together; `clips`, `overall` and `calibration` count a clip as often as it is tested.
        - `groups`: for each corpus with speech and song apart the `uar` of each protocol as `folds`, their
          mean `uar` and its `sd`.
        - `calibration`: expected calibration error `ece` of all test clips together, and of each as `folds`;
          None where the reports have no confidence.
    """
    matrix = np.sum([report["confusion_matrix"] for report in reports.values()], axis=0)
    overall, per_class = score_confusions(matrix)
    overall["macro_precision"] = per_class["precision"][matrix.sum(axis=1) > 0].mean()
    speakers = {speaker for report in reports.values() for speaker in report["speakers"]}
    return {
        "protocols": list(reports),
        "leaks_speakers": any(leaks(report["training"]) for report in reports.values()),
        "clips": int(matrix.sum()),
        "speakers": len(speakers),
        "overall": {name: float(score) for name, score in overall.items()},
        "groups": _summarise_groups(reports),
        "calibration": _summarise_calibration(reports),
    }


def _summarise_groups(reports: dict[str, dict]) -> dict:
    folds, tested = {}, set()
    for protocol, report in reports.items():
        for group, own in report["groups"].items():
            corpus = group.partition(" ")[0]
            speakers = tuple(name for name in report["speakers"] if name.startswith(f"{corpus}-"))
            if (group, speakers) not in tested:
                tested.add((group, speakers))
                folds.setdefault(group, {})[protocol] = own["uar"]
    return {
        group: {"uar": statistics.mean(own.values()), "sd": statistics.pstdev(own.values()), "folds": own}
        for group, own in folds.items()
    }


def _summarise_calibration(reports: dict[str, dict]) -> dict | None:
    calibrations = {
        protocol: report["calibration"] for protocol, report in reports.items() if "calibration" in report
    }
    if not calibrations:
        return None
    bins = pool_bins([own["bins"] for own in calibrations.values()])
    return {
        "ece": expected_calibration_error(bins),
        "folds": {protocol: own["ece"] for protocol, own in calibrations.items()},
    }
