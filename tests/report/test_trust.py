import json
from pathlib import Path

from seawall.report.fields import Fields
from seawall.report.reading import read_run
from seawall.report.trust import alarms, band, sign_in_words, trust_answer, trust_details
from tests.report.fake_run import World, make_run


def test_a_run_without_an_alarm_says_how_many_notes_there_are(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path))
    assert alarms(run) == ()
    assert trust_answer(run) == "No alarm, 3 notes below."


def test_a_warning_of_a_stage_is_an_alarm(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    path = folder / "metrics" / "metrics.json"
    metrics = json.loads(path.read_text())
    path.write_text(json.dumps(metrics | {"warnings": ["The daily IC is too good: look for a leak."]}))
    assert trust_answer(read_run(folder)) == "Look first: 1 alarm, below."


def test_memory_beyond_its_plan_is_an_alarm(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    record = json.loads((folder / "run.json").read_text())
    record["units"]["join"]["measured_private_bytes"] = record["units"]["join"]["projected_private_bytes"] + 1
    (folder / "run.json").write_text(json.dumps(record))
    assert alarms(read_run(folder)) == ("join used more memory than planned",)


def test_the_details_tell_of_purge_folds_years_and_luck(tmp_path: Path) -> None:
    folder = make_run(tmp_path, World(strategies=("only",)))
    first, signs, luck = trust_details(read_run(folder))
    assert "7,248 samples whose target reached further were purged" in first
    assert signs.startswith("The mean Rank IC has the sign of the whole in 4 of 4 folds and ")
    assert luck.endswith("−4.0 % to 31.0 %; chance alone could explain it.")


def test_folds_with_the_other_sign_are_not_counted(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    path = folder / "metrics" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["folds"][1]["rank_ic"]["mean"] = -0.01
    metrics["folds"][2]["rank_ic"]["mean"] = None
    path.write_text(json.dumps(metrics))
    assert "in 2 of 4 folds" in trust_details(read_run(folder))[1]


def test_a_run_of_combinatorial_folds_is_not_called_out_of_sample(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(
        config.replace("train:\n  model", "train:\n  folds: {kind: combinatorial}\n  model")
    )
    run = read_run(folder)
    assert run.is_combinatorial
    assert "As a spread only" in trust_answer(run)
    assert not any("earlier dates" in text for text in trust_details(run))


def test_undefined_bands_and_signs_are_said_to_be() -> None:
    assert band(Fields({"mean_low": None, "mean_high": 0.1})) == "undefined"
    assert band(Fields({"mean_low": -0.01, "mean_high": 0.02})) == "−0.0100 to 0.0200"
    assert sign_in_words(Fields({})) == "too few dates"
    assert sign_in_words(Fields({"p_hac": 0.01, "mean": -0.1})) == "yes, wrong sign"
    assert sign_in_words(Fields({"p_hac": 0.2, "mean": 0.1})) == "no"
