import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from speech_emotion.audio.decoding import AudioError
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.recording import Block
from speech_emotion.inference.reference import Reference, ReferenceHead, gelu
from speech_emotion.models.folder import ModelError


@pytest.fixture
def head() -> ReferenceHead:
    rng = np.random.default_rng(0)
    weights = {
        "mean": rng.normal(size=6),
        "scale": rng.uniform(1, 2, 6),
        "hidden.weight": rng.normal(size=(5, 12)),
        "hidden.bias": rng.normal(size=5),
        "output.weight": rng.normal(size=(3, 5)),
        "output.bias": rng.normal(size=3),
    }
    weights = {name: values.astype(np.float32) for name, values in weights.items()}
    return ReferenceHead(weights, share=0.5, temperature=2.0, threshold=0.6)


def test_a_head_is_read_as_it_was_written(head, tmp_path):
    assert ReferenceHead.load(tmp_path) is None
    head.save(tmp_path, {"command": "as it was run"})
    again = ReferenceHead.load(tmp_path)
    assert (again.share, again.temperature, again.threshold) == (0.5, 2.0, 0.6)
    own, pooled = np.eye(3, dtype=np.float32), np.arange(18, dtype=np.float32).reshape(3, 6)
    np.testing.assert_array_equal(again.logits(own, pooled, np.ones(6)), head.logits(own, pooled, np.ones(6)))


def test_the_answer_is_a_mixture_of_head_and_classifier(head):
    own, pooled = np.zeros((1, 3), np.float32), np.ones((1, 6), np.float32)
    halved = head.logits(own, pooled, np.zeros(6))
    head.share, head.temperature = 1.0, 1.0
    np.testing.assert_allclose(4 * halved, head.logits(own, pooled, np.zeros(6)), rtol=1e-5)
    head.share = 0.0
    np.testing.assert_array_equal(head.logits(own + 3, pooled, np.zeros(6)), own + 3)
    torch.testing.assert_close(
        torch.from_numpy(gelu(np.linspace(-3, 3, 7))),
        torch.nn.functional.gelu(torch.linspace(-3, 3, 7).double()),
    )


def test_a_reference_is_kept_in_a_small_file_without_sound(tmp_path):
    reference = Reference(np.arange(768, dtype=np.float32), 3, 4.5)
    reference.save(tmp_path / "me.npz")
    assert (tmp_path / "me.npz").stat().st_size < 10_000
    again = Reference.load(tmp_path / "me.npz")
    np.testing.assert_array_equal(again.vector, reference.vector)
    assert (again.clips, again.seconds) == (3, 4.5)
    (tmp_path / "letter.npz").write_text("not a reference")
    with pytest.raises(ValueError, match="no reference of a speaker"):
        Reference.load(tmp_path / "letter.npz")


@pytest.fixture
def speaking_folder(tmp_path):
    config = Wav2Vec2Config(
        hidden_size=6, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, do_stable_layer_norm=True,
        feat_extract_norm="layer", conv_dim=(8, 8), conv_kernel=(400, 3), conv_stride=(160, 2),
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, num_labels=3,
        id2label={0: "angry", 1: "happy", 2: "neutral"}, label2id={"angry": 0, "happy": 1, "neutral": 2},
    )  # fmt: skip
    Wav2Vec2ForSequenceClassification(config).save_pretrained(tmp_path / "model")
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_reference_changes_the_answer_and_none_leaves_it_bit_for_bit(head, speaking_folder, monkeypatch):
    rng = np.random.default_rng(1)
    voices = [rng.normal(size=16_000).astype(np.float32) for _ in range(3)]
    before = EmotionClassifier.from_pretrained(speaking_folder).classify_segments(voices)
    head.save(speaking_folder, {})
    classifier = EmotionClassifier.from_pretrained(speaking_folder)
    np.testing.assert_array_equal(classifier.classify_segments(voices), before)
    monkeypatch.setattr(
        "speech_emotion.inference.classifier.find_utterances",
        lambda blocks, *_: [Block(audio, [0.0], [audio]) for audio in blocks],
    )
    reference = classifier.enroll(voices[:2])
    assert (reference.clips, reference.seconds) == (2, 2.0)
    np.testing.assert_allclose(
        reference.vector, classifier.pooled_states(voices[:2]).mean(axis=0), rtol=1e-5, atol=1e-6
    )
    after = classifier.classify_segments(voices, reference)
    assert not np.allclose(after, before)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    [segment] = classifier.answer_segments([0.0], voices[:1], reference)
    assert segment.sure == (max(segment.probabilities.values()) >= head.threshold)


def test_a_model_without_a_head_and_a_reference_without_a_voice_are_refused(speaking_folder, head):
    with pytest.raises(ModelError, match="no reference head"):
        EmotionClassifier.from_pretrained(speaking_folder).enroll([np.zeros(16_000, np.float32)])
    head.save(speaking_folder, {})
    classifier = EmotionClassifier.from_pretrained(speaking_folder)
    with pytest.raises(AudioError, match="at least one"):
        classifier.enroll([])
    with pytest.raises(AudioError, match="Nobody speaks"):
        classifier.enroll([np.zeros(16_000, np.float32)])
