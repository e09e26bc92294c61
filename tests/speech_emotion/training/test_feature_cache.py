import pytest
import torch
from safetensors.torch import load_file, save_file

from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.models.loading import new_classifier
from speech_emotion.training.feature_cache import (
    CachedDataset,
    FeatureCache,
    UpperCNN,
    UpperEncoder,
    collate_cached,
)


@pytest.fixture(params=["wav2vec2", "cnn", "cnn-mfcc"])
def classifier(request, encoder_folder, small_dataset) -> EmotionClassifier:
    labels = open_dataset(str(small_dataset))["train"].features["emotion"].names
    name = encoder_folder if request.param == "wav2vec2" else request.param
    model, extractor, _ = new_classifier(name, labels)
    return EmotionClassifier(model, extractor)


def keep(classifier, rows, folder, copies=1):
    whole = classifier.model
    tail = UpperCNN(whole) if whole.config.model_type.endswith("cnn") else UpperEncoder(whole, 1)
    states = FeatureCache(tail, classifier.engine.extractor, 5.0, folder, batch_size=3)
    states.add(rows, copies)
    return states


def test_the_tail_on_kept_states_gives_the_whole_models_logits(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    states = keep(classifier, rows, tmp_path)
    clips = CachedDataset(states, rows, copies=0)
    batch = collate_cached([clips[index] for index in range(len(clips))])
    assert batch.pop("labels").tolist() == rows["emotion"][:]
    with torch.inference_mode():
        logits = states.upper.eval()(**batch).logits
    whole = classifier.logits([read_clip(row) for row in rows])
    assert torch.allclose(logits, torch.from_numpy(whole), atol=2e-3)


def test_what_a_checkpoint_keeps_of_a_tail_can_be_saved_as_safetensors(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    tail = keep(classifier, rows, tmp_path, copies=0).upper
    save_file(tail.state_dict(), tmp_path / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors").keys() == tail.state_dict().keys()


def test_copies_differ_from_the_clip_and_are_the_same_each_time(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    one, two = keep(classifier, rows, tmp_path / "one"), keep(classifier, rows, tmp_path / "two")
    sha256s = rows["sha256"][:]
    assert any(not torch.equal(one.get(sha, 0), one.get(sha, 1)) for sha in sha256s)
    assert all(torch.equal(one.get(sha, 1), two.get(sha, 1)) for sha in sha256s)


def test_the_file_grows_by_what_it_lacks_and_goes_on_after_an_interruption(
    classifier, small_dataset, tmp_path
):
    dataset = open_dataset(str(small_dataset))
    sha256 = dataset["train"]["sha256"][0]
    states = keep(classifier, dataset["train"], tmp_path, copies=0)
    before = states.get(sha256, 0)
    with states.file.open("ab") as file:
        file.write(b"cut off here")
    size = states.file.stat().st_size
    again = keep(classifier, dataset["train"], tmp_path, copies=0)
    assert again.file.stat().st_size == size  # nothing was computed
    again.add(dataset["validation"], copies=1)
    assert set(again.pieces) > set(states.pieces)
    assert torch.equal(again.get(sha256, 0), before)
    assert torch.isfinite(again.get(dataset["validation"]["sha256"][-1], 1)).all()


def test_another_encoder_has_states_of_its_own(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    first = keep(classifier, rows, tmp_path)
    with torch.no_grad():
        if classifier.model.config.model_type == "wav2vec2":
            classifier.model.wav2vec2.feature_projection.projection.bias += 1.0
        else:
            classifier.model.mel.mel_scale.fb[:, 0] += 1.0
    moved = keep(classifier, rows, tmp_path)
    assert first.file != moved.file
    assert not torch.allclose(first.get(rows["sha256"][0], 0), moved.get(rows["sha256"][0], 0))


def test_what_has_no_tail_is_refused_in_a_sentence(encoder_folder, cnn_folder):
    with pytest.raises(ValueError, match="7 frozen layers: the encoder has 1"):
        UpperEncoder(new_classifier(encoder_folder, ["happy", "sad"])[0], 7)
    with pytest.raises(ValueError, match="not of this spectrogram"):
        UpperEncoder(EmotionClassifier.from_pretrained(cnn_folder).model, 1)
