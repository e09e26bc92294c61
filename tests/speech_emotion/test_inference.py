import numpy as np
import pytest
from conftest import voice, write_wav

from speech_emotion import AudioError, EmotionClassifier
from speech_emotion.audio import SAMPLE_RATE
from speech_emotion.inference import cut_windows


@pytest.fixture(scope="module")
def classifier(cnn_folder):
    return EmotionClassifier.from_pretrained(cnn_folder)


def test_a_prediction_names_the_most_probable_class(classifier):
    prediction = classifier.predict(voice(seconds=1.2))
    assert set(prediction.probabilities) == {"happy", "sad"}
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.get)
    assert prediction.seconds == pytest.approx(1.2, abs=0.05)


def test_path_bytes_and_samples_agree(classifier, tmp_path):
    path = write_wav(tmp_path / "clip.wav", voice())
    answers = [classifier.predict(source) for source in (path, str(path), path.read_bytes(), voice())]
    for answer in answers[1:]:
        assert answer.probabilities == pytest.approx(answers[0].probabilities, abs=1e-3)


def test_silence_is_refused(classifier):
    with pytest.raises(AudioError, match="only silence"):
        classifier.predict(np.zeros(SAMPLE_RATE, np.float32))


def test_windows_cover_a_long_clip_to_its_end():
    audio = np.arange(int(13.7 * SAMPLE_RATE))
    windows = cut_windows(audio)
    assert all(window.size == 5 * SAMPLE_RATE for window in windows)
    assert set(np.concatenate(windows)) == set(audio)
    assert len(cut_windows(audio[: 5 * SAMPLE_RATE])) == 1


def test_a_batch_of_long_and_short_clips_gives_what_single_ones_give(classifier):
    clips = [voice(seconds=7), voice(200, seconds=0.8), voice(300, seconds=5.5)]
    single = np.concatenate([classifier.logits([clip]) for clip in clips])
    np.testing.assert_allclose(classifier.logits(clips), single, atol=1e-4)
