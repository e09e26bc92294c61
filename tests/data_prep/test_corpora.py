from pathlib import Path

import pytest

from data_prep.build import describe
from data_prep.corpora import crema_d
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
        ("ASVP/actor_12/03-01-01-01-02-12-02.wav", {"speaker": "asvp_esd-12", "source_emotion": "boredom"}),
        ("asvp/Actor_12/03-01-01-01-02-12.MP3", {"speaker": "asvp_esd-12", "source_emotion": "boredom"}),
        ("Audio_Song_Actors_01-24/Actor_02/03-02-01-01-01-02-02.m4a", {"speaker": "ravdess-02", "channel": "song"}),
        ("tess toronto/oaf_Pleasant_surprise/oaf_king_PS.FLAC", {"speaker": "tess-OAF", "source_emotion": "pleasant surprise"}),
        ("savee/audiodata/kl/SU05.ogg", {"speaker": "savee-KL", "source_emotion": "surprise"}),
        ("crema-d/audiowav/1091_wsi_sad_xx.WAV", {"speaker": "crema_d-1091", "intensity": "unspecified"}),
        ("JENIE/ANGER/anger_29-56_0029.wav", {"speaker": "emov_db-jenie", "source_emotion": "anger"}),
        ("josh_Amused/amused_1-28_0001.wav", {"speaker": "emov_db-josh", "gender": "male"}),
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
        ("actor_01/03-01-01-01-02-01-02.wav", "actor 02, but lies in actor_01"),  # perhaps of ASVP-ESD
        ("Actor_12/03-01-01-01-02-03-12.wav", "neither a RAVDESS name"),
        ("holiday.wav", "no corpus"),
    ],
)
def test_names_that_break_the_rules_are_rejected_with_the_reason(path, reason):
    with pytest.raises(Rejected, match=reason):
        describe(Path(path))


SUMMARY = """"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"
"1","1001_IEO_ANG_HI","N:A","37.2:58.6","A","92.22","A","64.78"
"2","1001_IEO_FEA_HI","S","71.67","F","57","F","57.38"
"""


def write_crema_d(folder: Path, results: str = "processedResults") -> None:
    (folder / results).mkdir(parents=True)
    (folder / "VideoDemographics.csv").write_text(
        '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
    )
    (folder / results / "summaryTable.csv").write_text(SUMMARY)
    (folder / results / "tabulatedVotes.csv").write_text(
        '"","A","fileName","agreement"\n"100001",4,"1001_IEO_ANG_HI",0.4\n"200001",9,"1001_IEO_ANG_HI",0.9\n'
    )


@pytest.mark.parametrize(
    "audio", ["AudioWAV/1001_IEO_ANG_HI.wav", "AudioMP3/1001_ieo_ang_hi.mp3", "1001_IEO_ANG_HI.wav"]
)
def test_crema_d_reads_the_tables_beside_the_audio(audio, tmp_path):
    write_crema_d(tmp_path)
    clip = describe(tmp_path / audio)
    assert (clip.age, clip.gender) == (51, "male")
    assert (clip.perceived_emotion, clip.agreement) == ("neutral:anger", 0.4)


def test_the_tables_of_crema_d_are_found_whatever_their_case(tmp_path):
    write_crema_d(tmp_path, results="processedresults")
    (tmp_path / "VideoDemographics.csv").rename(tmp_path / "videodemographics.CSV")
    clip = describe(tmp_path / "audiowav" / "1001_ieo_fea_hi.wav")
    assert (clip.gender, clip.perceived_emotion) == ("male", "sad")


def test_without_tables_crema_d_still_knows_what_the_name_says(tmp_path):
    clip = describe(tmp_path / "AudioWAV" / "1001_IEO_ANG_HI.wav")
    assert (clip.gender, clip.perceived_emotion, clip.source_emotion) == (None, None, "anger")


def test_what_listeners_of_crema_d_heard(tmp_path):
    write_crema_d(tmp_path)
    heard, tied, unvoted = (
        describe(tmp_path / "AudioWAV" / f"1001_IEO_{name}.wav") for name in ("FEA_HI", "ANG_HI", "SAD_HI")
    )
    assert crema_d.heard_emotion(heard) == "sad"
    assert heard.source_emotion == "fear"
    with pytest.raises(Rejected, match="tied between neutral and anger"):
        crema_d.heard_emotion(tied)
    with pytest.raises(Rejected, match="no listeners' votes"):
        crema_d.heard_emotion(unvoted)


def test_every_vote_of_the_published_table_is_understood(corpora):
    folder = corpora / "CREMA-D" / "AudioWAV"
    names = [row["FileName"] for row in crema_d._rows(folder, "summarytable.csv")]
    clips = [describe(folder / f"{name}.wav") for name in names if name.lower() not in crema_d.KNOWN_BAD]
    assert len(clips) == 7438
    assert all(clip.perceived_emotion and clip.gender and clip.age for clip in clips)
