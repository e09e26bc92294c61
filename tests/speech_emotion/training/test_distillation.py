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
def teacher(encoder_folder, rows, tmp_path, monkeypatch) -> DistillationTargets:
    monkeypatch.setattr(DistillationTargets, "WIDTH", 6)
    encoder, extractor, _ = new_classifier(encoder_folder, ["happy", "sad"])
    states = FeatureCache(UpperEncoder(encoder, 1), extractor, 5.0, tmp_path / "teacher")
    states.add(rows, [AS_IT_LIES])
    return DistillationTargets(states, rows, stride=16)


@pytest.fixture
def batch(rows, teacher, tmp_path) -> tuple[DistillationHead, dict]:
    model, extractor, _ = new_classifier("cnn", rows.features["emotion"].names)
    tail = DistillationHead(model, teacher.width, weight=2.0).eval()
    states = FeatureCache(tail, extractor, 5.0, tmp_path / "cnn")
    states.add(rows, [AS_IT_LIES, "augmented-1"])
    clips = CachedDataset(states, rows, [AS_IT_LIES, "augmented-1"], teach=teacher.get)
    return tail, collate_cached([clips[index] for index in range(len(clips))])


def test_lessons_are_uncorrelated_components_of_even_size(teacher, rows):
    lessons = torch.cat([teacher.components[sha256] for sha256 in rows["sha256"]], dim=1)
    assert torch.allclose(lessons.mean(1), torch.zeros(6), atol=1e-3)
    assert lessons.square().mean().item() == pytest.approx(1.0, abs=1e-2)
    correlation = torch.corrcoef(lessons)
    assert torch.allclose(correlation, torch.eye(6), atol=1e-2)


def test_lessons_are_stretched_to_the_copy(teacher, rows):
    [sha256, *_] = rows["sha256"]
    assert [len(teacher.get(sha256, frames)) for frames in (16, 17, 160)] == [1, 2, 10]
    torch.testing.assert_close(teacher.get(sha256, 9)[0], teacher.components[sha256].mean(1))


def test_a_taught_tail_gives_the_cnns_logits_and_each_clips_distance_from_its_lessons(batch):
    tail, inputs = batch
    labels = inputs.pop("labels")
    with torch.inference_mode():
        taught = tail(**inputs)
        lessons = inputs.pop("lessons")
        untaught = UpperCNN(tail.model)(**inputs)
        perfect = tail(**inputs, lessons=torch.zeros_like(lessons))
    torch.testing.assert_close(taught.logits, untaught.logits)
    assert untaught.loss is None
    assert taught.loss.shape == labels.shape
    assert (taught.loss > 0).all()
    assert not torch.allclose(taught.loss, perfect.loss)
    difference = make_loss(0.0)(taught, labels) - make_loss(0.0)(untaught, labels)
    assert difference.item() == pytest.approx(taught.loss.mean().item(), abs=1e-5)


def test_a_clips_distance_does_not_depend_on_its_batch(batch):
    tail, inputs = batch
    inputs.pop("labels")
    alone = {name: values[:1] for name, values in inputs.items()}
    frames = int(alone["attention_mask"].sum())
    alone = {
        name: values[:, : -(-frames // tail.model.stride) if name == "lessons" else frames]
        for name, values in alone.items()
    }
    with torch.inference_mode():
        torch.testing.assert_close(tail(**alone).loss[0], tail(**inputs).loss[0], atol=1e-4, rtol=1e-4)
