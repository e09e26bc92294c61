import csv
from collections import Counter
from pathlib import Path

import pytest

from data_prep.corpora import crema_d
from data_prep.find import Recogniser, find_recordings
from data_prep.schema import Clip, Rejected
from speech_emotion.labels import map_label


def parse(path: Path, *others: Path) -> Clip:
    """Read a name, with other files around it."""
    return Recogniser(path.parent, [path, *others]).parse_name(path)


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
        ("EmoV-DB/bea/amused/Amused_1-15_0001.wav", {"speaker": "emov_db-bea", "source_emotion": "amused"}),
        ("EmoV-DB/sam/Angry/Angry_1-28_0001.wav", {"speaker": "emov_db-sam", "source_emotion": "anger"}),
        ("bea_Sleepy/sleepy_29-56_0049.wav", {"source_emotion": "sleepiness"}),
        ("EMOVO/m2/gio-m2-b1.wav",
         {"speaker": "emovo-m2", "source_emotion": "joy", "gender": "male", "language": "it", "statement": "b1"}),
        ("ASED/05Angry/A5-01-02-01-37.wav",
         {"speaker": "ased-37", "source_emotion": "angry", "gender": "female", "language": "am"}),
        ("TurEV-DB/Calm/7895_sk_odenek.wav",
         {"speaker": "turev_db-7895", "source_emotion": "calm", "gender": None, "language": "tr", "statement": "odenek"}),
        ("EYASE/Female02/hap_17.wav",
         {"speaker": "eyase-female02", "source_emotion": "happiness", "gender": "female", "language": "ar-EG"}),
        ("wav/03a01Fa.wav",
         {"speaker": "emo_db-03", "source_emotion": "happiness", "gender": "male", "age": 31, "language": "de",
          "statement": "Der Lappen liegt auf dem Eisschrank."}),
        ("wav/16b10Wb.wav", {"speaker": "emo_db-16", "source_emotion": "anger", "gender": "female", "age": 31}),
        ("emodb/12a05Ld.wav", {"source_emotion": "boredom"}),
        ("33/03-01-03-02-03-02-33.wav",
         {"speaker": "banglaser-33", "source_emotion": "angry", "gender": "male", "intensity": "strong", "language": "bn"}),
        ("48/03-00-06-02-04-03-48.wav",
         {"speaker": "banglaser_ext-48", "source_emotion": "disgust", "gender": "female", "language": "bn"}),
    ],
)  # fmt: skip
def test_names_are_read_wherever_the_files_lie(path, facts):
    clip = parse(Path(path))
    assert {name: getattr(clip, name) for name in facts} == facts


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("03-01-09-01-02-01-12.wav", "emotion code '09'"),
        ("03-01-06-01-02-01-25.wav", "actor code '25'"),
        (
            "03-01-01-02-01-01-12.wav",
            "do not occur together in any corpus",
        ),  # neutral is never strong in RAVDESS
        ("OAF_back_bored.wav", "emotion code 'bored'"),
        ("XX/a01.wav", "names the speaker"),
        ("1040_ITH_SAD_XX.wav", "known to be bad"),
        ("1001_ABC_SAD_XX.wav", "sentence code 'abc'"),
        ("nobody/amused_1-15_0001.wav", "names the speaker"),
        ("03-01-14-01-02-12-02-01-01-16.wav", "emotion code '14'"),
        ("actor_01/03-01-06-01-02-01-02.wav", "actor 02, but lies in actor_01"),
        ("Actor_12/03-01-06-01-02-03-12.wav", "do not occur together"),
        ("a/ang_1.wav", "does not name the speaker"),
        ("gio-f1-x1.wav", "no corpus"),
        ("xyz-f1-b1.wav", "emotion code 'xyz'"),
        ("a6-01-02-01-37.wav", "emotion code 'a6'"),
        ("a5-01-02-03-37.wav", "sex code '03'"),
        ("1157_xx_acik.wav", "emotion code 'xx'"),
        ("04a01Fa.wav", "speaker code '04'"),
        ("03a03Fa.wav", "sentence code 'a03'"),
        ("1067_IEO_DIS_LO.wav", "two labels"),
        ("holiday.wav", "no corpus"),
    ],
)
def test_names_that_break_the_rules_are_rejected_with_the_reason(path, reason):
    with pytest.raises(Rejected, match=reason):
        parse(Path(path))


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
def test_crema_d_reads_the_tables_next_to_the_audio(audio, tmp_path):
    write_crema_d(tmp_path)
    clip = parse(tmp_path / audio)
    assert (clip.age, clip.gender) == (51, "male")
    assert (clip.perceived_emotion, clip.agreement) == ("neutral:anger", 0.4)


def test_the_tables_of_crema_d_are_found_whatever_their_case(tmp_path):
    write_crema_d(tmp_path, results="processedresults")
    (tmp_path / "VideoDemographics.csv").rename(tmp_path / "videodemographics.CSV")
    clip = parse(tmp_path / "audiowav" / "1001_ieo_fea_hi.wav")
    assert (clip.gender, clip.perceived_emotion) == ("male", "sad")


def test_without_tables_crema_d_still_knows_what_the_name_says(tmp_path):
    clip = parse(tmp_path / "AudioWAV" / "1001_IEO_ANG_HI.wav")
    assert (clip.gender, clip.perceived_emotion, clip.source_emotion) == (None, None, "anger")


def test_what_listeners_of_crema_d_heard(tmp_path):
    write_crema_d(tmp_path)
    heard, tied, unvoted = (
        parse(tmp_path / "AudioWAV" / f"1001_IEO_{name}.wav") for name in ("FEA_HI", "ANG_HI", "SAD_HI")
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
    clips = [parse(folder / f"{name}.wav") for name in names if name.lower() not in crema_d.FAULTS]
    assert len(clips) == 7436
    assert all(clip.perceived_emotion and clip.gender and clip.age for clip in clips)


# Names that RAVDESS and BanglaSER both have: calm or sad, happy or angry, angry or neutral.
SHARED = ("03-01-02-01-01-01-03", "03-01-03-02-02-01-03", "03-01-05-01-01-02-03")
RAVDESS_ONLY = (
    "03-01-06-01-01-01-03",
    "03-01-05-02-01-01-03",
    "03-02-04-01-01-01-03",
)  # fear, strong anger, a song
BANGLASER_ONLY = (
    "03-01-02-01-03-01-03",
    "03-01-01-01-01-03-03",
    "03-01-01-01-01-01-33",
)  # sentence, repetition, actor


def touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.wav" for name in names]
    for path in paths:
        path.touch()
    return paths


def read(root: Path, named=None) -> dict[str, str]:
    """Which corpus each file of a folder is of, or why it is of none."""
    paths = find_recordings(root)
    recogniser, found = Recogniser(root, paths, named), {}
    for path in paths:
        try:
            found[str(path.relative_to(root))] = recogniser.parse_name(path).corpus
        except Rejected as rejected:
            found[str(path.relative_to(root))] = str(rejected)
    return found


@pytest.mark.parametrize("folder", ["RAVDESS/Actor_03", "BanglaSER/03", "data/x", "."])
@pytest.mark.parametrize(
    ("telling", "corpus"),
    [(name, "ravdess") for name in RAVDESS_ONLY] + [(name, "banglaser") for name in BANGLASER_ONLY],
)
def test_one_unambiguous_name_decides_for_its_folder(telling, corpus, folder, tmp_path):
    touch(tmp_path / folder, telling, *SHARED)
    assert set(read(tmp_path).values()) == {corpus}


@pytest.mark.parametrize("folder", ["RAVDESS/Actor_03", "BanglaSER/03"])
def test_a_folder_of_ambiguous_names_is_refused_until_the_corpus_is_named(folder, tmp_path):
    touch(tmp_path / folder, *SHARED)
    for reason in read(tmp_path).values():
        assert reason.startswith("ambiguous name: RAVDESS and BanglaSER both write such names")
        place = tmp_path / folder
        assert reason.endswith(f"Name it with --corpus ravdess={place} or --corpus banglaser={place}")
    for name in ("ravdess", "banglaser"):
        assert set(read(tmp_path, {tmp_path / folder: name}).values()) == {name}


def test_ambiguous_names_of_an_actor_are_decided_by_neighbouring_folders(tmp_path):
    touch(tmp_path / "one" / "a", *SHARED)
    touch(tmp_path / "one" / "b", *RAVDESS_ONLY)
    touch(tmp_path / "other" / "a", *SHARED)
    touch(tmp_path / "other" / "b", *BANGLASER_ONLY)
    touch(tmp_path, SHARED[0])
    found = read(tmp_path)
    assert "ambiguous name" in found.pop(f"{SHARED[0]}.wav")
    assert {corpus for path, corpus in found.items() if path.startswith("one/")} == {"ravdess"}
    assert {corpus for path, corpus in found.items() if path.startswith("other/")} == {"banglaser"}


def test_two_corpora_in_one_folder_are_separated_by_unambiguous_names_only(tmp_path):
    touch(tmp_path / "mixed", *SHARED, *RAVDESS_ONLY, *BANGLASER_ONLY)
    found = {Path(path).stem: corpus for path, corpus in read(tmp_path).items()}
    assert {found[name] for name in RAVDESS_ONLY} == {"ravdess"}
    assert {found[name] for name in BANGLASER_ONLY} == {"banglaser"}
    assert all("ambiguous name" in found[name] for name in SHARED)


def table(corpora: Path, name: str) -> list[dict[str, str]]:
    """Return what the published table states of every file."""
    path = corpora.resolve().parents[1] / "shared" / "corpora" / "tables" / f"{name}.csv"
    if not path.is_file():
        pytest.skip(f"no table {path}")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "name", ["EMOVO", "ASED", "TurEV-DB", "BanglaSER", "BanglaSER-ext", "EYASE", "CREMA-D"]
)
def test_modules_agree_with_the_published_tables(name, corpora):
    rows = table(corpora, name)
    recogniser = Recogniser(corpora, find_recordings(corpora))
    disagreeing, left_out = [], []
    for row in rows:
        try:
            clip = recogniser.parse_name(corpora / row["path"])
        except Rejected:
            left_out.append(Path(row["path"]).stem)
            continue
        speaker = clip.speaker.removeprefix(f"{clip.corpus}-").lower()
        stated = row["speaker"].lower().removeprefix(f"{name.lower()}-")
        facts = (map_label(clip.source_emotion), speaker, clip.gender or "", clip.language)
        if facts != (row["emotion"], stated, row["gender"], row["language"]):
            disagreeing.append((row["path"], facts))
    assert not disagreeing
    assert left_out == (["1067_IEO_DIS_LO", "1067_IEO_FEA_LO"] if name == "CREMA-D" else [])


@pytest.mark.parametrize("called", ["RAVDESS", "Actor_01", "corpora"])
@pytest.mark.parametrize("corpus", ["BanglaSER", "BanglaSER-ext", "RAVDESS"])
def test_a_whole_corpus_is_never_read_as_another_one(corpus, called, corpora, tmp_path):
    (tmp_path / called).symlink_to(corpora / corpus)
    found = set(read(tmp_path).values())
    assert found == {corpus.lower().replace("-", "_")}


def test_whole_corpora_side_by_side_keep_their_own_clips(corpora, tmp_path):
    for corpus, called in (("BanglaSER", "RAVDESS"), ("RAVDESS", "BanglaSER"), ("BanglaSER-ext", "more")):
        (tmp_path / called).symlink_to(corpora / corpus)
    counts = Counter((path.split("/")[0], corpus) for path, corpus in read(tmp_path).items())
    assert counts == {
        ("RAVDESS", "banglaser"): 1449,
        ("BanglaSER", "ravdess"): 2036,
        ("more", "banglaser_ext"): 247,
    }


def test_the_clips_of_emov_db_are_read_as_the_folders_say(corpora):
    found = Counter(
        (clip.speaker, clip.source_emotion)
        for path in find_recordings(corpora / "EmoV-DB")
        for clip in [parse(path)]
    )
    assert found == {
        ("emov_db-bea", "anger"): 110, ("emov_db-jenie", "anger"): 110, ("emov_db-sam", "anger"): 110,
        ("emov_db-bea", "amused"): 20, ("emov_db-bea", "neutral"): 19, ("emov_db-sam", "neutral"): 1,
        ("emov_db-bea", "disgust"): 9, ("emov_db-bea", "sleepiness"): 1,
    }  # fmt: skip


def test_links_are_followed_once_each(tmp_path):
    real = tmp_path / "elsewhere"
    touch(real / "Actor_03", *RAVDESS_ONLY)
    root = tmp_path / "corpora"
    root.mkdir()
    (root / "linked").symlink_to(real)
    (root / "again").symlink_to(real)
    (root / "one.wav").symlink_to(real / "Actor_03" / f"{RAVDESS_ONLY[0]}.wav")
    (real / "loop").symlink_to(root)
    touch(root / "own", SHARED[0])
    (root / "own" / "alias.wav").symlink_to(root / "own" / f"{SHARED[0]}.wav")
    (root / "own" / "gone.wav").symlink_to(root / "nothing.wav")
    found = find_recordings(root)
    assert len(found) == len(RAVDESS_ONLY) + 1
    assert {path.resolve() for path in found} == {
        *(real / "Actor_03" / f"{name}.wav" for name in RAVDESS_ONLY), root / "own" / f"{SHARED[0]}.wav",
    }  # fmt: skip


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touch(tmp_path / ".RAVDESS", *RAVDESS_ONLY)
    touch(tmp_path / "RAVDESS", f"._{RAVDESS_ONLY[0]}", RAVDESS_ONLY[1])
    assert [path.stem for path in find_recordings(tmp_path)] == [RAVDESS_ONLY[1]]
