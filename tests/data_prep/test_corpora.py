from pathlib import Path

import pytest

from data_prep.build import describe
from data_prep.schema import Rejected


@pytest.mark.parametrize(
    ("path", "facts"),
    [
        ("x/Actor_12/03-01-06-01-02-01-12.wav",
         {"speaker": "ravdess-12", "source_emotion": "fearful", "gender": "female", "channel": "speech",
              "intensity": "normal", "statement": "Dogs are sitting by the door"}),
        ("songs/actor_07/03-02-05-02-01-01-07.WAV",
         {"speaker": "ravdess-07", "source_emotion": "angry", "gender": "male", "channel": "song", "intensity": "strong"}),
        ("TESS/OAF_Fear/OAF_food_fear.wav", {"speaker": "tess-OAF", "source_emotion": "fear", "age": 64}),
        ("TESS/OAF_neutral/OA_bite_neutral.wav", {"speaker": "tess-OAF", "statement": "Say the word bite"}),
        ("TESS/YAF_pleasant_surprised/YAF_dog_ps.wav", {"speaker": "tess-YAF", "source_emotion": "pleasant surprise"}),
        ("SAVEE/ALL/DC_sa03.wav", {"speaker": "savee-DC", "source_emotion": "sadness", "gender": "male"}),
        ("AudioData/JK/n21.wav", {"speaker": "savee-JK", "source_emotion": "neutral", "statement": "n21"}),
        ("CREMA-D/AudioMP3/1001_IEO_ANG_HI.mp3",
         {"speaker": "crema_d-1001", "source_emotion": "anger", "intensity": "high", "statement": "It's eleven o'clock"}),
        ("EmoV-DB/bea/Amused/amused_1-15_0001.wav",
         {"speaker": "emov_db-bea", "source_emotion": "amused", "gender": "female", "statement": "0001"}),
        ("sam_Sleepiness/sleepiness_57-84_0070.wav", {"speaker": "emov_db-sam", "source_emotion": "sleepiness"}),
        ("ASVP/actor_12/03-02-11-02-02-12-02-01-01-16.wav",
         {"speaker": "asvp_esd-12", "source_emotion": "pain", "channel": "nonspeech", "intensity": "high"}),
        ("ASVP/actor_101/03-01-13-01-02-101-02-01.wav", {"speaker": "asvp_esd-101", "source_emotion": "breath"}),
    ],
)  # fmt: skip
def test_names_are_read_wherever_the_files_lie(path, facts):
    clip = describe(Path(path))
    assert {name: getattr(clip, name) for name in facts} == facts


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("03-01-09-01-02-01-12.wav", "emotion code '09'"),
        ("03-01-01-01-02-01-25.wav", "actor code '25'"),
        ("OAF_back_bored.wav", "emotion code 'bored'"),
        ("XX/a01.wav", "which speaker"),
        ("1040_ITH_SAD_XX.wav", "known to be bad"),
        ("1001_ABC_SAD_XX.wav", "sentence code 'abc'"),
        ("nobody/amused_1-15_0001.wav", "which speaker"),
        ("03-01-14-01-02-12-02-01-01-16.wav", "emotion code '14'"),
        ("holiday.wav", "no corpus"),
    ],
)
def test_names_that_break_the_rules_are_rejected_with_the_reason(path, reason):
    with pytest.raises(Rejected, match=reason):
        describe(Path(path))


def test_crema_d_reads_the_tables_beside_the_audio(tmp_path):
    (tmp_path / "processedResults").mkdir()
    (tmp_path / "VideoDemographics.csv").write_text('"ActorID","Age","Sex"\n1001,51,"Male"\n')
    (tmp_path / "processedResults" / "summaryTable.csv").write_text(
        '"","FileName","VoiceVote","VoiceLevel"\n"1","1001_IEO_ANG_HI","N:A","60:70"\n'
    )
    (tmp_path / "processedResults" / "tabulatedVotes.csv").write_text(
        '"","A","fileName","agreement"\n"100001",4,"1001_IEO_ANG_HI",0.4\n"200001",9,"1001_IEO_ANG_HI",0.9\n'
    )
    clip = describe(tmp_path / "AudioWAV" / "1001_IEO_ANG_HI.wav")
    assert (clip.age, clip.gender) == (51, "male")
    assert (clip.perceived_emotion, clip.agreement) == ("neutral:anger", 0.4)
