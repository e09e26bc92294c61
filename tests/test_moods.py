"""A company's own moods, from its table to its model's answer on the page; and sets of very few clips."""

from dataclasses import astuple
from pathlib import Path

import pytest
from command_line import prepare
from conftest import speak, write_wav
from test_train import refuse, train

from data_prep.splits import SPLITS, resplit
from speech_emotion import EmotionClassifier
from speech_emotion.dataset import open_dataset
from speech_emotion.palette import GREY, emotion_colour
from speech_emotion.ui.avatar import POSES, blend
from speech_emotion.ui.render import answer_card
from speech_emotion.ui.wording import LANGUAGES, advise

MOODS = {"boredom": 100, "contempt": 160, "joy": 250}  # and the pitch of the voice
TINY = ("--model", "cnn", "--model_config", '{"widths": [8, 16]}')


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Five speakers, two clips of each mood, prepared with the moods as labels."""
    folder = tmp_path_factory.mktemp("moods")
    lines = ["path,emotion,speaker"]
    for speaker in range(5):
        for place, (mood, pitch) in enumerate(MOODS.items()):
            for take in range(2):
                name, seed = f"{speaker}-{mood}-{take}.wav", 100 * speaker + 10 * place + take
                write_wav(folder / name, speak(pitch + 4 * speaker, seed=seed))
                lines.append(f"{name},{mood},speaker {speaker}")
    (folder / "calls.csv").write_text("\n".join(lines))
    result = prepare("--own", folder / "calls.csv", "--scheme", "own", "--output", folder / "data")
    assert result.returncode == 0, result.stderr
    return folder / "data"


def make_folder(root: Path, clips: dict[str, int]) -> Path:
    """Write so many clips of each mood, nobody named, and return the dataset made of them."""
    for mood, count in clips.items():
        for take in range(count):
            write_wav(root / "mine" / mood / f"{take}.wav", speak(MOODS[mood], seed=take + MOODS[mood]))
    result = prepare("--own", root / "mine", "--scheme", "own", "--output", root / "data")
    assert result.returncode == 0, result.stderr
    return root / "data"


@pytest.mark.slow
def test_words_of_a_table_are_the_labels_of_a_trained_model_and_of_its_answers(dataset, tmp_path):
    train(
        *(*TINY, "--data", dataset, "--model_dir", tmp_path / "model", "--output_dir", tmp_path / "run"),
        *("--num_train_epochs", 2, "--per_device_train_batch_size", 4),
    )
    prediction = EmotionClassifier.from_pretrained(tmp_path / "model").predict(speak(150, seed=9))
    assert list(prediction.probabilities) == list(MOODS)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.label in MOODS
    assert {emotion_colour(mood) for mood in MOODS} == {GREY}
    assert astuple(blend(prediction.probabilities)) == pytest.approx(astuple(POSES["neutral"]))
    for language in LANGUAGES:
        card = answer_card(prediction, advise(prediction, {}, language), {}, language)
        assert card.count("#face-neutral") == len(MOODS)
        assert all(f"data-label='{mood}'" in card for mood in MOODS)


@pytest.mark.slow
def test_a_model_that_has_learnt_nothing_is_never_sure(dataset, tmp_path):
    printed = train(
        *(*TINY, "--data", dataset, "--model_dir", tmp_path / "model", "--output_dir", tmp_path / "run"),
        *("--max_steps", 1, "--learning_rate", 0, "--head_learning_rate", 0),
    )
    assert "sure: 0.0% of clips" in printed
    card = (tmp_path / "model" / "README.md").read_text()
    assert 'The app answers "not sure" to every clip' in card
    classifier = EmotionClassifier.from_pretrained(tmp_path / "model")
    assert not any(classifier.predict(speak(pitch, seed=pitch)).sure for pitch in range(100, 300, 20))


@pytest.mark.slow
def test_moods_of_one_and_two_clips_train_beside_others(tmp_path):
    data = make_folder(tmp_path, {"boredom": 6, "contempt": 2, "joy": 1})
    printed = train(
        *(*TINY, "--data", data, "--model_dir", tmp_path / "model", "--output_dir", tmp_path / "run"),
        *("--num_train_epochs", 1),
    )
    assert "Nothing can be said about how good the model is" in printed
    classifier = EmotionClassifier.from_pretrained(tmp_path / "model")
    assert classifier.labels == list(MOODS)
    assert not classifier.predict(speak(100)).sure
    assert set(SPLITS) == set(
        resplit(open_dataset(str(data)), "random")
    )  # the cure of the next test: six clips


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_clips_of_each_mood_are_refused_with_the_cure(count, tmp_path):
    data = make_folder(tmp_path, dict.fromkeys(MOODS, count))
    wanted = ["--model", "cnn", "--data", data, "--output_dir", tmp_path / "run"]
    sentence = refuse(*wanted)
    assert (
        "three speakers, or three clips of an emotion where no speaker is named. Bring more clips."
        in sentence
    )
    sentence = refuse(*wanted, "--protocol", "random")
    assert sentence.endswith("no clip for validation and test. Bring six clips of an emotion or more.")
