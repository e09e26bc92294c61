import numpy as np
import pytest
from conftest import pause, speak

from speech_emotion import AudioError, EmotionClassifier
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.inference.streaming import WINDOW_SECONDS, StreamingClassifier


@pytest.fixture(scope="module")
def classifier(cnn_folder):
    return EmotionClassifier.from_pretrained(cnn_folder)


def listen(
    ear: StreamingClassifier, classifier, audio: np.ndarray, rate: int = SAMPLE_RATE
) -> list[dict | None]:
    answers = []
    for start in range(0, audio.size, rate // 2):
        ear.push(classifier, audio[start : start + rate // 2], rate)
        answers.append(ear.probabilities)
    return answers


def test_a_pause_is_silence_and_a_voice_has_an_emotion(classifier):
    ear = StreamingClassifier()
    audio = np.concatenate([pause(1.5), speak(seconds=3), pause(2), speak(seconds=2)])
    answers = listen(ear, classifier, audio)
    assert answers[:3] == [None] * 3
    assert all(answers[5:9])
    assert answers[11:13] == [None] * 2
    assert answers[-1]
    assert sum(answers[-1].values()) == pytest.approx(1)
    assert ear.heard.size == WINDOW_SECONDS * SAMPLE_RATE


def test_the_answer_is_that_of_the_last_seconds_when_the_voice_stays_alike(classifier):
    ear, audio = StreamingClassifier(), np.tile(speak(seconds=3), 4)
    last = listen(ear, classifier, audio)[-1]
    [expected] = classifier.answer_segments([0.0], [audio[-3 * SAMPLE_RATE :]])
    assert last == pytest.approx(expected.probabilities, abs=0.1)


def test_integers_at_48_khz_get_the_same_answer(classifier):
    audio = speak(seconds=3)
    fast = np.repeat(audio, 3)
    stereo = np.stack([fast, fast], axis=1)
    ear = StreamingClassifier()
    for start in range(0, len(stereo), 24_000):
        ear.push(classifier, (stereo[start : start + 24_000] * 32_767).astype(np.int16), 48_000)
    assert ear.probabilities
    assert 0 < ear.milliseconds[-1] < 5000


def test_damaged_sound_is_refused_in_a_sentence(classifier):
    with pytest.raises(AudioError, match="not numbers"):
        StreamingClassifier().push(classifier, np.full(800, np.nan, np.float32), SAMPLE_RATE)


def test_with_self_what_was_said_before_the_pause_is_the_reference(folder_with_head):
    classifier = EmotionClassifier.from_pretrained(folder_with_head)
    before, after = speak(150, seconds=2), speak(250, seconds=2, seed=1)
    audio = np.concatenate([pause(1), before, pause(2), after])
    plain, compared = StreamingClassifier(), StreamingClassifier()
    half, known = SAMPLE_RATE // 2, []
    for start in range(0, audio.size, half):
        piece = audio[start : start + half]
        plain.push(classifier, piece, SAMPLE_RATE)
        compared.push(classifier, piece, SAMPLE_RATE, "self")
        known.append(compared.with_reference)
        assert (plain.probabilities is None) == (compared.probabilities is None)
        if not compared.with_reference:
            assert plain.probabilities == compared.probabilities
    assert not any(known[:9])
    assert all(known[11:])
    assert plain.prediction.probabilities != compared.prediction.probabilities
    assert compared.own.clips == 1
    assert 1 < compared.own.seconds < 3


def test_a_piece_too_short_for_a_single_sample_is_silence(classifier):
    ear = StreamingClassifier()
    ear.push(classifier, np.zeros(3, np.float32), 96_000)
    assert ear.prediction is None
