import numpy as np
import pytest
import torch
from conftest import make_head, make_wav2vec2

from speech_emotion.audio.decoding import AudioError
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.recording import Block
from speech_emotion.inference.reference import Reference, ReferenceHead, gelu
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.models.folder import ModelError


@pytest.fixture
def head() -> ReferenceHead:
    return make_head(width=6, classes=3)


def test_a_head_is_read_as_it_was_written(head, tmp_path):
    assert ReferenceHead.load(tmp_path) is None
    head.save(tmp_path, {"command": "as it was run"})
    again = ReferenceHead.load(tmp_path)
    assert (again.share, again.temperature, again.threshold) == (0.5, 2.0, 0.6)
    assert (again.plain_from, again.own_temperature) == (0.0, 1.0)
    own, pooled = np.eye(3, dtype=np.float32), np.arange(18, dtype=np.float32).reshape(3, 6)
    np.testing.assert_array_equal(again.logits(own, pooled, np.ones(6)), head.logits(own, pooled, np.ones(6)))


def test_the_answer_is_a_mixture_of_head_and_classifier(head):
    own, pooled = np.zeros((1, 3), np.float32), np.ones((1, 6), np.float32)
    halved = head.logits(own, pooled, np.zeros(6))
    head.share, head.temperature = 1.0, 1.0
    np.testing.assert_allclose(4 * halved, head.logits(own, pooled, np.zeros(6)), rtol=1e-5)
    head.share, head.own_temperature = 0.0, 2.0  # undone: the share was chosen on logits before it
    np.testing.assert_array_equal(head.logits(own + 3, pooled, np.zeros(6)), own + 6)
    head.own_temperature = 1.0
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
    return make_wav2vec2(tmp_path / "model", ["angry", "happy", "neutral"])


@pytest.fixture
def voices(monkeypatch) -> list[np.ndarray]:
    """Three sounds that count as an utterance each."""
    for module in ("classifier", "timeline"):
        monkeypatch.setattr(
            f"speech_emotion.inference.{module}.find_utterances",
            lambda blocks, *_: [Block(audio, [0.0], [audio]) for audio in blocks],
        )
    rng = np.random.default_rng(1)
    return [rng.normal(size=16_000).astype(np.float32) for _ in range(3)]


def test_a_reference_changes_the_answer_and_none_leaves_it_bit_for_bit(head, speaking_folder, voices):
    before = EmotionClassifier.from_pretrained(speaking_folder).classify_segments(voices)
    head.save(speaking_folder, {})
    classifier = EmotionClassifier.from_pretrained(speaking_folder)
    np.testing.assert_array_equal(classifier.classify_segments(voices), before)
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


def test_a_prediction_is_sure_by_the_heads_own_threshold(head, speaking_folder, voices):
    head.threshold = 0.0
    head.save(speaking_folder, {})
    classifier = EmotionClassifier.from_pretrained(speaking_folder)
    classifier.report["threshold"] = 1.1
    assert not classifier.predict(voices[0]).sure
    reference = classifier.enroll(voices[1:])
    prediction = classifier.predict(voices[0], reference=reference)
    assert prediction.sure
    expected = classifier.classify_segments(voices[:1], reference)[0]
    np.testing.assert_allclose(list(prediction.probabilities.values()), expected)


@pytest.fixture
def conversation(voices, monkeypatch) -> np.ndarray:
    """A recording in which each of the voices is an utterance."""
    whole = np.concatenate(voices)
    monkeypatch.setattr(
        "speech_emotion.inference.timeline.find_utterances",
        lambda *_: [Block(whole, [0.0, 1.0, 2.0], voices)],
    )
    return whole


def test_with_self_the_other_utterances_of_a_recording_are_the_reference_of_each(
    head, speaking_folder, voices, conversation
):
    head.save(speaking_folder, {})
    classifier = EmotionClassifier.from_pretrained(speaking_folder)
    plain, compared = iter_timeline(classifier, conversation, reference="self")
    assert (plain.with_reference, compared.with_reference) == (False, True)
    for number, segment in enumerate(compared.segments):
        others = classifier.enroll([voice for each, voice in enumerate(voices) if each != number])
        [expected] = classifier.classify_segments([voices[number]], others)
        np.testing.assert_allclose(list(segment.probabilities.values()), expected, atol=1e-5)
        assert (segment.start, segment.end) == (number, number + 1)


def test_with_self_a_single_utterance_has_no_reference(head, speaking_folder, voices):
    head.save(speaking_folder, {})
    classifier = EmotionClassifier.from_pretrained(speaking_folder)
    [timeline] = iter_timeline(classifier, voices[0], reference="self")
    assert not timeline.with_reference
    [alone] = iter_timeline(classifier, voices[0])
    assert timeline.segments == alone.segments


def test_references_join_as_if_they_were_made_at_once(head, speaking_folder, voices):
    head.save(speaking_folder, {})
    classifier = EmotionClassifier.from_pretrained(speaking_folder)
    joined = classifier.enroll(voices[:2]).join(classifier.enroll(voices[2:]))
    whole = classifier.enroll(voices)
    np.testing.assert_allclose(joined.vector, whole.vector, rtol=1e-5)
    assert (joined.clips, joined.seconds) == (whole.clips, whole.seconds)


@pytest.mark.parametrize("reference", ["self", Reference(np.zeros(6, np.float32), 1, 1.0)])
def test_a_reference_without_a_head_or_of_another_model_is_refused(speaking_folder, head, voices, reference):
    with pytest.raises(ModelError, match="no reference head"):
        EmotionClassifier.from_pretrained(speaking_folder).predict(voices[0], reference=reference)
    head.save(speaking_folder, {})
    with pytest.raises(ModelError, match="made with another model"):
        EmotionClassifier.from_pretrained(speaking_folder).predict(
            voices[0], reference=Reference(np.zeros(7, np.float32), 1, 1.0)
        )


def test_with_self_the_network_hears_each_utterance_once(head, speaking_folder, conversation, monkeypatch):
    head.save(speaking_folder, {})
    classifier = EmotionClassifier.from_pretrained(speaking_folder)
    heard, cut = [], classifier._cut
    monkeypatch.setattr(classifier, "_cut", lambda clips: heard.extend(clips) or cut(clips))
    [*_, timeline] = iter_timeline(classifier, conversation, reference="self")
    assert len(heard) == len(timeline.segments) == 3
