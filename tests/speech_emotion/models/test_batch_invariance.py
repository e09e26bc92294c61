"""A clip gets the same answer alone and in a batch with longer clips, whatever the architecture."""

import numpy as np
import pytest
import torch
from conftest import voice
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    AutoModelForAudioClassification,
    HubertConfig,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
)

from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.models.loading import last_linear, load_classifier, new_classifier
from speech_emotion.training.feature_cache import UpperEncoder
from speech_emotion.training.inputs import Collator

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
FRONT_END = {
    "conv_dim": (16, 16), "conv_kernel": (80, 8), "conv_stride": (40, 8),
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "mask_time_prob": 0.0,
}  # fmt: skip
GROUP = TINY | FRONT_END | {"feat_extract_norm": "group"}
LAYER = TINY | FRONT_END | {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
# As published with checkpoints that have a group norm: without a mask.
UNMASKED = Wav2Vec2FeatureExtractor(return_attention_mask=False)
MODELS = {
    "wav2vec2 with group norm": (Wav2Vec2Config(**GROUP), UNMASKED),
    "HuBERT with group norm": (HubertConfig(**GROUP), UNMASKED),
    "WavLM with group norm": (WavLMConfig(**GROUP), UNMASKED),
    "wav2vec2 with layer norm": (
        Wav2Vec2Config(**LAYER),
        Wav2Vec2FeatureExtractor(return_attention_mask=True),
    ),
    "wav2vec2-bert": (
        Wav2Vec2BertConfig(**TINY, feature_projection_input_dim=160, mask_time_prob=0.0),
        SeamlessM4TFeatureExtractor(),
    ),
    "AST": (ASTConfig(**TINY, max_length=1024, frequency_stride=32, time_stride=32), ASTFeatureExtractor()),
    "Whisper": (
        WhisperConfig(
            d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=16,
            decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32, max_source_positions=250,
        ),
        WhisperFeatureExtractor(feature_size=16, chunk_length=5),
    ),
}  # fmt: skip
CLIPS = [voice(seconds=0.7), voice(200, seconds=4.6, seed=1), voice(120, seconds=2.1, seed=2)]


@pytest.fixture(params=[*MODELS, "cnn", "cnn-mfcc"])
def classifier(request, tmp_path) -> EmotionClassifier:
    """A published classifier, loaded as it is served."""
    torch.manual_seed(0)
    if request.param in MODELS:
        config, extractor = MODELS[request.param]
        config.id2label = {0: "happy", 1: "neutral", 2: "sad"}
        model = AutoModelForAudioClassification.from_config(config)
    else:
        model, extractor, _ = new_classifier(request.param, ["happy", "neutral", "sad"])
        torch.nn.init.normal_(last_linear(model).weight)  # else an untrained CNN answers all clips alike
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    return EmotionClassifier(*load_classifier(tmp_path))


def test_serving_and_reports_give_a_clip_its_own_logits_in_any_batch(classifier):
    alone = np.concatenate([classifier.logits([clip]) for clip in CLIPS])
    assert np.ptp(alone, axis=0).max() > 1e-4  # these clips have different answers
    np.testing.assert_allclose(classifier.logits(CLIPS), alone, atol=1e-4)
    again = np.concatenate([classifier.logits([clip]) for clip in CLIPS])
    np.testing.assert_array_equal(again, alone)  # a batch leaves nothing behind


def test_training_batches_give_a_clip_its_own_logits(classifier):
    collate = Collator(classifier.extractor)
    batch = collate([{"audio": clip, "label": 0} for clip in CLIPS])
    batch.pop("labels")
    with torch.inference_mode():
        together = classifier.model(**batch).logits.numpy()
    alone = np.concatenate([classifier.logits([clip]) for clip in CLIPS])
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.fixture
def stock(tmp_path):
    """A pretrained wav2vec2 with group norm, as transformers itself loads it."""
    torch.manual_seed(0)
    config, extractor = MODELS["wav2vec2 with group norm"]
    model = AutoModelForAudioClassification.from_config(config).eval()
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    return tmp_path, model


def test_a_clip_alone_gets_the_logits_of_the_stock_model(stock):
    folder, model = stock
    ours, _, _ = new_classifier(str(folder), ["happy", "neutral", "sad"])
    samples = torch.from_numpy(CLIPS[0][None])
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(samples).logits, model(samples).logits)
    assert ours.state_dict().keys() == model.state_dict().keys()


def test_gradients_of_a_clip_do_not_depend_on_its_batch(stock):
    folder, _ = stock
    model, extractor, _ = new_classifier(str(folder), ["happy", "neutral", "sad"], {"layerdrop": 0.0})
    model.eval()  # without dropout
    weight = model.base_model.feature_extractor.conv_layers[0].conv.weight

    def gradient(clips):
        batch = Collator(extractor)([{"audio": clip, "label": 0} for clip in clips])
        batch.pop("labels")
        [found] = torch.autograd.grad(model(**batch).logits[0].square().sum(), weight)
        return found

    torch.testing.assert_close(gradient(CLIPS), gradient(CLIPS[:1]), atol=1e-5, rtol=1e-3)


def test_layers_of_an_encoder_with_group_norm_can_be_frozen_and_their_states_cached(stock):
    folder, _ = stock
    model, extractor, _ = new_classifier(str(folder), ["happy", "neutral", "sad"])
    upper = UpperEncoder(model.eval(), 1).eval()
    batch = Collator(extractor)([{"audio": clip, "label": 0} for clip in CLIPS])
    batch.pop("labels")
    lengths = upper.frames(batch["attention_mask"].sum(1))
    with torch.inference_mode():
        states = upper.compute(**batch)
        mask = torch.arange(states.shape[1]) < lengths[:, None]
        torch.testing.assert_close(upper(states, mask).logits, model(**batch).logits, atol=1e-5, rtol=1e-4)
