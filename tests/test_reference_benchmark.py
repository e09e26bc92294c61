"""What `benchmarks/reference.py` measures, on made-up clips whose answers are known."""

import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, make_wav2vec2

from speech_emotion.inference.prediction import Segment
from speech_emotion.inference.reference import ReferenceHead
from speech_emotion.models.loading import load_classifier
from speech_emotion.training.feature_cache import PoolingLayer
from speech_emotion.training.reference import Vectors

sys.path.insert(0, str(ROOT / "benchmarks"))
import reference
import reference_calls

EMOTIONS = ("angry", "neutral")
SPEAKERS, TAKES, WIDTH = 6, 8, 8


def make_clips(prefix: str, language: str, seed: int) -> reference.Clips:
    """Return clips of speakers who differ along all channels, and emotions that move the first one."""
    rng = np.random.default_rng(seed)
    voices = rng.normal(0, 5, (SPEAKERS, WIDTH))
    numbers = np.repeat(np.arange(SPEAKERS), 2 * TAKES)
    labels = np.tile([0, 1], SPEAKERS * TAKES)
    states = voices[numbers] + rng.normal(0, 0.3, (numbers.size, WIDTH))
    states[:, 0] += 4 * (labels == 0)
    vectors = Vectors(
        [each[None] for each in states.astype(np.float32)],
        labels,
        labels == 1,
        np.array([f"{prefix}-{number}" for number in numbers]),
        np.ones(numbers.size),
    )
    corpora, languages = np.full(numbers.size, "made up"), np.full(numbers.size, language)
    genders = np.where(numbers % 2, "female", "male")
    return reference.Clips(vectors, np.array(EMOTIONS)[labels], corpora, languages, genders)


@pytest.fixture(scope="module")
def run() -> dict:
    """Answers of a classifier that knows nothing and of a head that asks whether a clip is above its reference."""
    test, training = make_clips("test", "en", 0), make_clips("train", "it", 1)
    hidden = np.zeros((2, 2 * WIDTH), np.float32)
    hidden[0, WIDTH], hidden[1, WIDTH] = 1, -1
    head = ReferenceHead(
        {
            "mean": np.zeros(WIDTH, np.float32),
            "scale": np.ones(WIDTH, np.float32),
            "hidden.weight": hidden,
            "hidden.bias": np.array([-2, 2], np.float32),
            "output.weight": np.eye(2, dtype=np.float32),
            "output.bias": np.zeros(2, np.float32),
        },
        share=1.0,
        temperature=1.0,
        threshold=0.0,
    )
    clips = len(test.vectors.labels)
    noisy = [each if number % 4 else each[:0] for number, each in enumerate(test.vectors.clips)]
    own = {
        name: np.tile([1.0, 0.0], (clips, 1)).astype(np.float32)
        for name in (reference.NONE, reference.NONE_NOISY)
    }
    own[reference.NONE_NOISY][::4] = np.nan
    return {
        "own": own,
        **reference.answer_beside(head, test, noisy, training, own),
        "labels": test.vectors.labels,
        "corpora": test.corpora,
        "names": list(EMOTIONS),
    }


def test_a_plain_reference_answers_what_a_classifier_alone_cannot(run):
    own = reference.by_corpus([run], 1.0)["made up"]
    assert own["clips"] == 2 * SPEAKERS * TAKES
    assert own["none"] == 0.5
    assert own["1 plain"] > 0.95
    assert own["3 plain"] > 0.95
    assert own["3 plain in noise, clip in noise"] > 0.95
    assert own["3 angry"] == pytest.approx(0.5, abs=0.05)  # everything lies below an angry reference
    for name in reference.STRANGERS:
        assert own[name] < 0.9, name


def test_a_reference_is_never_the_clip_itself_nor_of_several_strangers(run):
    test, training = make_clips("test", "en", 0), make_clips("train", "it", 1)
    for index in (0, 1, 40):
        speaker, sex = test.vectors.speakers[index], test.genders[index]
        mine = reference.own(test, training, index)
        assert index not in mine
        assert set(test.vectors.speakers[mine]) == {speaker}
        assert set(test.emotions[reference.own_angry(test, training, index)]) == {"angry"}
        for choose, sexes in ((reference.same_sex, {sex}), (reference.other_sex, {"female", "male"} - {sex})):
            chosen = choose(test, training, index)
            assert set(test.genders[chosen]) == sexes
            assert speaker not in test.vectors.speakers[chosen]
            assert set(test.emotions[chosen]) == {"neutral"}
        assert set(training.languages[reference.other_language(test, training, index)]) == {"it"}


def test_voices_are_told_apart_where_they_differ_and_the_false_alarms_are_counted(run):
    figures = reference.measure_voices([run])
    assert figures["false_alarms"] <= reference.FALSE_ALARM + 0.01
    for name in reference.STRANGERS:
        assert figures[name]["auc"] > 0.8
    assert reference.measure_voices([run], limit=-1.0)["false_alarms"] == 1.0


def test_the_report_counts_who_is_asked_for_another_sentence(run):
    rng = np.random.default_rng(0)
    strength = np.where(run["labels"] == 0, 2.0, -2.0) + rng.normal(0, 1, len(run["labels"]))
    heard = run | {
        "own": run["own"] | {reference.NONE: np.stack([strength, -strength], 1).astype(np.float32)}
    }
    report = reference.summarise({"left_out": [heard], "folds": [heard]})
    asking = report["asking"]["folds"]
    assert asking["plain_clips"] == asking["angry_clips"] == SPEAKERS * TAKES
    assert 0 < asking["asked_after_plain"] <= reference.ASKED_AGAIN + 0.03
    assert asking["asked_after_angry"] > 0.8
    assert set(report["settings"]) == {"share", "temperature", "threshold", "plain_from"}
    ReferenceHead({}, **report["settings"])


def test_logits_are_read_from_what_a_trained_layer_pools(tmp_path):
    model, _ = load_classifier(make_wav2vec2(tmp_path, list(EMOTIONS)))
    upper = PoolingLayer(model).eval()
    vectors = 10 * torch.randn(5, upper.width)
    vectors[:, :6] -= vectors[:, :6].mean(1, keepdim=True)  # about as in an encoder of hundreds of channels
    with torch.no_grad():
        expected = upper(vectors[:, None], torch.ones(5, 1, dtype=torch.bool)).logits
        upper.write_back()
        pooled = upper.read_pooled(model, vectors).numpy()
    np.testing.assert_allclose(reference.read_logits(model.eval(), pooled), expected, atol=0.02)


def test_a_made_up_call_holds_its_clips_in_noise_of_the_level_that_it_should_have():
    rng = np.random.default_rng(0)
    clips = [np.full(16_000, 0.5, np.float32), np.full(8_000, -0.5, np.float32)]
    sound, spans = reference_calls.make_call(clips, 20.0, rng)
    for (start, end), clip in zip(spans, clips, strict=True):
        noise = sound[round(start * 16_000) : round(end * 16_000)] - clip
        assert noise.size == clip.size
    before = sound[: round(spans[0][0] * 16_000)]
    assert 10 * np.log10(0.25 / np.mean(np.square(before))) == pytest.approx(20, abs=4)
    assert np.mean(np.square(reference_calls.pink_noise(16_000, rng))) == pytest.approx(1)


def test_a_call_is_mostly_plain_and_each_utterance_gets_the_answer_of_its_time():
    own, plain = np.arange(40), np.arange(60) < 25
    drawn = reference_calls.draw_call(own, plain, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == reference_calls.UTTERANCES
    assert plain[drawn].mean() == reference_calls.PLAIN_SHARE
    segments = [
        Segment(0.0, 2.0, "angry", {"angry": 0.6, "neutral": 0.4}, True),
        Segment(2.0, 3.0, "neutral", {"angry": 0.1, "neutral": 0.9}, True),
    ]
    spans = [(0.1, 1.9), (1.5, 3.0), (3.5, 4.0)]
    assert reference_calls.answer_spans(segments, spans) == ["angry", "neutral", None]
    figures = reference_calls.score([("angry", "neutral", "angry"), ("neutral", "neutral", "neutral")])
    assert figures == {"utterances": 2, "none": 0.5, "the call itself": 1.0}
