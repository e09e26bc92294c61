import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForAudioClassification,
    HubertConfig,
    HubertForSequenceClassification,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
)

from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.models.loading import extract, new_classifier
from speech_emotion.training import feature_cache
from speech_emotion.training.feature_cache import (
    AS_IT_LIES,
    TRIMMED,
    CachedDataset,
    FeatureCache,
    PoolingLayer,
    UpperCNN,
    UpperEncoder,
    collate_cached,
    constant_positions,
    make_view,
)
from speech_emotion.training.inputs import seeded


@pytest.fixture(params=["wav2vec2", "cnn", "cnn-mfcc"])
def classifier(request, encoder_folder, small_dataset) -> EmotionClassifier:
    labels = open_dataset(str(small_dataset))["train"].features["emotion"].names
    name = encoder_folder if request.param == "wav2vec2" else request.param
    model, extractor, _ = new_classifier(name, labels)
    return EmotionClassifier(model, extractor)


VIEWS = [AS_IT_LIES, TRIMMED, "augmented-1"]


def keep(classifier, rows, folder, views=(AS_IT_LIES, "augmented-1")):
    whole = classifier.model
    upper = UpperCNN(whole) if whole.config.model_type.endswith("cnn") else UpperEncoder(whole, 1)
    cache = FeatureCache(upper, classifier.engine.extractor, 5.0, folder)
    cache.add(rows, views)
    return cache


def test_upper_layers_on_cached_states_compute_the_whole_models_logits(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    cache = keep(classifier, rows, tmp_path)
    clips = CachedDataset(cache, rows, [AS_IT_LIES])
    batch = collate_cached([clips[index] for index in range(len(clips))])
    assert batch.pop("labels").tolist() == rows["emotion"][:]
    with torch.inference_mode():
        logits = cache.upper.eval()(**batch).logits
    whole = classifier.logits([read_clip(row) for row in rows])
    assert torch.allclose(logits, torch.from_numpy(whole), atol=2e-3)


def test_a_checkpoint_of_upper_layers_can_be_saved_as_safetensors(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    upper = keep(classifier, rows, tmp_path).upper
    save_file(upper.state_dict(), tmp_path / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors").keys() == upper.state_dict().keys()


def test_views_differ_and_are_the_same_each_time(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    one, two = (keep(classifier, rows, tmp_path / name, VIEWS) for name in ("one", "two"))
    for sha256 in rows["sha256"]:
        for view in VIEWS:
            np.testing.assert_array_equal(one.get(sha256, view), two.get(sha256, view))
    shapes = {view: [one.get(sha256, view).shape for sha256 in rows["sha256"]] for view in VIEWS}
    assert shapes[AS_IT_LIES] != shapes["augmented-1"]


def test_a_view_is_trimmed_cropped_and_never_shorter_than_a_fifth_of_a_second():
    beep = np.sin(np.arange(1600, dtype=np.float32))
    clip = np.concatenate([np.zeros(16_000, np.float32), beep, np.zeros(16_000, np.float32)])
    assert make_view(clip, AS_IT_LIES, "00", seconds=1.5).size == 24_000
    trimmed = make_view(clip, TRIMMED, "00", seconds=1.5)
    assert trimmed.size == 3_200
    assert np.count_nonzero(trimmed) <= 1600
    with pytest.raises(ValueError, match="no view 'louder'"):
        make_view(clip, "louder", "00", seconds=1.5)


def test_a_run_computes_what_no_other_has_and_leaves_their_files_alone(classifier, small_dataset, tmp_path):
    dataset = open_dataset(str(small_dataset))
    sha256 = dataset["train"]["sha256"][0]
    first = keep(classifier, dataset["train"], tmp_path, [AS_IT_LIES])
    before, files = first.get(sha256, AS_IT_LIES), set(first.folder.iterdir())
    (first.folder / ".cut-off").write_bytes(b"of a run that was killed")
    again = keep(classifier, dataset["train"], tmp_path, [AS_IT_LIES])
    assert set(again.folder.iterdir()) == files | {first.folder / ".cut-off"}  # nothing was computed
    again.add(dataset["validation"], [AS_IT_LIES, "augmented-1"])
    np.testing.assert_array_equal(again.get(sha256, AS_IT_LIES), before)
    first.add(dataset["validation"], [AS_IT_LIES])  # finds what the other run computed
    assert first.pieces.keys() == again.pieces.keys()
    assert np.isfinite(again.get(dataset["validation"]["sha256"][-1], "augmented-1")).all()


def test_two_runs_at_once_do_not_spoil_each_others_states(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    upper = keep(classifier, rows, tmp_path / "alone", [AS_IT_LIES])
    caches = [FeatureCache(upper.upper, upper.extractor, 5.0, tmp_path / "shared") for _ in range(2)]
    for cache in caches:  # both began before either had written anything
        cache.add(rows, [AS_IT_LIES])
    for sha256 in rows["sha256"]:
        for cache in caches:
            np.testing.assert_array_equal(cache.get(sha256, AS_IT_LIES), upper.get(sha256, AS_IT_LIES))


def test_another_encoder_or_extractor_has_states_of_its_own(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    first = keep(classifier, rows, tmp_path)
    classifier.engine.extractor.do_normalize = not classifier.engine.extractor.do_normalize
    unscaled = FeatureCache(first.upper, classifier.engine.extractor, 5.0, tmp_path)
    assert unscaled.folder != first.folder
    classifier.engine.extractor.do_normalize = not classifier.engine.extractor.do_normalize
    with torch.no_grad():
        if classifier.model.config.model_type == "wav2vec2":
            classifier.model.wav2vec2.feature_projection.projection.bias += 1.0
        else:
            classifier.model.mel.mel_scale.fb[:, 0] += 1.0
    moved = keep(classifier, rows, tmp_path)
    assert first.folder != moved.folder
    sha256 = rows["sha256"][0]
    assert not np.allclose(first.get(sha256, AS_IT_LIES), moved.get(sha256, AS_IT_LIES))


def test_another_precision_or_version_has_states_of_its_own(classifier, small_dataset, tmp_path, monkeypatch):
    rows, extractor = open_dataset(str(small_dataset))["train"], classifier.engine.extractor
    upper = keep(classifier, rows, tmp_path, []).upper
    folders = [FeatureCache(upper, extractor, 5.0, tmp_path, bf16).folder for bf16 in (False, True)]
    monkeypatch.setattr(feature_cache, "version", lambda package: "of another day")
    folders.append(FeatureCache(upper, extractor, 5.0, tmp_path).folder)
    assert len(set(folders)) == 3


def test_a_step_learns_from_frames_drawn_at_random_and_in_their_order(classifier, small_dataset, tmp_path):
    rows = open_dataset(str(small_dataset))["train"]
    cache = keep(classifier, rows, tmp_path, [AS_IT_LIES])
    clips = CachedDataset(cache, rows, [AS_IT_LIES], frames=7)
    with seeded(1):
        drawn = clips[0]["states"]
    with seeded(1):
        assert torch.equal(clips[0]["states"], drawn)
    assert drawn.shape == (7, cache.upper.width)
    whole = torch.from_numpy(cache.get(rows["sha256"][0], AS_IT_LIES).astype(np.float32))
    places = [int((whole == frame).all(1).nonzero()[0, 0]) for frame in drawn]
    assert places == sorted(places)
    many = CachedDataset(cache, rows, [AS_IT_LIES], frames=10_000)[0]["states"]
    assert len(many) == 10_000  # a short clip's frames are drawn more than once


def test_the_positional_convolution_is_replaced_only_where_it_reads_no_sound(encoder_folder):
    model, _, _ = new_classifier(encoder_folder, ["happy", "sad"])
    convolution = model.wav2vec2.encoder.pos_conv_embed
    projection = model.wav2vec2.feature_projection.projection

    def replaced() -> torch.nn.Module | None:
        model._position_table = None
        with torch.no_grad(), constant_positions(model, 16_000):
            found = model.wav2vec2.encoder.pos_conv_embed
        assert model.wav2vec2.encoder.pos_conv_embed is convolution
        return None if found is convolution else found

    with torch.no_grad():
        projection.weight.normal_()
        projection.bias.normal_()
        convolution.conv.parametrizations.weight.original1.normal_()
        convolution.conv.parametrizations.weight.original0.fill_(10.0)
        assert replaced() is None
        projection.weight.zero_()  # every frame is the same, whatever the sound
        assert replaced() is None  # but the kernel sees where a clip ends
        future = convolution.conv.kernel_size[0] // 2
        convolution.conv.parametrizations.weight.original0[..., future + 1 :] = 0.0
        table = replaced()
        assert table is not None
        hidden = projection.bias.expand(1, 9, -1)
        torch.testing.assert_close(table(hidden), convolution(hidden))


# The state of a small, untrained encoder disturbs the scores more than that of a real one.
@pytest.mark.parametrize(("speech_units", "tolerance"), [(None, 0.05), ([62, 63], 0.1)])
def test_a_pooling_layer_written_into_a_stock_model_computes_the_same_logits(
    speech_units, tolerance, small_dataset, tmp_path, monkeypatch
):
    rows = open_dataset(str(small_dataset))["train"]
    config = Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=80,
        do_stable_layer_norm=True,
        feat_extract_norm="layer",
        conv_dim=(16,) * 3,
        conv_kernel=(10, 8, 4),
        conv_stride=(5, 8, 8),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        num_labels=8,
        speech_units=speech_units,
    )
    torch.manual_seed(0)
    model = Wav2Vec2ForSequenceClassification(config).eval()
    measuring = model.wav2vec2.encoder.layers[-1].feed_forward
    with torch.no_grad():  # as after `distill.py`: loud units, some unused, the network writes nothing
        measuring.intermediate_dense.weight.normal_()
        measuring.intermediate_dense.weight[64:] = 0.0
        measuring.output_dense.weight.zero_()
        measuring.output_dense.bias.zero_()
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    monkeypatch.setattr(PoolingLayer, "HIDDEN", 48)
    upper = PoolingLayer(model).eval()
    assert upper.width == 32 + 64
    with torch.no_grad():
        for parameter in upper.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    cache = FeatureCache(upper, extractor, 5.0, tmp_path)
    cache.add(rows, [AS_IT_LIES])
    clips = CachedDataset(cache, rows, [AS_IT_LIES])
    batch = collate_cached([clips[index] for index in range(len(clips))])
    batch.pop("labels")
    with torch.inference_mode():
        expected = upper(**batch).logits
    upper.write_back()
    model.save_pretrained(tmp_path / "model")
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path / "model")
    inputs = extract(extractor, [read_clip(row) for row in rows])  # padded to the longest
    with torch.inference_mode():
        found = loaded(**inputs).logits
    assert expected.std() > 0.3
    assert (found - expected).abs().max() < tolerance
    # Only what the layer wrote has changed: the cache of the finished model is the same.
    assert FeatureCache(PoolingLayer(loaded), extractor, 5.0, tmp_path).folder == cache.folder
    with pytest.raises(ValueError, match="normalise first, not this hubert"):
        PoolingLayer(HubertForSequenceClassification(HubertConfig(num_hidden_layers=1, hidden_size=48)))


def test_a_model_without_upper_layers_to_train_is_refused_in_a_sentence(encoder_folder, cnn_folder):
    with pytest.raises(ValueError, match="7 frozen layers: the encoder has 1"):
        UpperEncoder(new_classifier(encoder_folder, ["happy", "sad"])[0], 7)
    with pytest.raises(ValueError, match="not of this spectrogram"):
        UpperEncoder(EmotionClassifier.from_pretrained(cnn_folder).model, 1)
