import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, speak, voice, write_wav

from speech_emotion import AudioError, EmotionClassifier, ModelError
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.inference.classifier import cut_windows
from speech_emotion.models.loading import last_linear


@pytest.fixture(scope="module")
def classifier(cnn_folder):
    return EmotionClassifier.from_pretrained(cnn_folder)


def test_a_prediction_names_the_most_probable_class(classifier):
    prediction = classifier.predict(speak(seconds=1.2))
    assert set(prediction.probabilities) == {"happy", "sad"}
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.get)
    assert prediction.seconds == pytest.approx(1.2, abs=0.05)


def test_the_device_is_the_one_asked_for_and_a_missing_one_is_a_sentence(cnn_folder):
    asked = EmotionClassifier.from_pretrained(cnn_folder, device="cpu")
    assert (asked.engine.name, asked.model.device.type) == ("PyTorch", "cpu")
    shipped = EmotionClassifier.from_pretrained(ROOT / "models" / "wav2vec2", device="cpu")
    assert shipped.engine.name == "PyTorch"  # although the folder has an export
    with pytest.raises(ModelError, match="There is no device 'warp' here"):
        EmotionClassifier.from_pretrained(cnn_folder, device="warp")


def test_path_bytes_and_samples_agree(classifier, tmp_path):
    path = write_wav(tmp_path / "clip.wav", speak())
    answers = [classifier.predict(source) for source in (path, str(path), path.read_bytes(), speak())]
    for answer in answers[1:]:
        assert answer.probabilities == pytest.approx(answers[0].probabilities, abs=1e-3)


def test_silence_is_refused(classifier):
    with pytest.raises(AudioError, match="only silence"):
        classifier.predict(np.zeros(SAMPLE_RATE, np.float32))


@pytest.mark.parametrize(
    "sound",
    [
        0.1 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE),
        0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE),
        0.8 * (np.arange(3 * SAMPLE_RATE) % 4000 == 0),
    ],
    ids=["noise", "tone", "clicks"],
)
def test_a_recording_without_speech_has_no_emotion(classifier, sound):
    with pytest.raises(AudioError, match="Nobody speaks"):
        classifier.predict(sound)


def test_no_recording_of_the_corpora_is_refused(classifier, corpora):
    clips = [path for path in sorted(corpora.rglob("*.wav")) if path.parent.name != "originals"][::40]
    assert len(clips) > 50
    for clip in clips:
        classifier.predict(clip)


def test_a_model_that_nobody_has_measured_is_never_sure(cnn_folder):
    classifier = EmotionClassifier.from_pretrained(cnn_folder)
    with torch.no_grad():
        last_linear(classifier.model).weight.mul_(1e4)
    prediction = classifier.predict(speak(seconds=2))
    assert prediction.confidence > 0.999
    assert not prediction.sure
    assert not prediction.utterances[0].sure


@pytest.mark.parametrize("threshold", [0.0, 1.01])
def test_under_the_threshold_of_its_report_a_model_is_not_sure(cnn_folder, tmp_path, threshold):
    folder = shutil.copytree(cnn_folder, tmp_path / "model")
    (folder / "report.json").write_text(json.dumps({"threshold": threshold}))
    prediction = EmotionClassifier.from_pretrained(folder).predict(speak())
    assert prediction.sure == (prediction.confidence >= threshold)
    assert prediction.row()["sure"] == prediction.sure


def test_how_far_confidence_can_be_trusted_is_said_of_new_speakers_and_of_new_recordings(
    cnn_folder, tmp_path
):
    folder = shutil.copytree(cnn_folder, tmp_path / "model")
    report = {"architecture": "CNN", "parameters": 3, "calibration": {"ece": 0.08}, "comparisons": {}}
    for name, parameters, protocols, error in (
        ("folds", 3, ["fold:1", "fold:2"], 0.5),
        ("left out", 3, ["leave_out:savee", "leave_out:tess"], 0.343),
        ("another's", 4, ["leave_out:savee"], 0.9),
    ):
        own = {"architecture": "CNN", "parameters": parameters, "protocols": protocols, "ece": error}
        report["comparisons"][name] = own
    (folder / "report.json").write_text(json.dumps(report))
    assert EmotionClassifier.from_pretrained(folder).calibration == (
        "With speakers it had never heard, its confidence was off by 8 percentage points on average; "
        "where the kind of recording was new as well, by 34."
    )


def test_windows_cover_a_long_clip_to_its_end():
    audio = np.arange(int(13.7 * SAMPLE_RATE))
    windows = cut_windows(audio)
    assert all(window.size == 5 * SAMPLE_RATE for window in windows)
    assert set(np.concatenate(windows)) == set(audio)
    assert len(cut_windows(audio[: 5 * SAMPLE_RATE])) == 1


def test_a_batch_of_long_and_short_clips_gives_what_single_ones_give(classifier):
    clips = [voice(seconds=7), voice(200, seconds=0.8), voice(300, seconds=5.5), *[voice(seconds=1)] * 9]
    single = np.concatenate([classifier.logits([clip]) for clip in clips])
    np.testing.assert_allclose(classifier.logits(clips), single, atol=1e-4)


def test_hearing_speech_leaves_torch_its_threads():
    code = (
        "import torch; torch.set_num_threads(2); from speech_emotion.audio.vad import detect_speech; import numpy; "
        "detect_speech(numpy.zeros(16_000, numpy.float32)); print(torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"
