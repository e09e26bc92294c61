from pathlib import Path

from bad_audio import encode
from conftest import speak, write_wav

from speech_emotion.inference.batch import classify_files, find_recordings
from speech_emotion.inference.classifier import EmotionClassifier


def test_a_name_that_ends_in_raw_says_nothing_about_the_file(cnn_folder, tmp_path):
    samples = (speak(seconds=1) * 2**15).astype("<i2").tobytes()
    for name, content in (("sound.raw", encode(speak(seconds=1))), ("samples.raw", samples)):
        (tmp_path / name).write_bytes(content)
    classifier = EmotionClassifier.from_pretrained(cnn_folder)
    files = [(name, tmp_path / name) for name in ("sound.raw", "samples.raw")]
    sound, alone = classify_files(classifier, files)
    assert sound["emotion"] in classifier.labels
    assert sound["error"] is None
    assert alone["emotion"] is None
    assert "save it as WAV" in alone["error"]


def test_an_unforeseen_error_in_one_file_loses_no_other(cnn_folder, tmp_path, monkeypatch):
    classifier = EmotionClassifier.from_pretrained(cnn_folder)
    predict = classifier.predict

    def fail_on_the_second(path: Path, reference=None):
        if path.name == "b.wav":
            raise TypeError("unheard of")
        return predict(path)

    monkeypatch.setattr(classifier, "predict", fail_on_the_second)
    files = [(name, write_wav(tmp_path / name, speak(seconds=1))) for name in ("a.wav", "b.wav", "c.wav")]
    first, second, third = classify_files(classifier, files)
    assert first["emotion"] and third["emotion"]
    assert second["emotion"] is None
    assert second["error"] == ("This file cannot be read, and the reason is new to this program (TypeError).")


def test_a_folder_gives_every_file_named_like_a_format_that_is_read(tmp_path):
    names = ["a.amr", "b.AVI", "c.g722", "d.raw", "e.spx", "f.wav", "g.wv"]
    for name in (*names, "notes.txt", "cover.png", "list.m3u"):
        (tmp_path / name).touch()
    assert [path.name for path in find_recordings(tmp_path)] == names
