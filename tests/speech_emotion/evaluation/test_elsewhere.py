import json

import numpy as np
import pytest

from speech_emotion.dataset import open_dataset
from speech_emotion.evaluation import elsewhere
from speech_emotion.evaluation.elsewhere import (
    Answers,
    answer,
    choose_thresholds,
    false_alarms,
    sure_answers,
)

LABELS = ["angry", "calm", "neutral"]


def answers(found: list[int], truth: list[int], confidence: float, temperature: float = 1.0) -> Answers:
    """Make clips that are answered like this, each with the same confidence."""
    shares = np.full((len(found), 3), (1 - confidence) / 2)
    shares[np.arange(len(found)), found] = confidence
    return answer(np.log(shares), np.array(truth), temperature, LABELS)


def test_a_false_alarm_is_a_sure_answer_that_is_not_plain():
    plain = answers([0, 1, 2, 0], [2, 2, 2, 2], 0.8)
    assert false_alarms(plain, np.full(3, 0.79)) == 0.5
    assert false_alarms(plain, np.full(3, 0.81)) == 0.0
    assert false_alarms(plain, np.array([0.81, 0.2, 0.2])) == 0.0
    cooled = answers([0, 1, 2, 0], [2, 2, 2, 2], 0.8, temperature=3.0)
    assert false_alarms(cooled, np.full(3, 0.79)) == 0.0  # a temperature above 1 lowers the confidence


def test_sure_answers_are_counted():
    own = answers([0, 0, 1, 2], [0, 1, 1, 0], 0.7)
    assert sure_answers(own, np.full(3, 0.6)) == {"sure": 1.0, "right_of_sure": 0.5, "sure_of_right": 1.0}
    assert sure_answers(own, np.full(3, 0.8)) == {"sure": 0.0, "right_of_sure": None, "sure_of_right": 0.0}


def test_the_thresholds_are_the_ones_at_which_both_bars_hold_and_most_right_answers_are_sure():
    bold, careful = answers([0] * 50, [0] * 20 + [1] * 30, 0.5), answers([0] * 50, [0] * 45 + [1] * 5, 0.9)
    elsewhere = Answers(*(np.concatenate(parts) for parts in zip(bold, careful, strict=True)))
    plain, known = answers([0] * 10, [2] * 10, 0.612), answers([0, 1, 2], [0, 1, 2], 0.65)
    angry, calm, neutral = choose_thresholds(elsewhere, [plain], known, LABELS)
    assert angry == pytest.approx(0.62)  # the plain clips decide; all other answers would ask for 0.52
    assert calm == neutral == pytest.approx(0.2)
    nothing = choose_thresholds(bold, [plain], known, LABELS)
    assert (nothing > 1).all()  # too few sure answers are right anywhere


def test_corpora_and_speakers_left_out_are_measured(small_dataset, tmp_path, monkeypatch, capsys):
    rows = open_dataset(str(small_dataset))["train"]
    names, corpora = rows.features["emotion"].names, rows["corpus"][:]
    rng = np.random.default_rng(0)
    for folder in ("left_out/one", "left_out/two", "folds/fold-1", "folds/fold-2"):
        (tmp_path / folder).mkdir(parents=True)
        labels = np.array(rows["emotion"])
        logits = 2 * np.eye(len(names))[labels] + rng.normal(size=(len(labels), len(names)))
        np.savez(tmp_path / folder / "predictions.npz", sha256=rows["sha256"][:], labels=labels, voice=logits)
    monkeypatch.setattr(elsewhere, "TALK", corpora[0])
    summaries = [tmp_path / "left_out.json", tmp_path / "folds.json"]
    for file in summaries:
        file.write_text('{"clips": 7}')
    command = ["elsewhere", tmp_path / "left_out", "--folds", tmp_path / "folds", "--data", small_dataset]
    command += ["--output", tmp_path / "out.json", "--calibration", tmp_path / "calibration.npz"]
    monkeypatch.setattr("sys.argv", [*map(str, command), "--summaries", *map(str, summaries)])
    elsewhere.main()
    report = json.loads((tmp_path / "out.json").read_text())
    assert set(report["corpora"]) == set(corpora)
    assert set(report["speakers"]) == set(corpora) - {corpora[0]}
    counts = {name: own["clips"] for name, own in report["speakers"].items()}
    assert counts == {name: corpora.count(name) for name in counts}  # tested twice, counted once
    assert report["mean_uar"] == pytest.approx(np.mean([own["uar"] for own in report["corpora"].values()]))
    with np.load(tmp_path / "calibration.npz") as kept:
        assert kept["voice"].shape[1] == len(names)
        assert {name: float(kept[name]) for name in names} == report["thresholds"]
    left_out, folds = (json.loads(file.read_text()) for file in summaries)
    assert (left_out["clips"], left_out["calibration"]["ece"]) == (7, report["mean_ece"])
    assert folds["calibration"]["ece"] == report["ece_of_speakers"]
