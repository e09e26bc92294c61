"""Every screen that may compare a voice with itself: what it answers, what it says of that, and what it keeps."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import pause, speak, speak_utterances, write_wav

from speech_emotion import AudioError, EmotionClassifier, load_audio
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.ui import compare, explain, listen, live, own_voice, practice, registry
from speech_emotion.ui.wording import text

MODEL = "knows-voices"


@pytest.fixture
def classifier(folder_with_head, cnn_folder, monkeypatch) -> EmotionClassifier:
    """A model that can compare, loaded by the app next to one that cannot."""
    loaded = EmotionClassifier.from_pretrained(folder_with_head)
    monkeypatch.setitem(registry._loaded, MODEL, loaded)
    monkeypatch.setitem(registry._loaded, "untrained", EmotionClassifier.from_pretrained(cnn_folder))
    return loaded


@pytest.fixture
def clip(tmp_path) -> str:
    return str(write_wav(tmp_path / "clip.wav", speak(220, seconds=2)))


@pytest.fixture
def plain(tmp_path) -> str:
    return str(write_wav(tmp_path / "plain.wav", speak(120, seconds=2, seed=1)))


@pytest.fixture
def call(tmp_path) -> str:
    return str(write_wav(tmp_path / "call.wav", speak_utterances()))


def test_the_recording_of_the_plain_sentence_is_deleted_whether_it_can_be_used_or_not(
    classifier, plain, tmp_path
):
    voice = own_voice.enroll(plain, MODEL)
    assert (voice.model, voice.reference.clips) == (MODEL, 1)
    silence = write_wav(tmp_path / "silence.wav", pause(2))
    with pytest.raises(AudioError, match="Nobody speaks"):
        own_voice.enroll(str(silence), MODEL)
    assert not {each.name for each in tmp_path.iterdir()} & {"plain.wav", "silence.wav"}


def test_the_first_screen_compares_with_the_visitors_voice_until_it_is_forgotten(classifier, clip, plain):
    [(before, alone)] = listen.listen(clip, MODEL)
    assert text("own_voice_offer") in before
    reference = classifier.enroll([plain])
    [(known, compared, voice)] = listen.hear_plain(plain, alone, clip, MODEL, "en", "", None, True)
    expected = classifier.predict(clip, reference=reference)
    assert compared.prediction.probabilities == pytest.approx(expected.probabilities)
    assert compared.prediction.probabilities != pytest.approx(alone.prediction.probabilities)
    assert text("own_voice_known") in known
    assert text("own_voice_offer") not in known
    [(after, again, nothing)] = listen.forget_voice(clip, MODEL, "en", "", voice, True)
    assert nothing is None
    assert again.prediction.probabilities == alone.prediction.probabilities
    assert after == before


def test_a_plain_sentence_that_cannot_be_used_changes_nothing_and_says_why(classifier, clip, tmp_path):
    [(_, alone)] = listen.listen(clip, MODEL)
    silence = str(write_wav(tmp_path / "silence.wav", pause(2)))
    [(said, kept, voice)] = listen.hear_plain(silence, alone, clip, MODEL, "en", "", None, True)
    assert (kept, voice) == (alone, None)
    assert "class='refusal'" in said
    assert "<details class='card own-voice' open>" in said


def test_a_sentence_that_sounds_strong_is_asked_for_once_more_and_the_second_one_counts(
    classifier, clip, plain, tmp_path, monkeypatch
):
    monkeypatch.setattr(classifier.reference_head, "plain_from", 1.1)
    [(_, alone)] = listen.listen(clip, MODEL)
    second = str(shutil.copy(plain, tmp_path / "second.wav"))
    [(said, kept, asked)] = listen.hear_plain(plain, alone, clip, MODEL, "en", "", None, True)
    assert text("own_voice_again", emotion=classifier.predict(second).label) in said
    assert kept == alone
    assert own_voice.reference_for(asked, MODEL) is None
    [(said, answer, voice)] = listen.hear_plain(second, alone, clip, MODEL, "en", "", asked, True)
    assert answer.knows_voice
    assert voice.reference.clips == 1
    assert text("own_voice_known") in said


def test_a_model_that_cannot_compare_offers_nothing_and_another_models_voice_is_not_its_own(
    classifier, clip, plain, call
):
    voice = own_voice.enroll(plain, MODEL)
    for recording in (clip, call):
        *_, (said, answer) = listen.listen(recording, "untrained", voice=voice)
        assert not answer.knows_voice
        assert "own-voice" not in said
        assert "own-line" not in said


def test_a_longer_recordings_utterances_are_compared_unless_that_is_switched_off(classifier, call):
    *_, (said, answer) = listen.listen(call, MODEL)
    [*_, expected] = iter_timeline(classifier, call, reference="self")
    assert answer.timelines[0].segments == expected.segments
    assert text("compared_recording") in said
    *_, (said, answer, compares) = listen.toggle(call, MODEL, "en", "", None, True)
    assert not compares
    [*_, expected] = iter_timeline(classifier, call)
    assert answer.timelines[0].segments == expected.segments
    assert text("compared_nothing") in said
    *_, (said, _, compares) = listen.toggle(call, MODEL, "en", "", None, compares)
    assert compares
    assert text("compared_recording") in said


def test_compare_lets_the_model_that_knows_the_voice_use_it_and_says_that_others_do_not(
    classifier, clip, plain, monkeypatch
):
    monkeypatch.setattr(compare, "MODELS", [MODEL, "untrained"])
    voice = own_voice.enroll(plain, MODEL)
    used = []
    measure = compare.time_prediction
    monkeypatch.setattr(
        compare,
        "time_prediction",
        lambda heard, audio, reference: used.append(reference) or measure(heard, audio, reference),
    )
    *_, table = compare.compare(clip, "en", MODEL, voice)
    assert used == [voice.reference, None]
    expected = classifier.predict(clip, reference=voice.reference)
    assert f"<td class='label'>{compare._say(expected, 'en')}</td>" in table
    assert text("own_voice_only", model=MODEL) in table
    *_, table = compare.compare(clip, "en", MODEL)
    assert "knows" not in table.replace(MODEL, "")


def test_how_it_hears_explains_the_answer_that_stands_above_it(classifier, clip, plain, call, monkeypatch):
    voice = own_voice.enroll(plain, MODEL)
    explained = []
    occlude = explain.occlude
    monkeypatch.setattr(
        explain,
        "occlude",
        lambda *inputs: explained.append((inputs[2], occlude(*inputs))) or explained[-1][1],
    )
    said = explain.show(clip, MODEL, "en", voice)
    assert text("own_voice_used") in said
    [(prediction, (_, drops))] = explained
    assert prediction.probabilities == classifier.predict(clip, reference=voice.reference).probabilities
    assert not np.allclose(drops, occlude(classifier, load_audio(clip), classifier.predict(clip))[1])
    assert text("own_voice_used") not in explain.show(clip, MODEL)
    assert text("compared_here_not") in explain.show(call, MODEL, "en", None, True)
    assert text("compared_here_not") not in explain.show(call, MODEL, "en", None, False)


def test_practice_compares_with_the_visitors_voice_and_says_so(classifier, clip, plain):
    voice = own_voice.enroll(plain, MODEL)
    said, attempt = practice.practise(clip, "happy", MODEL, "en", voice)
    expected = classifier.predict(clip, reference=voice.reference)
    assert attempt.prediction.probabilities == pytest.approx(expected.probabilities)
    assert text("own_voice_known") in said
    said, _ = practice.practise(clip, "happy", MODEL)
    assert text("own_voice_known") not in said


def test_live_compares_with_what_was_said_before_with_the_known_voice_or_not_at_all(
    classifier, plain, tmp_path
):
    pieces = [
        (write_wav(tmp_path / f"{number}.wav", sound)).read_bytes()
        for number, sound in enumerate([speak(seconds=2), pause(2), speak(220, seconds=2)])
    ]

    def follow(**known) -> list[str]:
        session, said = None, []
        for piece in pieces:
            shown, session = live.follow(piece, MODEL, session, **known)
            said.append(shown)
        return said

    first, _, last = follow()
    assert text("compared_soon") in first
    assert text("compared_before") in last
    assert all(text("compared_nothing") in each for each in follow(compares=False))
    voice = own_voice.enroll(plain, MODEL)
    assert all(text("own_voice_known") in each for each in follow(voice=voice))


def test_what_could_not_be_read_of_a_recording_is_said_in_the_language_of_the_page(classifier, call, clip):
    damage = "The recording is damaged: 2.5 seconds of it could not be read and are left out."
    *_, (_, answer) = listen.listen(clip, MODEL)
    short = replace(answer, prediction=replace(answer.prediction, damage=damage))
    assert listen.show(short, "en").count("2.5 seconds of this recording") == 1
    assert "2.5 Sekunden dieser Aufnahme" in listen.show(short, "de")
    *_, (_, answer) = listen.listen(call, MODEL)
    [timeline] = answer.timelines
    long = replace(answer, prediction=None, timelines=(replace(timeline, damage=damage),))
    assert listen.show(long, "en").count("2.5 seconds of this recording") == 1
