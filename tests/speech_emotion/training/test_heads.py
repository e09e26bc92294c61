import pytest
import torch
from torch.utils.data import DataLoader
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    AutoModelForAudioClassification,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    WavLMConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
)

from speech_emotion.models.loading import extract, new_classifier
from speech_emotion.training.errors import ArgumentsError
from speech_emotion.training.heads import add_lora, fit_linear_probe

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONFIGS = {
    "wav2vec2-bert": Wav2Vec2BertConfig(**TINY, feature_projection_input_dim=160),
    "AST": ASTConfig(**TINY, max_length=1024, frequency_stride=32, time_stride=32),
    "Whisper": WhisperConfig(
        d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=16,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32, max_source_positions=250,
    ),
}  # fmt: skip
EXTRACTORS = {
    "wav2vec2-bert": SeamlessM4TFeatureExtractor(),
    "AST": ASTFeatureExtractor(),
    "Whisper": WhisperFeatureExtractor(feature_size=16, chunk_length=5),
}


def make(name):
    return AutoModelForAudioClassification.from_config(CONFIGS[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_low_rank_additions_are_made_to_the_attention_of_every_architecture(name):
    model = add_lora(make(name), 2)
    trained = {each for each, parameter in model.named_parameters() if parameter.requires_grad}
    additions = {each for each in trained if "lora_" in each}
    assert len(additions) == 2 * 4 * 2  # two layers, four projections, two matrices
    assert trained - additions == {each for each in trained if "classifier" in each or "projector" in each}
    assert any("classifier" in each for each in trained)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_architecture_learns_through_its_low_rank_additions(name):
    model = add_lora(make(name), 2).eval()  # in training a layer may be dropped at random
    inputs = extract(EXTRACTORS[name], [torch.randn(16_000).numpy() for _ in range(2)])
    model(**inputs).logits.square().sum().backward()
    moved = [
        name for name, each in model.named_parameters() if "lora_B" in name and each.grad.abs().sum() > 0
    ]
    assert len(moved) == 8


def test_a_model_without_attention_gets_no_low_rank_additions():
    model, _, _ = new_classifier("cnn", ["happy", "sad"], {"widths": [8, 8]})
    with pytest.raises(ArgumentsError, match="finds no attention to add to in SpectrogramCNN"):
        add_lora(model, 2)


def test_additions_that_would_have_no_effect_are_refused():
    model = AutoModelForAudioClassification.from_config(
        WavLMConfig(**TINY, conv_dim=(16,), conv_kernel=(80,), conv_stride=(40,))
    )
    with pytest.raises(ArgumentsError, match="finds no attention to add to in WavLM"):
        add_lora(model, 2)


def test_a_linear_probe_of_a_head_without_projector_is_refused_in_a_sentence():
    model = make("AST")
    clips = DataLoader(
        [extract(ASTFeatureExtractor(), [torch.randn(16_000).numpy()])], collate_fn=lambda _: _
    )
    with pytest.raises(ArgumentsError, match=r"--linear_probe needs a head of projector.*ASTForAudio"):
        fit_linear_probe(model, model, clips, None)
