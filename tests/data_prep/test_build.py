import hashlib
import json
import resource
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile
from command_line import prepare
from conftest import ROOT, voice, write_wav
from datasets import Audio, load_dataset, load_from_disk
from scipy.signal import resample_poly

from data_prep.build import build_dataset, cut_windows
from data_prep.checks import pack
from data_prep.schema import features
from speech_emotion.audio.decoding import load_audio, to_pcm
from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.labels import SCHEMES


def test_the_dataset_has_the_columns_of_the_schema_and_no_speaker_twice(small_dataset):
    dataset = load_from_disk(small_dataset)
    assert set(dataset) == {"train", "validation", "test"}
    speakers = {split: set(rows["speaker"]) for split, rows in dataset.items()}
    assert speakers["test"] == {"ravdess-01", "savee-DC"}
    assert speakers["validation"] == {"ravdess-02", "savee-JE"}
    assert not speakers["train"] & (speakers["test"] | speakers["validation"])
    assert dataset["train"].features == features(SCHEMES["core8"])
    assert set(dataset["test"]["fold"]) == {1}


def test_clips_are_16_khz_flac_with_their_facts(small_dataset):
    row = next(iter(open_dataset(str(small_dataset))["test"]))
    assert row["audio"]["path"] == "savee-dc_h01.flac" or row["audio"]["path"].startswith("ravdess-")
    audio = read_clip(row)
    assert row["duration"] == pytest.approx(audio.size / 16_000)
    assert row["audio"]["bytes"][:4] == b"fLaC"
    pcm = np.round(audio * 2**15).astype("<i2").tobytes()
    assert row["sha256"] == hashlib.sha256(pcm).hexdigest()


def test_parquet_reads_back_as_the_same_dataset(small_dataset, tmp_path):
    rows = load_from_disk(small_dataset)["test"]
    rows.to_parquet(tmp_path / "test-00000-of-00001.parquet")
    loaded = load_dataset(
        "parquet", data_files=str(tmp_path / "*.parquet"), split="train", cache_dir=str(tmp_path)
    )
    assert loaded.features == rows.features
    encoded = [table.cast_column("audio", Audio(decode=False))["audio"] for table in (loaded, rows)]
    assert list(encoded[0]) == list(encoded[1])


def test_bad_files_are_left_out_with_their_reasons(tmp_path):
    good = voice(seed=5)
    folder = tmp_path / "corpora" / "Actor_01"
    names = {
        emotion: folder / f"03-01-{emotion}-01-01-01-01.wav"
        for emotion in ["01", "02", "03", "04", "05", "06", "07", "08"]
    }
    write_wav(names["01"], good)
    names["02"].write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    names["03"].write_bytes(b"RIFF....")
    write_wav(names["04"], np.zeros(16_000))
    write_wav(names["05"], np.full(16_000, 0.2))
    write_wav(names["06"], good[:2_000])
    soundfile.write(names["07"], np.full(16_000, np.nan), 16_000, subtype="DOUBLE")
    write_wav(folder / "03-01-01-01-01-02-01.wav", good)  # same label, same samples: one is kept
    twin = voice(seed=6)
    write_wav(folder / "03-01-08-01-02-01-01.wav", twin)  # two labels, same samples: none is kept
    write_wav(folder / "03-01-03-01-02-01-01.wav", twin)
    write_wav(folder / "03-01-01-01-01-01-01.flac", good)  # the same utterance in another encoding
    write_wav(folder / "holiday.wav", good)
    dataset, skipped = build_dataset(tmp_path / "corpora", tmp_path / "out", workers=1)
    assert [row["source_emotion"] for row in dataset["test"].remove_columns("audio")] == ["neutral"]
    reasons = {skip.path.name: skip.reason for skip in skipped}
    for name, reason in {
        names["02"].name: "git lfs pull",
        names["03"].name: "not audio",
        names["04"].name: "silent",
        names["05"].name: "flat line",
        names["06"].name: "shorter than 0.2 s",
        names["07"].name: "not numbers",
        "03-01-01-01-01-02-01.wav": "the same samples as 03-01-01-01-01-01-01.wav",
        "03-01-08-01-02-01-01.wav": "another label as 03-01-03-01-02-01-01.wav",
        "03-01-03-01-02-01-01.wav": "another label as 03-01-08-01-02-01-01.wav",
        "03-01-01-01-01-01-01.flac": "same utterance",
        "holiday.wav": "no corpus",
    }.items():
        assert reason in reasons.pop(name)
    assert not reasons
    report = json.loads((tmp_path / "out" / "preparation.json").read_text())
    assert len(report["skipped"]) == len(skipped)


def test_a_scheme_that_drops_a_label_says_so(small_corpora, tmp_path):
    write_wav(tmp_path / "c" / "sam" / "sleepiness_1-2_0001.wav", voice())
    write_wav(tmp_path / "c" / "sam" / "amused_1-2_0001.wav", voice(200))
    dataset, skipped = build_dataset(tmp_path / "c", tmp_path / "out", scheme="core8", workers=1)
    assert [skip.reason for skip in skipped] == ["'sleepiness' has no label in core8"]
    names = dataset["train"].features["emotion"].names
    assert [names[index] for index in dataset["train"]["emotion"]] == ["happy"]


@pytest.mark.parametrize(
    ("seconds", "windows"),
    [(0.3, [0.3]), (2.0, [2.0]), (2.9, [2.0]), (3.0, [2.0, 1.0]), (4.0, [2.0, 2.0]), (5.5, [2.0, 2.0, 1.5])],
)
def test_windows_lie_side_by_side_and_a_rest_counts_from_half_a_window(seconds, windows):
    clip = pack(to_pcm(voice(seconds=seconds)))
    pieces = cut_windows(clip.flac, 2.0)
    assert [piece.seconds for piece in pieces] == windows
    joined = np.concatenate([load_audio(piece.flac) for piece in pieces])
    np.testing.assert_array_equal(joined, load_audio(clip.flac)[: joined.size])


def test_windows_stay_in_the_split_of_their_clip_and_keep_its_facts(small_corpora, small_dataset, tmp_path):
    clips = load_from_disk(small_dataset)
    result = prepare("--corpora", small_corpora, "--output", tmp_path / "out", "--window_seconds", 0.4)
    assert result.returncode == 0, result.stderr
    for split, rows in open_dataset(str(tmp_path / "out")).items():
        names = {row["audio"]["path"] for row in clips[split].cast_column("audio", Audio(decode=False))}
        assert {row["audio"]["path"].rpartition("-")[0] + ".flac" for row in rows} == names
        assert set(rows["speaker"]) == set(clips[split]["speaker"])
        assert len({row["audio"]["path"] for row in rows}) == len(rows) > len(names)
        for row in rows:
            audio = read_clip(row)
            assert row["duration"] == pytest.approx(audio.size / 16_000)
            assert row["sha256"] == hashlib.sha256(to_pcm(audio).tobytes()).hexdigest()


def test_windows_too_short_for_a_syllable_are_refused(small_corpora, tmp_path):
    with pytest.raises(ValueError, match=r"0\.4 s or longer"):
        build_dataset(small_corpora, tmp_path / "out", window_seconds=0.1)


def test_preparing_needs_no_torch():
    code = "import sys, data_prep.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_command_prints_a_table_and_a_second_run_replaces_the_first(small_corpora, tmp_path):
    command = [sys.executable, "-m", "data_prep", "--corpora", small_corpora, "--output", tmp_path / "out"]
    for _ in range(2):
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        old = tmp_path / "out" / "old"
        assert not old.exists()
        old.mkdir()
    assert "ravdess" in result.stdout
    assert "Skipped: 0 files" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_something_else_is_not_replaced(small_corpora, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    result = prepare("--corpora", small_corpora, "--output", tmp_path)
    assert result.returncode == 1
    assert "not replaced" in result.stderr
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("make", [False, True], ids=["missing", "empty"])
def test_a_folder_without_recordings_ends_in_a_sentence(make, tmp_path):
    if make:
        (tmp_path / "corpora").mkdir()
    result = prepare("--corpora", tmp_path / "corpora", "--output", tmp_path / "out")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert str(tmp_path / "corpora") in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.serial
def test_preparing_takes_no_more_than_two_cores_for_90_seconds_on_23_000_clips(corpora, tmp_path):
    def cpu_seconds() -> float:
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in usage)

    started = cpu_seconds()
    dataset, _ = build_dataset(corpora / "TESS", tmp_path / "emotion", workers=1)
    assert (cpu_seconds() - started) / len(dataset["train"]) < 2 * 90 / 23_000


def test_a_release_of_emov_db_at_mixed_rates_and_with_styles_spelled_in_two_ways_is_read_alike(tmp_path):
    names = ("bea/Amused/amused_1-15_0001", "bea_amused/Amused_1-15_0002", "sam/Angry/anger_1-28_0003",
             "sam_anger/Angry_1-28_0004")  # fmt: skip
    forms = ((16_000, "PCM_16"), (22_050, "PCM_16"), (44_100, "DOUBLE"), (16_000, "FLOAT"))
    for number, (name, (rate, subtype)) in enumerate(zip(names, forms, strict=True)):
        path = tmp_path / "c" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        clip = resample_poly(voice(seed=number), rate, 16_000, window=("kaiser", 12.0))
        soundfile.write(path, clip, rate, subtype=subtype)
    dataset, skipped = build_dataset(tmp_path / "c", tmp_path / "out", workers=1)
    assert not skipped
    rows = dataset["train"].cast_column("audio", Audio(decode=False))
    found = {row["audio"]["path"][-9:-5]: row for row in rows}
    assert [found[number]["source_emotion"] for number in sorted(found)] == [
        "amused",
        "amused",
        "anger",
        "anger",
    ]
    assert {row["speaker"] for row in found.values()} == {"emov_db-bea", "emov_db-sam"}
    for seed, number in enumerate(sorted(found)):
        audio = read_clip(found[number])
        assert audio.size == 16_000
        assert np.corrcoef(audio, voice(seed=seed))[0, 1] > 0.99


def test_both_takes_of_two_labels_and_a_silent_clip_of_crema_d_are_left_out(tmp_path):
    folder = tmp_path / "corpora" / "CREMA-D" / "AudioWAV"
    names = ("1067_IEO_DIS_LO", "1067_IEO_FEA_LO", "1013_WSI_DIS_XX", "1013_WSI_SAD_XX", "1067_IEO_ANG_LO")
    for number, name in enumerate(names):
        write_wav(folder / f"{name}.wav", voice(seed=min(number, 2) if number < 4 else number))
    write_wav(folder / "1076_MTI_SAD_XX.wav", np.zeros(32_000))
    dataset, skipped = build_dataset(tmp_path / "corpora", tmp_path / "out", workers=1)
    kept = [
        row["audio"]["path"]
        for rows in dataset.values()
        for row in rows.cast_column("audio", Audio(decode=False))
    ]
    assert sorted(kept) == ["crema_d-1013_wsi_sad_xx.flac", "crema_d-1067_ieo_ang_lo.flac"]
    assert {skip.path.stem: skip.reason.partition(":")[0] for skip in skipped} == {
        "1067_IEO_DIS_LO": "two labels",
        "1067_IEO_FEA_LO": "two labels",
        "1013_WSI_DIS_XX": "one of the four clips known to be bad in the published set",
        "1076_MTI_SAD_XX": "silent",
    }


@pytest.mark.slow
def test_only_duplicates_and_faulty_recordings_of_the_real_corpora_are_left_out(corpora, tmp_path):
    build_dataset(corpora, tmp_path / "emotion")
    dataset = load_from_disk(tmp_path / "emotion").remove_columns("audio")
    counts = Counter(corpus for rows in dataset.values() for corpus in rows["corpus"])
    assert counts == {
        "ased": 2413, "banglaser": 1449, "banglaser_ext": 246, "crema_d": 7435, "emov_db": 379, "emovo": 588,
        "eyase": 579, "ravdess": 2035, "savee": 480, "tess": 2800, "turev_db": 1734,
    }  # fmt: skip
    assert all(language for rows in dataset.values() for language in rows["language"])
    assert set(dataset["aside"]["corpus"]) == {"banglaser_ext", "emov_db"}
    report = json.loads((tmp_path / "emotion" / "preparation.json").read_text())
    assert report["counts"] == {
        "another encoding": 8,  # seven of CREMA-D lie there as MP3, too; one of BanglaSER's extension twice
        "two labels": 2,
        "'sleepiness' has no label in core8": 1,
        "a double": 1,  # RAVDESS has published it twice
    }
    crema = [row for row in dataset["test"] if row["corpus"] == "crema_d"]
    assert crema
    assert all(row["perceived_emotion"] and row["age"] and row["gender"] for row in crema)
