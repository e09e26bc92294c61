"""A model with labels of a user's own is served: its words as they are, neutral colours, faces and phrases."""

from dataclasses import astuple

import pytest
from conftest import speak

from speech_emotion import EmotionClassifier
from speech_emotion.models.loading import new_classifier
from speech_emotion.ui.avatar import POSES, blend
from speech_emotion.ui.render import answer_card
from speech_emotion.ui.wording import LANGUAGES, advise

MOODS = ["boredom", "contempt", "relief at last", "無関心"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> EmotionClassifier:
    folder = tmp_path_factory.mktemp("moods")
    model, extractor, _ = new_classifier("cnn", MOODS, {"widths": [8, 8]})
    for part in (model, extractor):
        part.save_pretrained(folder)
    return EmotionClassifier.from_pretrained(folder)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_has_the_words_of_the_table_and_neutral_looks(classifier, language):
    prediction = classifier.predict(speak(seconds=2))
    assert list(prediction.probabilities) == MOODS
    card = answer_card(prediction, advise(prediction, {}, language), {}, language)
    for mood in MOODS:
        assert f"data-label='{mood}'" in card
    assert card.count("e-other") >= len(MOODS)
    assert card.count("#face-neutral") == len(MOODS)
    assert astuple(blend(prediction.probabilities)) == pytest.approx(astuple(POSES["neutral"]))
