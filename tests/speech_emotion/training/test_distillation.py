import pytest
import torch

from speech_emotion.dataset import open_dataset
from speech_emotion.models.loading import new_classifier
from speech_emotion.training.distillation import DistillationHead, DistillationTargets
from speech_emotion.training.feature_cache import (
    AS_IT_LIES,
    CachedDataset,
    FeatureCache,
    UpperCNN,
    UpperEncoder,
    collate_cached,
)
from speech_emotion.training.trainer import make_loss


@pytest.fixture
def rows(small_dataset):
    return open_dataset(str(small_dataset))["train"]


@pytest.fixture
def encoder_targets(encoder_folder, rows, tmp_path, monkeypatch) -> DistillationTargets:
    monkeypatch.setattr(DistillationTargets, "WIDTH", 6)
    encoder, extractor, _ = new_classifier(encoder_folder, ["happy", "sad"])
    states = FeatureCache(UpperEncoder(encoder, 1), extractor, 5.0, tmp_path / "encoder")
    states.add(rows, [AS_IT_LIES])
    return DistillationTargets(states, rows, stride=16)


@pytest.fixture
def batch(rows, encoder_targets, tmp_path) -> tuple[DistillationHead, dict]:
    model, extractor, _ = new_classifier("cnn", rows.features["emotion"].names)
    head = DistillationHead(model, encoder_targets.width, weight=2.0).eval()
    states = FeatureCache(head, extractor, 5.0, tmp_path / "cnn")
    states.add(rows, [AS_IT_LIES, "augmented-1"])
    clips = CachedDataset(states, rows, [AS_IT_LIES, "augmented-1"], targets=encoder_targets.get)
    return head, collate_cached([clips[index] for index in range(len(clips))])


def test_targets_are_uncorrelated_components_of_even_size(encoder_targets, rows):
    targets = torch.cat([encoder_targets.components[sha256] for sha256 in rows["sha256"]], dim=1)
    assert torch.allclose(targets.mean(1), torch.zeros(6), atol=1e-3)
    assert targets.square().mean().item() == pytest.approx(1.0, abs=1e-2)
    correlation = torch.corrcoef(targets)
    assert torch.allclose(correlation, torch.eye(6), atol=1e-2)


def test_targets_are_stretched_to_the_view(encoder_targets, rows):
    [sha256, *_] = rows["sha256"]
    assert [len(encoder_targets.get(sha256, frames)) for frames in (16, 17, 160)] == [1, 2, 10]
    torch.testing.assert_close(encoder_targets.get(sha256, 9)[0], encoder_targets.components[sha256].mean(1))


def test_the_head_gives_the_cnns_logits_and_each_clips_error(batch):
    head, inputs = batch
    labels = inputs.pop("labels")
    with torch.inference_mode():
        distilled = head(**inputs)
        targets = inputs.pop("targets")
        plain = UpperCNN(head.model)(**inputs)
        perfect = head(**inputs, targets=torch.zeros_like(targets))
    torch.testing.assert_close(distilled.logits, plain.logits)
    assert plain.loss is None
    assert distilled.loss.shape == labels.shape
    assert (distilled.loss > 0).all()
    assert not torch.allclose(distilled.loss, perfect.loss)
    difference = make_loss(0.0)(distilled, labels) - make_loss(0.0)(plain, labels)
    assert difference.item() == pytest.approx(distilled.loss.mean().item(), abs=1e-5)


def test_a_clips_error_does_not_depend_on_its_batch(batch):
    head, inputs = batch
    inputs.pop("labels")
    alone = {name: values[:1] for name, values in inputs.items()}
    frames = int(alone["attention_mask"].sum())
    alone = {
        name: values[:, : -(-frames // head.model.stride) if name == "targets" else frames]
        for name, values in alone.items()
    }
    with torch.inference_mode():
        torch.testing.assert_close(head(**alone).loss[0], head(**inputs).loss[0], atol=1e-4, rtol=1e-4)
