"""Train the head that answers a clip together with how its speaker normally sounds.

    python -m speech_emotion.training.reference models/wav2vec2 --data data/emotion

It learns on the cached vectors that the classifier's own head was trained on (`train.py --pooling_layer`),
from the same speakers, and is written into the model folder. The classifier stays as it is. References are
drawn as people will give them: 1 to 32 other clips of the speaker, all plain, mostly, half, or as they come.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from torch import nn

from speech_emotion.dataset import open_dataset
from speech_emotion.inference.reference import SETTINGS, ReferenceHead
from speech_emotion.labels import PLAIN
from speech_emotion.machine import describe_machine
from speech_emotion.models.loading import load_classifier, new_classifier, window_seconds
from speech_emotion.training.augmentation import mix_up
from speech_emotion.training.feature_cache import AS_IT_LIES, AUGMENTED, VOICE, FeatureCache, PoolingLayer
from speech_emotion.training.sampling import balance

HIDDEN = 256
DROPOUT = 0.4
STEPS, BATCH = 1500, 128
LEARNING_RATE = 1e-3
MIXUP = 0.4
SMOOTHING = 0.1
MOST_CLIPS = 32  # of a reference
PLAIN_SHARES = (1.0, 0.8, 0.5, None)  # of a reference's clips that are plain; None: as the speaker has them
TRAINING_VIEWS = (VOICE, AS_IT_LIES, f"{AUGMENTED}1")


class Vectors(NamedTuple):
    """Cached vectors of clips.

    Attributes:
        clips: of each clip the vectors of its views, float32, shape [views, width].
        labels: class indices, shape [clips].
        plain: whether a clip is neutral or calm, shape [clips].
        speakers: whose clips they are, shape [clips].
        weights: how often each is drawn, shape [clips].
    """

    clips: list[np.ndarray]
    labels: np.ndarray
    plain: np.ndarray
    speakers: np.ndarray
    weights: np.ndarray


class PooledCache:
    """What a model's last layer pools of the clips in the cache that it was trained on.

    Args:
        folder: the model, with its report.
        cache_dir: as of `train.py`.
    """

    def __init__(self, folder: Path, cache_dir: Path):
        training = json.loads((folder / "report.json").read_text())["training"]
        self.model, _ = load_classifier(folder)
        labels = [self.model.config.id2label[index] for index in range(self.model.config.num_labels)]
        base, extractor, _ = new_classifier(training["base"], labels)
        self.cache = FeatureCache(
            PoolingLayer(base), extractor, window_seconds(base), cache_dir, training["bf16"]
        )

    def get(self, sha256s: Sequence[str], views: Sequence[str]) -> list[np.ndarray]:
        """Return what is pooled of each clip's views that the cache has: float32, shape [views, width]."""
        pieces = self.cache.pieces
        kept = [[view for view in views if (sha256, view) in pieces] for sha256 in sha256s]
        vectors = [
            self.cache.get(sha256, view) for sha256, own in zip(sha256s, kept, strict=True) for view in own
        ]
        vectors = torch.from_numpy(np.concatenate(vectors).astype(np.float32))
        pooled = self.cache.upper.read_pooled(self.model, vectors).numpy()
        return np.split(pooled, np.cumsum([len(own) for own in kept])[:-1])


def read_vectors(pooled: PooledCache, rows: Dataset, views: Sequence[str] = TRAINING_VIEWS) -> Vectors:
    """Return the vectors of rows; rows without any are left out.

    Args:
        pooled: of the model.
        rows: labelled rows of the dataset.
        views: names of views.
    """
    rows = pooled.cache.select(rows, views)
    names = np.array(rows.features["emotion"].names)
    labels = np.array(rows["emotion"][:])
    return Vectors(
        pooled.get(rows["sha256"][:], views),
        labels,
        np.isin(names[labels], PLAIN),
        np.array(rows["speaker"][:]),
        balance(rows),
    )


def draw_reference(
    vectors: Vectors, others: np.ndarray, count: int, plain_share: float | None, rng: np.random.Generator
) -> np.ndarray | None:
    """Return the mean vector of some clips, shape [width].

    Args:
        vectors: all clips.
        others: indices of a speaker's clips without the one that is to be classified.
        count: clips of the reference; there may be fewer.
        plain_share: of them that are plain; None: whatever comes.
        rng: draws.

    Returns:
        The mean; None where there is no such clip.
    """
    if plain_share is None:
        chosen = rng.permutation(others)[:count]
    else:
        plain, strong = others[vectors.plain[others]], others[~vectors.plain[others]]
        wanted = round(plain_share * count)
        chosen = np.concatenate([rng.permutation(plain)[:wanted], rng.permutation(strong)[: count - wanted]])
    if not chosen.size:
        return None
    return np.mean(
        [own[rng.integers(len(own))] for own in (vectors.clips[index] for index in chosen)], axis=0
    )


def train_head(vectors: Vectors, classes: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return the weights of a `ReferenceHead`."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    everything = np.concatenate(vectors.clips)
    mean, scale = everything.mean(0), everything.std(0) + 1e-4
    width = mean.size
    head = nn.Sequential(
        nn.Dropout(DROPOUT),
        nn.Linear(2 * width, HIDDEN),
        nn.GELU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, classes),
    )
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    members = {name: np.flatnonzero(vectors.speakers == name) for name in np.unique(vectors.speakers)}
    chances = vectors.weights / vectors.weights.sum()
    for _ in range(STEPS):
        inputs = np.zeros((BATCH, 2 * width), np.float32)
        picked = rng.choice(len(chances), BATCH, p=chances)
        for place, index in enumerate(picked):
            own = vectors.clips[index]
            clip = own[rng.integers(len(own))]
            others = members[vectors.speakers[index]]
            count = int(np.exp(rng.uniform(0, np.log(MOST_CLIPS + 1))))
            share = PLAIN_SHARES[rng.integers(len(PLAIN_SHARES))]
            reference = draw_reference(vectors, others[others != index], count, share, rng)
            inputs[place, :width] = (clip - mean) / scale
            if reference is not None:
                inputs[place, width:] = (clip - reference) / scale
        batch = {"states": torch.from_numpy(inputs), "labels": torch.from_numpy(vectors.labels[picked])}
        batch = mix_up(batch, classes, MIXUP)
        loss = loss_of(head(batch["states"]), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    hidden, output = head[1], head[4]
    return {
        "mean": mean,
        "scale": scale,
        "hidden.weight": hidden.weight.detach().numpy(),
        "hidden.bias": hidden.bias.detach().numpy(),
        "output.weight": output.weight.detach().numpy(),
        "output.bias": output.bias.detach().numpy(),
    }


def training_rows(folder: Path, data: str) -> tuple[Dataset, list[str]]:
    """Return the labelled rows of a model's training speakers, and the labels."""
    speakers = set(json.loads((folder / "report.json").read_text())["training"]["speakers"])
    splits = open_dataset(data)
    rows = concatenate_datasets([splits[name] for name in ("train", "validation", "test")])
    labels = rows.features["emotion"].names
    kept = [index for index, speaker in enumerate(rows["speaker"][:]) if speaker in speakers]
    return rows.select(kept), labels


def main() -> None:
    """Train the head of a model folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="model folder with its report.json")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--cache_dir", type=Path, default=Path("outputs/cache"), help="as of train.py")
    parser.add_argument(
        "--settings", type=Path, required=True, help="results of benchmarks/reference.py, which chose them"
    )
    args = parser.parse_args()
    chosen = json.loads(args.settings.read_text())["settings"]
    rows, labels = training_rows(args.folder, args.data)
    weights = train_head(read_vectors(PooledCache(args.folder, args.cache_dir), rows), len(labels))
    trained = json.loads((args.folder / "report.json").read_text())["training"]
    head = ReferenceHead(weights, **chosen, own_temperature=trained["temperature"] or 1.0)
    about = {"command": shlex.join(["python", *sys.orig_argv[1:]]), "measured_on": describe_machine()}
    head.save(args.folder, about)
    print(f"Saved to {args.folder / SETTINGS}")


if __name__ == "__main__":
    main()
