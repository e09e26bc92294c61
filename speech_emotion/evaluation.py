"""Measure a finished model folder on the test split, and write its report, picture and card.

    python -m speech_emotion.evaluation models/wav2vec2 --data data/emotion

The folder is loaded as a visitor's app loads it, so the figures describe what is published, not what was in
memory at the end of training. `train.py` ends with the same function.
"""

import argparse
import json
import os
import platform
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from string import Template

import numpy as np
import torch
from datasets import DatasetDict
from sklearn.metrics import classification_report, confusion_matrix
from tqdm import tqdm

from speech_emotion.data import open_dataset, read_clip
from speech_emotion.inference import EmotionClassifier
from speech_emotion.metrics import EmotionMetric, expected_calibration_error
from speech_emotion.plots import plot_confusion

CARD_TEMPLATE = Path(__file__).parent.parent / "model_card.md"
BATCH_SIZE = 16
SPLIT = "test"
PACKAGES = ("torch", "transformers", "datasets", "accelerate")


def evaluate_folder(folder: Path, dataset: DatasetDict, training: dict) -> dict:
    """Measure the model in a folder and write `report.json`, `confusion_matrix.png` and `README.md` into it.

    Args:
        folder: a model folder.
        dataset: as `open_dataset` gives it; its labels are the model's.
        training: how the model came to be, kept in the report as it is; `temperature` in it is what its last
            layer was divided by.

    Returns:
        The report. Its majority line is the most common class of the training split.

    Raises:
        ValueError: the dataset's labels are not the model's, or training heard one of its test speakers.
    """
    classifier = EmotionClassifier.from_pretrained(folder)
    classifier.model.to("cuda" if torch.cuda.is_available() else "cpu")
    rows = dataset[SPLIT]
    if heard := set(rows["speaker"]) & set(training["speakers"]):
        raise ValueError(
            f"{folder} was trained on speakers of the {SPLIT} split: {', '.join(sorted(heard))}."
        )
    if rows.features["emotion"].names != classifier.labels:
        raise ValueError(f"The dataset's labels are not those of {folder}: {', '.join(classifier.labels)}.")
    logits, truth = predict_rows(classifier, rows), np.array(rows["emotion"])
    report = measure(logits, truth, rows, classifier.labels)
    majority = Counter(dataset["train"]["emotion"]).most_common(1)[0][0]
    report |= {
        "model": folder.name,
        "architecture": type(classifier.model).__name__,
        "parameters": classifier.model.num_parameters(),
        "split": SPLIT,
        "majority_class": {
            "label": classifier.labels[majority],
            **_score(np.full_like(truth, majority), truth),
        },
        "calibration": {
            "temperature": training["temperature"],
            "ece_before": expected_calibration_error(logits * training["temperature"], truth),
            "ece": expected_calibration_error(logits, truth),
        },
        "training": training,
        "measured_on": describe_machine(),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    title = f"{folder.name}: {len(truth)} clips of speakers never heard, % of each row"
    figure = plot_confusion(np.array(report["confusion_matrix"]), classifier.labels, title)
    figure.savefig(folder / "confusion_matrix.png", dpi=110)
    (folder / "README.md").write_text(fill_card(report))
    return report


def predict_rows(classifier: EmotionClassifier, rows) -> np.ndarray:
    """Compute the logits of every row, [clips, classes]; batches hold clips of about one length."""
    order = np.argsort(rows["duration"])
    logits = np.empty((len(rows), len(classifier.labels)), np.float32)
    for start in tqdm(range(0, len(rows), BATCH_SIZE), desc="measuring", unit="batch"):
        batch = order[start : start + BATCH_SIZE]
        logits[batch] = classifier.logits([read_clip(rows[int(index)]) for index in batch])
    return logits


def measure(logits: np.ndarray, truth: np.ndarray, rows, labels: list[str]) -> dict:
    """Score logits overall, per class, per speaker, and per corpus with speech and song apart.

    Args:
        logits: shape [clips, classes].
        truth: class indices, shape [clips].
        rows: the clips, for their `corpus`, `channel` and `speaker`.
        labels: class names.
    """
    predictions = logits.argmax(axis=1)
    speakers = np.array(rows["speaker"])
    groups = np.array(
        [f"{corpus} {channel}" for corpus, channel in zip(rows["corpus"], rows["channel"], strict=True)]
    )
    per_class = classification_report(
        truth, predictions, labels=range(len(labels)), target_names=labels, output_dict=True, zero_division=0
    )
    return {
        "labels": labels,
        "clips": len(truth),
        "speakers": sorted(set(speakers.tolist())),
        "overall": _score(predictions, truth),
        "groups": {
            str(group): {
                "clips": int((groups == group).sum()),
                "speakers": len(set(speakers[groups == group])),
                **_score(predictions[groups == group], truth[groups == group]),
            }
            for group in np.unique(groups)
        },
        "by_speaker": {
            str(speaker): _score(predictions[speakers == speaker], truth[speakers == speaker])
            for speaker in np.unique(speakers)
        },
        "per_class": {label: per_class[label] for label in labels},
        "confusion_matrix": confusion_matrix(truth, predictions, labels=range(len(labels))).tolist(),
    }  # fmt: skip


def describe_machine() -> dict:
    """Say what ran: processor, accelerator, package versions, date (UTC)."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
    }


def fill_card(report: dict) -> str:
    """Fill the model card's template from a report."""
    groups = {"all": {"clips": report["clips"], "speakers": len(report["speakers"]), **report["overall"]}}
    groups |= report["groups"]
    score_rows = [
        f"| {name} | {own['speakers']} | {own['clips']} | {_percent(own)} |" for name, own in groups.items()
    ]
    majority = report["majority_class"]
    score_rows.append(f'| always "{majority["label"]}" | | {report["clips"]} | {_percent(majority)} |')
    class_rows = [
        f"| {label} | {own['support']:.0f} | "
        f"{own['precision']:.1%} | {own['recall']:.1%} | {own['f1-score']:.1%} |"
        for label, own in report["per_class"].items()
    ]
    distillation = report["training"]["distillation"]
    commands = [distillation["command"]] if distillation else []
    commands.append(report["training"]["command"])
    return Template(CARD_TEMPLATE.read_text()).substitute(
        model=report["model"],
        architecture=report["architecture"],
        parameters=f"{report['parameters'] / 1e6:.1f} million",
        labels=", ".join(report["labels"]),
        scores="\n".join(score_rows),
        classes="\n".join(class_rows),
        ece=f"{report['calibration']['ece']:.3f}",
        ece_before=f"{report['calibration']['ece_before']:.3f}",
        temperature=f"{report['calibration']['temperature']:.2f}",
        commands="\n".join(commands),
        trained_on=report["training"]["data"],
        seed=report["training"]["seed"],
        split=report["split"],
        machine=f"{report['measured_on']['processor']}, {report['measured_on']['cores']} cores",
        date=report["measured_on"]["date"],
    )


def print_report(report: dict) -> None:
    """Print accuracy, UAR and macro-F1 beside the majority-class line."""
    groups = {"all": report["overall"]} | report["groups"]
    groups[f"always {report['majority_class']['label']!r}"] = report["majority_class"]
    print(f"{report['split']} split, {len(report['speakers'])} speakers never heard, {report['clips']} clips")
    print(f"{'':22}{'accuracy':>10}{'UAR':>10}{'macro-F1':>10}")
    for name, own in groups.items():
        print(f"{name:22}{own['accuracy']:10.1%}{own['uar']:10.1%}{own['macro_f1']:10.1%}")


def _score(predictions: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return EmotionMetric(keep_in_memory=True).compute(predictions=predictions, references=truth)


def _percent(score: dict[str, float]) -> str:
    return f"{score['accuracy']:.1%} | {score['uar']:.1%} | {score['macro_f1']:.1%}"


def main() -> None:
    """Measure a finished folder again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="model folder with its report.json")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    args = parser.parse_args()
    training = json.loads((args.folder / "report.json").read_text())["training"]
    print_report(evaluate_folder(args.folder, open_dataset(args.data), training))


if __name__ == "__main__":
    main()
