"""The one path from a recording to its answer: every entrance agrees, and only a voice votes."""

import io
import json
from collections import deque
from contextlib import redirect_stdout

import numpy as np
import pytest
import soundfile
from conftest import pause, speak, write_wav

from speech_emotion import AudioError, EmotionClassifier
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.cli import main, summarise
from speech_emotion.inference.batch import classify_files
from speech_emotion.inference.prediction import Segment, pool
from speech_emotion.inference.recording import count_lanes, find_utterances, split_channels
from speech_emotion.inference.streaming import StreamingClassifier
from speech_emotion.inference.timeline import iter_timeline


@pytest.fixture(scope="module")
def classifier(cnn_folder):
    return EmotionClassifier.from_pretrained(cnn_folder)


def segment(start: float, end: float, label: str, confidence: float = 0.8, sure: bool = True) -> Segment:
    other = "sad" if label == "happy" else "happy"
    shares = {label: confidence, other: 1 - confidence}
    return Segment(start, end, label, {name: shares[name] for name in ("happy", "sad")}, sure)


def hiss(seconds: float, level: float = 0.01) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE))
    return (level * noise).astype(np.float32)


def test_long_and_confident_utterances_weigh_more():
    answer = pool([segment(0, 1, "happy"), segment(2, 5, "sad")], "PyTorch", 0.5)
    assert answer.probabilities == pytest.approx({"happy": 0.35, "sad": 0.65})
    assert (answer.label, answer.sure, answer.mixed) == ("sad", True, False)
    assert answer.seconds == 4
    assert answer.shares == pytest.approx({"sad": 0.75, "happy": 0.25})
    doubtful = pool([segment(0, 1, "happy", 0.9), segment(2, 3, "sad", 0.6)], "PyTorch", 0.5)
    assert doubtful.label == "happy"


def test_where_no_emotion_leads_the_answer_is_mixed_and_not_sure():
    answer = pool([segment(0, 2, "happy", 0.9), segment(3, 5, "sad", 0.6)], "PyTorch", 0.5)
    assert answer.mixed
    assert not answer.sure
    assert summarise(answer) == "mixed (happy 50%, sad 50% of the speech)"
    unsure = pool([segment(0, 2, "happy", 0.55, False), segment(3, 5, "sad", 0.52, False)], "PyTorch", 0.7)
    assert not unsure.mixed
    assert unsure.shares == {"not sure": 1.0}


def test_every_entrance_answers_a_recording_alike(classifier, cnn_folder, tmp_path):
    audio = np.concatenate([pause(1), speak(120), pause(1), speak(220, seed=1), pause(0.5)])
    path = write_wav(tmp_path / "call.wav", audio)
    expected = classifier.predict(path)
    assert len(expected.utterances) == 2
    printed = io.StringIO()
    with redirect_stdout(printed):
        main([str(path), "--model", str(cnn_folder), "--json"])
    assert json.loads(printed.getvalue())["probabilities"] == pytest.approx(expected.probabilities)
    [timeline] = deque(iter_timeline(classifier, path), maxlen=1)
    assert timeline.prediction(classifier) == expected
    assert timeline.segments == expected.utterances
    assert classifier.predict(path.read_bytes()) == expected
    assert classifier.predict(soundfile.read(path, dtype="float32")[0]) == expected
    [row] = classify_files(classifier, [("call.wav", path)])
    assert (row["emotion"], row["sure"], row["utterances"]) == (expected.label, expected.sure, 2)
    assert row["confidence"] == pytest.approx(expected.confidence, abs=1e-4)


def test_the_live_screen_answers_a_short_recording_like_predict(classifier):
    audio, live = speak(seconds=2.5), StreamingClassifier()
    for start in range(0, audio.size, SAMPLE_RATE // 2):
        live.push(classifier, audio[start : start + SAMPLE_RATE // 2], SAMPLE_RATE)
    assert live.prediction.probabilities == pytest.approx(classifier.predict(audio).probabilities)


def test_sound_without_a_voice_has_no_vote(classifier):
    voice = speak()
    plain = classifier.predict(voice)
    noisy = classifier.predict(np.concatenate([voice, hiss(6)]))
    silent = classifier.predict(np.concatenate([pause(2), voice, pause(20)]))
    assert silent.probabilities == pytest.approx(plain.probabilities, abs=1e-6)
    assert noisy.seconds == pytest.approx(plain.seconds, abs=0.4)  # the detector lags a little
    assert noisy.probabilities == pytest.approx(plain.probabilities, abs=0.1)


@pytest.mark.parametrize("seconds", [0.25, 0.3, 0.5])
def test_a_word_is_enough(classifier, seconds):
    word = np.concatenate([hiss(0.8, 0.001), speak(seconds=seconds), hiss(0.8, 0.001)])
    assert 0.2 <= classifier.predict(word).seconds <= seconds + 0.5


@pytest.mark.parametrize("times", [1.0, 1.6])
def test_a_high_voice_is_found(times):
    from speech_emotion.audio.vad import detect_speech

    loud = np.clip(4 * speak(300 * times), -1, 1)
    assert detect_speech(loud)


def test_a_voice_at_the_seam_of_two_blocks_is_one_utterance():
    audio = np.concatenate([pause(1), speak(), pause(25.5), speak(180, seconds=3), pause(2)])
    blocks = [audio[: 30 * SAMPLE_RATE], audio[30 * SAMPLE_RATE :]]
    found = [
        (start, clip.size / SAMPLE_RATE)
        for block in find_utterances(blocks, 5.0)
        for start, clip in zip(block.starts, block.clips, strict=True)
    ]
    assert [start for start, _ in found] == pytest.approx([1, 28.5], abs=0.2)
    assert [length for _, length in found] == pytest.approx([2.1, 3.1], abs=0.3)


def test_pieces_of_a_stream_join_without_a_seam(classifier):
    audio = speak(seconds=2.5)
    fast = np.interp(np.arange(audio.size * 3) / 3, np.arange(audio.size), audio).astype(np.float32)
    whole, pieces = StreamingClassifier(), StreamingClassifier()
    whole.push(classifier, fast, 48_000)
    for start in range(0, fast.size, 24_000):
        pieces.push(classifier, fast[start : start + 24_000], 48_000)
    size = min(whole.heard.size, pieces.heard.size)
    np.testing.assert_allclose(pieces.heard[:size], whole.heard[:size], atol=1e-5)


def test_a_call_has_two_lanes_and_a_room_has_one(tmp_path):
    left = np.concatenate([speak(120), pause(2.5), speak(130, seed=1)])
    right = np.concatenate([pause(2.3), speak(220, seed=2), pause(2.2)])
    call = np.stack([left + 0.05 * right[: left.size], right[: left.size] + 0.05 * left], axis=1)
    both = 0.5 * (left + right[: left.size])
    room, one_sided = np.stack([both, 0.8 * both], axis=1), np.stack([left, np.zeros_like(left)], axis=1)
    assert [lane.shape for lane in split_channels(call)] == [left.shape] * 2
    np.testing.assert_array_equal(split_channels(call)[1], call[:, 1])
    for samples in (room, one_sided, left):
        assert len(split_channels(samples)) == 1
    for samples, lanes in ((call, 2), (room, 1)):
        assert count_lanes(write_wav(tmp_path / "stereo.wav", samples)) == lanes


def test_a_lane_is_answered_alone(classifier, tmp_path):
    call = np.stack([np.pad(speak(120), (0, 40_000)), np.pad(speak(220, seed=2), (40_000, 0))], axis=1)
    path = write_wav(tmp_path / "call.wav", call)
    for channel in (0, 1):
        [timeline] = deque(iter_timeline(classifier, path, channel=channel), maxlen=1)
        alone = classifier.predict(soundfile.read(path, dtype="float32")[0][:, channel])
        assert timeline.prediction(classifier) == alone


def test_too_little_is_refused_in_a_sentence(classifier):
    with pytest.raises(AudioError, match="Nobody speaks"):
        classifier.predict(hiss(3, 0.1))
    with pytest.raises(AudioError, match="only silence"):
        classifier.predict(pause(3))
