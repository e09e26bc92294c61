"""What a speaker's own voice beside a clip is worth, and what can go wrong: the same clips in every row.

    python benchmarks/reference.py outputs/folds outputs/left_out --output benchmarks/results/reference.json

For each model folder (`train.py --pooling_layer --validate false`) a head is trained on its training speakers
and tested on its test speakers, whom neither has heard; it stays in the folder, for `reference_calls.py`. How
much the head counts beside the classifier, the temperature and threshold of answers with a reference, and
what sounds too strong for a reference are chosen on the corpora left out. A reference is never the clip
itself. "In noise" means the cache's first augmented view: another microphone, noise, echo, a telephone.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import recall_score, roc_auc_score
from transformers import PreTrainedModel

from speech_emotion.atomic import atomic_write
from speech_emotion.dataset import open_dataset
from speech_emotion.evaluation.calibration import fit_temperature
from speech_emotion.evaluation.predict import PREDICTIONS
from speech_emotion.inference.reference import ReferenceHead
from speech_emotion.labels import PLAIN
from speech_emotion.machine import describe_machine
from speech_emotion.training.feature_cache import AUGMENTED, VOICE
from speech_emotion.training.reference import (
    TRAINING_VIEWS,
    PooledCache,
    Vectors,
    draw_reference,
    read_vectors,
    train_head,
    training_rows,
)

SHARES = (0.3, 0.5, 0.7)
TARGET_ACCURACY = 0.70  # of sure answers with a reference on corpora left out
ASKED_AGAIN = 0.10  # share of plain sentences that may be taken for strong ones
FALSE_ALARM = 0.02  # share of a speaker's own references that may be taken for somebody else's
VOICE_AXES = 64  # along which speakers differ most
LEAST_CLIPS = 4  # of a speaker by whom they are found
NOISY = f"{AUGMENTED}1"
NONE, NONE_NOISY = "none", "none, clip in noise"
SEED = 0


class Clips(NamedTuple):
    """Clips and whose they are.

    Attributes:
        vectors: of them.
        emotions: names of their labels, shape [clips].
        corpora: likewise.
        languages: likewise.
        genders: likewise; "" where unknown.
    """

    vectors: Vectors
    emotions: np.ndarray
    corpora: np.ndarray
    languages: np.ndarray
    genders: np.ndarray


class Condition(NamedTuple):
    """What a reference is made of.

    Attributes:
        choose: returns the clips' indices among the test speakers' clips, or the training speakers'.
        count: clips of the reference.
        plain_share: of them that are plain; None: as they come.
        noisy_clip: whether the clip that is classified is in noise.
        noisy_reference: whether the reference is.
    """

    choose: Callable[[Clips, Clips, int], np.ndarray]
    count: int
    plain_share: float | None
    noisy_clip: bool = False
    noisy_reference: bool = False


def own(test: Clips, _: Clips, index: int) -> np.ndarray:
    """Choose the speaker's other clips."""
    speakers = test.vectors.speakers
    others = np.flatnonzero(speakers == speakers[index])
    return others[others != index]


def own_angry(test: Clips, training: Clips, index: int) -> np.ndarray:
    """Choose the speaker's other angry clips."""
    others = own(test, training, index)
    return others[test.emotions[others] == "angry"]


def same_sex(test: Clips, _: Clips, index: int) -> np.ndarray:
    """Choose plain clips of the corpus's other speakers of this sex."""
    return others_like(test, index, test.genders == test.genders[index])


def other_sex(test: Clips, _: Clips, index: int) -> np.ndarray:
    """Choose plain clips of the corpus's speakers of the other sex."""
    return others_like(test, index, test.genders != test.genders[index])


def others_like(test: Clips, index: int, fits: np.ndarray) -> np.ndarray:
    """Choose plain clips of the corpus's other speakers who fit."""
    speakers, genders = test.vectors.speakers, test.genders
    fits = fits & (genders != "") & (genders[index] != "") & (test.corpora == test.corpora[index])
    return np.flatnonzero(fits & (speakers != speakers[index]) & test.vectors.plain)


def other_language(test: Clips, training: Clips, index: int) -> np.ndarray:
    """Choose plain clips of training speakers of this sex and of another language."""
    fits = (training.genders == test.genders[index]) & (training.genders != "")
    return np.flatnonzero(fits & (training.languages != test.languages[index]) & training.vectors.plain)


CONDITIONS = {
    "1 plain": Condition(own, 1, 1.0),
    "3 plain": Condition(own, 3, 1.0),
    "6 plain": Condition(own, 6, 1.0),
    "20 of a call, 70 % plain": Condition(own, 20, 0.7),
    "20 of a call, half plain": Condition(own, 20, 0.5),
    "all clips": Condition(own, 10_000, None),
    "1 angry": Condition(own_angry, 1, None),
    "3 angry": Condition(own_angry, 3, None),
    "3 plain in noise": Condition(own, 3, 1.0, noisy_reference=True),
    "3 plain, clip in noise": Condition(own, 3, 1.0, noisy_clip=True),
    "3 plain in noise, clip in noise": Condition(own, 3, 1.0, noisy_clip=True, noisy_reference=True),
    "somebody else, same sex": Condition(same_sex, 3, None),
    "somebody else, other sex": Condition(other_sex, 3, None),
    "somebody else, another language": Condition(other_language, 3, None),
}
STRANGERS = tuple(name for name in CONDITIONS if name.startswith("somebody else"))


def predict(folder: Path, data: str, cache_dir: Path) -> dict:
    """Train the head of a model folder, and answer its test clips in every condition."""
    cached = PooledCache(folder, cache_dir)
    rows, labels = training_rows(folder, data)
    training = read_clips(cached, rows, TRAINING_VIEWS)
    weights = train_head(training.vectors, len(labels))
    with np.load(folder / PREDICTIONS) as kept:
        known = dict(zip(kept["sha256"].tolist(), kept["voice"], strict=True))
    splits = open_dataset(data)
    everything = concatenate_datasets([splits[name] for name in ("train", "validation", "test")])
    wanted = [index for index, sha256 in enumerate(everything["sha256"][:]) if sha256 in known]
    rows = cached.cache.select(everything.select(wanted), [VOICE])
    quiet, noisy = read_clips(cached, rows, [VOICE]), cached.get(rows["sha256"][:], [NOISY])
    answers = {NONE: np.stack([known[sha256] for sha256 in rows["sha256"]])}
    answers[NONE_NOISY] = answer_noisy(cached.model, noisy, answers[NONE])
    head = ReferenceHead(weights, share=1.0, temperature=1.0, threshold=0.0)
    return {
        "folder": folder,
        "weights": weights,
        "own": answers,
        **answer_beside(head, quiet, noisy, training, answers),
        "labels": quiet.vectors.labels,
        "corpora": quiet.corpora,
        "names": labels,
    }


def read_clips(cached: PooledCache, rows: Dataset, views: Sequence[str]) -> Clips:
    """Return the vectors of labelled rows; those without any are left out."""
    rows = cached.cache.select(rows, views)
    vectors = read_vectors(cached, rows, views)
    emotions = np.array(rows.features["emotion"].names)[vectors.labels]
    columns = [np.array([each or "" for each in rows[name]]) for name in ("corpus", "language", "gender")]
    return Clips(vectors, emotions, *columns)


def answer_noisy(model: PreTrainedModel, noisy: list[np.ndarray], quiet: np.ndarray) -> np.ndarray:
    """Return a model's own logits for the noisy views of clips; NaN where there is none."""
    logits = np.full(quiet.shape, np.nan, np.float32)
    there = np.array([len(views) > 0 for views in noisy])
    if there.any():
        logits[there] = read_logits(model, np.stack([views[0] for views in noisy if len(views)]))
    return logits


@torch.no_grad()
def read_logits(model: PreTrainedModel, pooled: np.ndarray) -> np.ndarray:
    """Compute a model's logits from what its last layer pools, as `PoolingLayer.write_back` left it.

    Args:
        model: the classifier.
        pooled: shape [clips, width].

    Returns:
        float32, shape [clips, classes]. The frame to which the model adds what it pools counts for little; it
        is left out here, and so is the constant in it that `out_proj`'s bias takes away again.
    """
    encoder, layer = model.base_model.encoder, model.base_model.encoder.layers[-1]
    hidden = torch.nn.functional.linear(torch.from_numpy(pooled), layer.attention.out_proj.weight)
    hidden = hidden + layer.feed_forward(layer.final_layer_norm(hidden))
    return model.classifier(model.projector(encoder.layer_norm(hidden))).numpy()


def answer_beside(
    head: ReferenceHead, quiet: Clips, noisy: list[np.ndarray], training: Clips, own_logits: dict
) -> dict[str, dict[str, np.ndarray]]:
    """Answer clips in every condition.

    Args:
        head: that answers alone.
        quiet: the test speakers' clips.
        noisy: the vector of each clip in noise, shape [1, width], or [0, width] where there is none.
        training: the training speakers' clips.
        own_logits: the classifier's own, without and in noise.

    Returns:
        `head`, logits by condition, and `apart`, how far the reference is from the clip, shape [clips]; NaN
        where there is no reference.
    """
    rng = np.random.default_rng(SEED)
    pooled = np.concatenate(quiet.vectors.clips)
    pooled_noisy = np.stack([views[0] if len(views) else np.full_like(pooled[0], np.nan) for views in noisy])
    sources = {False: quiet.vectors, True: quiet.vectors._replace(clips=noisy)}
    audible = np.array([len(views) > 0 for views in noisy])
    axes = find_voice_axes(training.vectors)
    logits, apart = {}, {}
    for name, condition in CONDITIONS.items():
        strange = condition.choose is other_language
        vectors = training.vectors if strange else sources[condition.noisy_reference]
        references = np.full_like(pooled, np.nan)
        for index in range(len(pooled)):
            chosen = condition.choose(quiet, training, index)
            if condition.noisy_reference:
                chosen = chosen[audible[chosen]]
            if name in STRANGERS and chosen.size:  # one of them
                chosen = chosen[vectors.speakers[chosen] == vectors.speakers[rng.choice(chosen)]]
            drawn = draw_reference(vectors, chosen, condition.count, condition.plain_share, rng)
            if drawn is not None:
                references[index] = drawn
        clips = pooled_noisy if condition.noisy_clip else pooled
        logits[name] = head.logits(own_logits[base_of(name)], clips, references)
        apart[name] = 1 - cosines(axes(clips), axes(references))
    return {"head": logits, "apart": apart}


def base_of(condition: str) -> str:
    """Return the condition without a reference that a condition is to be compared with."""
    return NONE_NOISY if condition == NONE_NOISY or CONDITIONS[condition].noisy_clip else NONE


def find_voice_axes(vectors: Vectors) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that projects vectors to where the training speakers differ most."""
    _, numbers, counts = np.unique(vectors.speakers, return_inverse=True, return_counts=True)
    kept = counts[numbers] >= LEAST_CLIPS
    clips = np.stack([views[0] for views, own in zip(vectors.clips, kept, strict=True) if own])
    count = min(VOICE_AXES, int((counts >= LEAST_CLIPS).sum()) - 1, clips.shape[1])
    axes = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1, n_components=count)
    axes.fit(clips, numbers[kept])
    mean, scalings = clips.mean(0), axes.scalings_[:, :count]
    return lambda each: (each - mean) @ scalings


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cosine between each two rows."""
    return (one * other).sum(1) / np.maximum(
        np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1), 1e-9
    )


def mix(own: np.ndarray, head: np.ndarray, share: float) -> np.ndarray:
    """Return the logits of an answer; without a reference, those of the classifier alone."""
    return np.where(np.isnan(head), own, share * head + (1 - share) * own)


def answer(run: dict, condition: str, share: float) -> np.ndarray:
    """Return the logits of a run's clips in a condition."""
    if condition in run["own"]:
        return run["own"][condition]
    return mix(run["own"][base_of(condition)], run["head"][condition], share)


def uar(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the unweighted average recall, 0..1, of the clips with an answer; None where there is none."""
    there = ~np.isnan(logits).any(1)
    if not there.any():
        return None
    labels = labels[there]
    found = logits[there].argmax(1)
    return float(recall_score(labels, found, average=None, labels=np.unique(labels)).mean())


def by_corpus(runs: list[dict], share: float) -> dict[str, dict[str, float]]:
    """Return each corpus's UAR in every condition, all clips of all its runs together."""
    table = {}
    for corpus in sorted({str(name) for run in runs for name in run["corpora"]}):
        mine = [run["corpora"] == corpus for run in runs]
        labels = np.concatenate([run["labels"][each] for run, each in zip(runs, mine, strict=True)])
        table[corpus] = {"clips": len(labels)}
        for condition in (NONE, NONE_NOISY, *CONDITIONS):
            parts = [answer(run, condition, share)[each] for run, each in zip(runs, mine, strict=True)]
            table[corpus][condition] = uar(np.concatenate(parts), labels)
    return table


def choose_settings(runs: list[dict]) -> dict[str, float]:
    """Choose the head's share, its temperature and its thresholds on corpora left out."""

    def mean_uar(share: float) -> float:
        return float(np.mean([own["3 plain"] for own in by_corpus(runs, share).values()]))

    share = max(SHARES, key=mean_uar)
    parts = [(answer(run, "3 plain", share), run["labels"]) for run in runs]
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
    plain, _ = plainness(runs)
    return {
        "share": share,
        "temperature": temperature,
        "threshold": threshold,
        "plain_from": float(np.quantile(plain, ASKED_AGAIN).round(3)),
    }


def plainness(runs: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Return how probable the classifier alone finds it that plain clips, and angry ones, are plain.

    One temperature, fitted on these clips, makes probabilities of logits.
    """
    logits = np.concatenate([run["own"][NONE] for run in runs])
    labels = np.concatenate([run["labels"] for run in runs])
    names = np.array(runs[0]["names"])
    plain = softmax(logits / fit_temperature(logits, labels), axis=1)[:, np.isin(names, PLAIN)].sum(1)
    return plain[np.isin(names[labels], PLAIN)], plain[names[labels] == "angry"]


def measure_asking(runs: list[dict], plain_from: float) -> dict[str, float]:
    """Measure how often a person is asked for another sentence: after a plain one, and after an angry one."""
    plain, angry = plainness(runs)
    return {
        "plain_clips": len(plain),
        "asked_after_plain": float((plain < plain_from).mean()),
        "angry_clips": len(angry),
        "asked_after_angry": float((angry < plain_from).mean()),
    }


def measure_voices(runs: list[dict], limit: float | None = None) -> dict:
    """Measure how well the distance between clip and reference tells one voice from two.

    Args:
        runs: the runs.
        limit: from which distance on a reference is taken for somebody else's; None: chosen on these runs.

    Returns:
        `limit`; `false_alarms`, the share of the speaker's own references beyond it; and for each condition
        of `STRANGERS` `found`, the share beyond it, and `auc`, the area under the curve.
    """

    def distances(condition: str) -> np.ndarray:
        every = np.concatenate([run["apart"][condition] for run in runs])
        return every[~np.isnan(every)]

    same = distances("3 plain")
    limit = float(np.quantile(same, 1 - FALSE_ALARM)) if limit is None else limit
    figures = {"limit": limit, "false_alarms": float((same > limit).mean())}
    for condition in STRANGERS:
        other = distances(condition)
        if other.size:
            truth = np.repeat([0, 1], [same.size, other.size])
            figures[condition] = {
                "found": float((other > limit).mean()),
                "auc": float(roc_auc_score(truth, np.concatenate([same, other]))),
            }
    return figures


def make_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of the model folders that a benchmark of references takes, and of the dataset."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folds", type=Path, help="folder of the folds' model folders")
    parser.add_argument("left_out", type=Path, help="folder of model folders that left corpora out")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    return parser


def main() -> None:
    """Train, measure, write."""
    parser = make_parser(__doc__)
    parser.add_argument("--cache_dir", type=Path, default=Path("outputs/cache"), help="as of train.py")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    args = parser.parse_args()
    runs = {}
    for kind in ("left_out", "folds"):
        folders = sorted(file.parent for file in getattr(args, kind).glob(f"*/{PREDICTIONS}"))
        runs[kind] = []
        for folder in folders:
            runs[kind].append(predict(folder, args.data, args.cache_dir))
            found = by_corpus(runs[kind][-1:], 0.5)
            print(folder, {name: own["3 plain"] - own[NONE] for name, own in found.items()}, flush=True)
    about = {"command": shlex.join(["python", *sys.orig_argv[1:]]), "measured_on": describe_machine()}
    report = summarise(runs) | about
    for run in (*runs["left_out"], *runs["folds"]):
        ReferenceHead(run["weights"], **report["settings"]).save(run["folder"], about)
    atomic_write(args.output, json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def summarise(runs: dict[str, list[dict]]) -> dict:
    """Return the settings, chosen on `left_out`, and the figures of `left_out` and `folds`."""
    settings = choose_settings(runs["left_out"])
    limit = measure_voices(runs["left_out"])["limit"]
    report = {"settings": settings}
    for kind, own in runs.items():
        report[kind] = by_corpus(own, settings["share"])
        report[f"{kind}_head_alone"] = by_corpus(own, 1.0)
    report["asking"] = {kind: measure_asking(own, settings["plain_from"]) for kind, own in runs.items()}
    report["voices"] = {kind: measure_voices(own, limit) for kind, own in runs.items()}
    return report


if __name__ == "__main__":
    main()
