"""Changes to a model before its first step: frozen layers, a linear probe, low-rank adapters."""

import re

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import PreTrainedModel

from speech_emotion.training.errors import ArgumentsError

# What the projections of attention are called: in wav2vec2 and its relatives, AST, wav2vec2-bert.
ATTENTION = {
    *("q_proj", "k_proj", "v_proj", "out_proj", "o_proj"),
    *("linear_q", "linear_k", "linear_v", "linear_out"),
}
FUSED = ("wavlm",)  # model types whose attention bypasses its projections, so additions have no effect
PROBE_CLIPS = 5000  # that the probe is fitted on at most
PROBE_C = 0.01  # inverse regularisation of the linear probe, chosen on validation speakers


def freeze(model: PreTrainedModel, layers: int, device: str) -> None:
    """Keep a front end and the first transformer layers as they are; the front end also stays in float32.

    bf16 blurs what a front end hears, and float32 without a backward pass costs little.
    """
    for name, parameter in model.named_parameters():
        layer = re.search(r"\blayers\.(\d+)\.", name)
        above = (
            int(layer[1]) >= layers if layer else re.search(r"^(projector|classifier|layer_weights)", name)
        )
        parameter.requires_grad = bool(above)
    if hasattr(model, "freeze_feature_encoder"):
        model.freeze_feature_encoder()  # else it asks for gradients all the same
        front_end = model.base_model.feature_extractor
        front_end.forward = torch.autocast(device, enabled=False)(front_end.forward)


def draw_probe_clips(
    clips: torch.utils.data.Dataset, weights: np.ndarray | None, seed: int
) -> tuple[torch.utils.data.Dataset, np.ndarray | None]:
    """Draw the clips for a linear probe where there are more than it needs.

    Returns:
        The clips, and their weights: of a draw by weight, all count alike.
    """
    if len(clips) <= PROBE_CLIPS:
        return clips, weights
    shares = None if weights is None else weights / weights.sum()
    drawn = np.random.default_rng(seed).choice(len(clips), PROBE_CLIPS, replace=False, p=shares)
    return torch.utils.data.Subset(clips, drawn.tolist()), None


@torch.no_grad()
def fit_linear_probe(
    model: PreTrainedModel, trained: nn.Module, clips: DataLoader, weights: np.ndarray | None
) -> set[nn.Parameter]:
    """Fit the head to the encoder as it is, before both are tuned (LP-FT, https://arxiv.org/abs/2202.10054).

    A head that starts at random first drags the encoder away from what it knows. The head of transformers'
    audio classifiers is linear throughout (projector, mean over time, classifier), so a projector to as many
    channels as classes is logistic regression, and the classifier starts as the identity.

    Args:
        model: the classifier whose head is replaced.
        trained: what computes its logits from the clips: itself, or its upper layers.
        clips: the training clips as they are.
        weights: of the clips; None: all alike.

    Returns:
        The head's parameters.

    Raises:
        ArgumentsError: the classifier's head is not linear throughout.
    """
    if not isinstance(getattr(model, "projector", None), nn.Linear):
        raise ArgumentsError(
            f"--linear_probe needs a head of projector, mean and classifier: {type(model).__name__} has none."
        )
    width, classes, device = model.projector.in_features, model.config.num_labels, model.device
    trained.projector = trained.classifier = nn.Identity()  # so that its logits are the pooled states
    trained.eval()
    pooled, targets = [], []
    for batch in tqdm(clips, desc="linear probe", unit="batch"):
        targets.append(batch.pop("labels"))
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        pooled.append(trained(**batch).logits.float().cpu())
    scaler = StandardScaler().fit(features := torch.cat(pooled).numpy())
    probe = LogisticRegression(C=PROBE_C, max_iter=500)
    probe.fit(scaler.transform(features), torch.cat(targets).numpy(), sample_weight=weights)
    coefficients, intercepts = probe.coef_, probe.intercept_
    if len(probe.classes_) == 2:  # scikit-learn gives the second class's logit alone
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        intercepts = np.r_[-intercepts, intercepts] / 2

    model.config.classifier_proj_size = classes
    model.projector = trained.projector = nn.Linear(width, classes, device=device)
    model.classifier = trained.classifier = nn.Linear(classes, classes, device=device)
    weight, bias = model.projector.weight, model.projector.bias
    weight[:], bias[:] = 0.0, -10.0  # so that a class without a clip in training is never chosen
    weight[probe.classes_] = torch.tensor(coefficients / scaler.scale_).to(weight)
    bias[probe.classes_] = torch.tensor(intercepts - coefficients @ (scaler.mean_ / scaler.scale_)).to(bias)
    nn.init.eye_(model.classifier.weight)
    nn.init.zeros_(model.classifier.bias)
    return {*model.projector.parameters(), *model.classifier.parameters()}


def add_lora(model: PreTrainedModel, rank: int) -> nn.Module:
    """Wrap a classifier so that only low-rank additions to its attention, and its head, are trained.

    Raises:
        ArgumentsError: peft is not installed, or no attention is found in the model.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ArgumentsError(
            "--lora_rank needs peft: pip install 'speech-emotion-recognition[train]'."
        ) from error
    linear = {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    attention = sorted(linear & ATTENTION)
    if not attention or model.config.model_type in FUSED:
        raise ArgumentsError(f"--lora_rank finds no attention to add to in {type(model).__name__}.")
    adapters = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=attention,
        modules_to_save=[name for name in ("projector", "classifier") if hasattr(model, name)],
    )
    return get_peft_model(model, adapters)
