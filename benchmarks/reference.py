"""Measure the gain from a speaker's own voice as reference: the same clips with and without it.

    python benchmarks/reference.py outputs/folds outputs/left_out --output benchmarks/results/reference.json

For each model folder (`train.py --pooling_layer --validate false`) a head is trained on its training speakers
and tested on its test speakers, whom neither has heard. The corpora left out choose the weight of the head
against the classifier, and the temperature and threshold of answers with a reference. A reference is never
the clip itself: 1, 3 or 6 plain clips of the speaker, 20 clips of a call (70 % plain, or half), all others,
or 3 plain clips of somebody else.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

import numpy as np
from datasets import concatenate_datasets
from scipy.special import softmax
from sklearn.metrics import recall_score

from speech_emotion.atomic import atomic_write
from speech_emotion.dataset import open_dataset
from speech_emotion.evaluation.calibration import fit_temperature
from speech_emotion.evaluation.predict import PREDICTIONS
from speech_emotion.inference.reference import ReferenceHead
from speech_emotion.machine import describe_machine
from speech_emotion.training.feature_cache import VOICE
from speech_emotion.training.reference import (
    PooledCache,
    draw_reference,
    read_vectors,
    train_head,
    training_rows,
)

CONDITIONS = {  # clips of the reference and the share of plain ones
    "1 plain": (1, 1.0),
    "3 plain": (3, 1.0),
    "6 plain": (6, 1.0),
    "20 of a call, 70 % plain": (20, 0.7),
    "20 of a call, half plain": (20, 0.5),
    "all clips": (10_000, None),
}
SHARES = (0.3, 0.5, 0.7)
TARGET_ACCURACY = 0.70  # of sure answers with a reference on corpora left out
SEED = 0


def predict(folder: Path, data: str, cache_dir: Path) -> dict:
    """Train the head of a model folder, and return its test clips' logits in every condition."""
    cached = PooledCache(folder, cache_dir)
    rows, labels = training_rows(folder, data)
    weights = train_head(read_vectors(cached, rows), len(labels))
    with np.load(folder / PREDICTIONS) as kept:
        own = dict(zip(kept["sha256"].tolist(), kept["voice"], strict=True))
    splits = open_dataset(data)
    everything = concatenate_datasets([splits[name] for name in ("train", "validation", "test")])
    wanted = [index for index, sha256 in enumerate(everything["sha256"][:]) if sha256 in own]
    rows = cached.cache.select(everything.select(wanted), [VOICE])
    vectors = read_vectors(cached, rows, [VOICE])
    head = ReferenceHead(weights, share=1.0, temperature=1.0, threshold=0.0)
    pooled = np.concatenate(vectors.clips)
    base = np.stack([own[sha256] for sha256 in rows["sha256"]])
    members = {name: np.flatnonzero(vectors.speakers == name) for name in np.unique(vectors.speakers)}
    corpora, genders = np.array(rows["corpus"][:]), np.array([each or "" for each in rows["gender"]])
    rng = np.random.default_rng(SEED)
    logits = {"none": base}
    found = {}
    for name, (count, share) in CONDITIONS.items():
        references = [
            draw_reference(vectors, own_clips[own_clips != index], count, share, rng)
            for index, own_clips in enumerate(members[speaker] for speaker in vectors.speakers)
        ]
        there = np.array([reference is not None for reference in references])
        filled = np.stack([pooled[i] if each is None else each for i, each in enumerate(references)])
        logits[name] = np.where(there[:, None], head.logits(base, pooled, filled), np.nan)
        found[name] = there
    for name, same in (("somebody else, same sex", True), ("somebody else, other sex", False)):
        references = []
        for index, speaker in enumerate(vectors.speakers):
            alike = (genders == genders[index]) == same
            others = np.flatnonzero((corpora == corpora[index]) & (vectors.speakers != speaker) & alike)
            references.append(draw_reference(vectors, others, 3, 1.0, rng) if others.size else None)
        there = np.array([reference is not None for reference in references])
        filled = np.stack([pooled[i] if each is None else each for i, each in enumerate(references)])
        logits[name] = np.where(there[:, None], head.logits(base, pooled, filled), np.nan)
    return {"logits": logits, "labels": vectors.labels, "corpora": corpora, "names": labels}


def mix(own: np.ndarray, head: np.ndarray, share: float) -> np.ndarray:
    """Return the logits of an answer; without a reference, those of the classifier alone."""
    return np.where(np.isnan(head), own, share * head + (1 - share) * own)


def uar(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the unweighted average recall, 0..1."""
    return float(recall_score(labels, logits.argmax(1), average=None, labels=np.unique(labels)).mean())


def by_corpus(runs: list[dict], share: float) -> dict[str, dict[str, float]]:
    """Return each corpus's UAR in every condition, all clips of all its runs together."""
    table = {}
    for corpus in sorted({str(name) for run in runs for name in run["corpora"]}):
        table[corpus] = {"clips": int(sum((run["corpora"] == corpus).sum() for run in runs))}
        labels = np.concatenate([run["labels"][run["corpora"] == corpus] for run in runs])
        for condition in runs[0]["logits"]:
            logits = np.concatenate(
                [
                    mix(run["logits"]["none"], run["logits"][condition], share)[run["corpora"] == corpus]
                    for run in runs
                ]
            )
            table[corpus][condition] = uar(logits, labels)
    return table


def choose_settings(runs: list[dict]) -> dict[str, float]:
    """Choose the head's share, its temperature and its threshold on corpora left out."""

    def mean_uar(share: float) -> float:
        return float(np.mean([own["3 plain"] for own in by_corpus(runs, share).values()]))

    share = max(SHARES, key=mean_uar)
    parts = [(mix(run["logits"]["none"], run["logits"]["3 plain"], share), run["labels"]) for run in runs]
    rng = np.random.default_rng(SEED)
    drawn = [rng.permutation(len(labels))[:960] for _, labels in parts]
    logits = np.concatenate([part[0][picked] for part, picked in zip(parts, drawn, strict=True)])
    labels = np.concatenate([part[1][picked] for part, picked in zip(parts, drawn, strict=True)])
    temperature = fit_temperature(logits, labels)
    shares = softmax(logits / temperature, axis=1)
    right, threshold = shares.argmax(1) == labels, 1.0
    for candidate in np.arange(0.95, 0.2, -0.01):
        sure = shares.max(1) >= candidate
        if sure.any() and right[sure].mean() >= TARGET_ACCURACY:
            threshold = float(candidate.round(2))
    return {"share": share, "temperature": temperature, "threshold": threshold}


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folds", type=Path, help="folder of the folds' model folders")
    parser.add_argument("left_out", type=Path, help="folder of model folders that left corpora out")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--cache_dir", type=Path, default=Path("outputs/cache"), help="as of train.py")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    args = parser.parse_args()
    runs = {}
    for kind in ("left_out", "folds"):
        folders = sorted(file.parent for file in getattr(args, kind).glob(f"*/{PREDICTIONS}"))
        runs[kind] = []
        for folder in folders:
            runs[kind].append(predict(folder, args.data, args.cache_dir))
            print(
                folder,
                {name: own["3 plain"] - own["none"] for name, own in by_corpus(runs[kind][-1:], 0.5).items()},
            )
    settings = choose_settings(runs["left_out"])
    report = {"settings": settings}
    for kind, own in runs.items():
        report[kind] = by_corpus(own, settings["share"])
        report[f"{kind}_head_alone"] = by_corpus(own, 1.0)
    report |= {"command": shlex.join(["python", *sys.orig_argv[1:]]), "measured_on": describe_machine()}
    atomic_write(args.output, json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
