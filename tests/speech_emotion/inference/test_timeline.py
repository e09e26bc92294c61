import io
import json
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from conftest import ROOT, pause, speak, voice, write_wav

from speech_emotion import AudioError, EmotionClassifier
from speech_emotion.audio.decoding import SAMPLE_RATE, load_audio
from speech_emotion.audio.vad import MARGIN_SECONDS, detect_speech
from speech_emotion.inference.prediction import Segment
from speech_emotion.inference.timeline import Timeline, iter_timeline


@pytest.fixture(scope="module")
def classifier(cnn_folder):
    return EmotionClassifier.from_pretrained(cnn_folder)


def segment(start: float, end: float, label: str, sure: bool = True) -> Segment:
    shares = {name: 0.7 if name == label else 0.3 for name in ("happy", "sad")}
    return Segment(start, end, label, shares, sure)


def last(timelines) -> Timeline:
    *_, timeline = timelines
    return timeline


def test_utterances_are_found_where_they_are():
    audio = np.concatenate([pause(1), speak(120), pause(1), speak(200, seed=1), pause(0.5)])
    spans = [(span.start / SAMPLE_RATE, span.stop / SAMPLE_RATE) for span in detect_speech(audio)]
    np.testing.assert_allclose(spans, [(1, 3), (4, 6)], atol=0.2)


def test_nobody_speaks_in_silence_noise_or_music():
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE)
    for sound in (pause(3), noise.astype(np.float32), voice(seconds=3)):
        assert detect_speech(sound) == []


def test_a_recording_becomes_its_utterances_across_the_blocks_it_is_read_in(classifier, tmp_path):
    parts, truth, at = [], [], 0.0
    for number, (still, spoken) in enumerate([(1, 3), (2, 10), (9, 2), (2, 4), (1, 30), (2, 3), (1, 0.3)]):
        parts += [pause(still), speak(100 + 20 * number, seconds=spoken, seed=number)]
        truth += [(at + still, at + still + spoken)]
        at += still + spoken
    timeline = last(iter_timeline(classifier, write_wav(tmp_path / "call.wav", np.concatenate(parts))))
    assert timeline.seconds == pytest.approx(at)
    assert timeline.peaks.size == pytest.approx(at / 0.05, abs=1)
    for start, end in truth:
        inside = [each for each in timeline.segments if each.start < end - 0.2 and each.end > start + 0.2]
        assert inside[0].start == pytest.approx(start - MARGIN_SECONDS, abs=0.2)
        assert inside[-1].end == pytest.approx(end + MARGIN_SECONDS, abs=0.2)
        for one, other in pairwise(inside):
            assert other.start == pytest.approx(one.end)
    assert all(0.2 <= each.seconds <= classifier.window_seconds + 0.01 for each in timeline.segments)


def test_segments_say_what_the_classifier_says_of_their_sound(classifier, tmp_path):
    audio = np.concatenate([pause(1), speak(120), pause(1), speak(200, seed=1), pause(1)])
    timeline = last(iter_timeline(classifier, write_wav(tmp_path / "call.wav", audio)))
    for each in timeline.segments:
        clip = audio[round(each.start * SAMPLE_RATE) : round(each.end * SAMPLE_RATE)]
        [alone] = classifier.answer_segments([each.start], [clip])
        assert each.probabilities == pytest.approx(alone.probabilities, abs=1e-3)


def test_a_recording_without_speech_is_refused_in_a_sentence(classifier, tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(40 * SAMPLE_RATE)
    for sound, sentence in ((pause(40), "only silence"), (noise, "Nobody speaks")):
        with pytest.raises(AudioError, match=sentence):
            last(iter_timeline(classifier, write_wav(tmp_path / "still.wav", sound)))


def test_twice_the_length_takes_no_more_memory(classifier, tmp_path):
    piece = np.concatenate([speak(seconds=8), pause(2)])
    peaks = []
    for minutes in (2, 2, 5):  # the first fills caches
        path = tmp_path / "call.flac"
        soundfile.write(path, np.tile(piece, 6 * minutes), SAMPLE_RATE)
        tracemalloc.start()
        last(iter_timeline(classifier, path))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


def test_a_speaker_who_never_pauses_is_answered_every_minute(classifier, tmp_path):
    call = write_wav(tmp_path / "call.wav", np.concatenate([pause(0.3), speak(seconds=150)]))
    counts = [len(timeline.segments) for timeline in iter_timeline(classifier, call)]
    assert counts[1] > 10
    assert counts[3] > 20


def test_shares_turning_points_and_subtitles():
    timeline = Timeline(
        [
            segment(0, 2, "happy"),
            segment(3, 4, "sad", sure=False),
            segment(5, 6, "happy"),
            segment(6, 10, "sad"),
        ],
        seconds=12,
        peaks=np.zeros(240),
    )
    assert timeline.shares() == pytest.approx({"sad": 0.5, "happy": 0.375, "not sure": 0.125})
    assert [(one.end, other.start) for one, other in timeline.turning_points()] == [(6, 6)]
    assert timeline.subtitles()[1] == {"timestamp": [3, 4], "text": "not sure"}
    assert timeline.rows()[3] == {
        "start": 6, "end": 10, "emotion": "sad", "sure": True, "confidence": 0.7, "happy": 0.3, "sad": 0.7,
    }  # fmt: skip
    whole = json.loads(json.dumps(timeline.to_dict()))
    assert whole["seconds"] == 12
    assert whole["segments"][1]["label"] == "sad"


def test_a_real_conversation_is_followed(corpora):
    clips = [
        corpora / "RAVDESS" / "Actor_01" / f"03-01-{code}-01-01-01-01.wav" for code in ("03", "04", "05")
    ]
    audio = np.concatenate([load_audio(clip) for clip in clips])
    classifier = EmotionClassifier.from_pretrained(ROOT / "models" / "wav2vec2")
    timeline = last(iter_timeline(classifier, encode(audio)))
    assert len(timeline.segments) == 3


def encode(audio: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, SAMPLE_RATE, format="WAV")
    return buffer.getvalue()
