"""Which clips sound alike by their eGeMAPS features: a map, and the figures that back it."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE
from sklearn.metrics import recall_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NEIGHBOURS = 10
PERPLEXITY = 30
FEWEST = 50  # clips of a corpus that is scored


class Neighbours(NamedTuple):
    """Recall of the ten nearest neighbours' vote, averaged over corpora; 0 to 1.

    Attributes:
        corpora: those scored.
        labels: the emotions scored: those of at least two of these corpora.
        corpus: of the corpus, when the neighbours are other speakers.
        emotion: of the emotion (recall averaged over emotions first), when the neighbours are other speakers.
        emotion_elsewhere: the same, when the neighbours are from other corpora.
        chance: of the emotion by guessing.
    """

    corpora: list[str]
    labels: list[str]
    corpus: float
    emotion: float
    emotion_elsewhere: float
    chance: float


def place_clips(features: np.ndarray) -> np.ndarray:
    """Place clips on a plane by t-SNE of their standardised features.

    Args:
        features: shape [clips, features], at least four clips.

    Returns:
        Shape [clips, 2].
    """
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, random_state=0).fit_transform(StandardScaler().fit_transform(features))


def score_neighbours(features: np.ndarray, clips: pd.DataFrame) -> Neighbours | None:
    """Measure how well a clip's nearest neighbours tell its corpus, and how well its emotion.

    Args:
        features: shape [clips, features].
        clips: their `corpus`, `speaker` and `emotion`.

    Returns:
        The figures; None where fewer than two corpora have 50 clips, two speakers and an emotion in common.
    """
    corpora = clips.groupby("corpus").agg(size=("speaker", "size"), speakers=("speaker", "nunique"))
    scored = clips["corpus"].isin(corpora.index[(corpora["size"] >= FEWEST) & (corpora["speakers"] >= 2)])
    spread = clips[scored].groupby("emotion", observed=True)["corpus"].nunique()
    scored &= clips["emotion"].isin(spread.index[spread >= 2])
    features, clips = features[scored], clips[scored]
    if clips["corpus"].nunique() < 2:
        return None

    def vote(target: str, apart: str) -> np.ndarray:
        model = make_pipeline(StandardScaler(), KNeighborsClassifier(NEIGHBOURS))
        truth, groups = clips[target].astype(str), clips[apart]
        return cross_val_predict(model, features, truth, groups=groups, cv=LeaveOneGroupOut())

    def recall_within_corpora(predictions: np.ndarray) -> float:
        own = clips.assign(said=predictions).astype({"emotion": str}).groupby("corpus")
        return float(np.mean([_recall(group["emotion"], group["said"]) for _, group in own]))

    return Neighbours(
        corpora=sorted(clips["corpus"].unique()),
        labels=sorted(clips["emotion"].astype(str).unique()),
        corpus=_recall(clips["corpus"], vote("corpus", apart="speaker")),
        emotion=recall_within_corpora(vote("emotion", apart="speaker")),
        emotion_elsewhere=recall_within_corpora(vote("emotion", apart="corpus")),
        chance=float((1 / clips.groupby("corpus")["emotion"].nunique()).mean()),
    )


def _recall(truth, predictions) -> float:
    return float(recall_score(truth, predictions, labels=np.unique(truth), average="macro"))
