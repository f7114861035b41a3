import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seawall.report.cautions import warnings
from seawall.report.facts import best_strategy, cost_drag, verdict
from seawall.report.fields import Fields
from seawall.report.reading import read_run
from seawall.report.summary import findings
from seawall.report.timeline import pack_timeline
from seawall.report.words import decimal, percent, probability, significant, size, times, when, whole
from seawall.units import MIB
from tests.report.fake_run import make_run


def _edit(path: Path, *, change: dict[str, Any]) -> None:
    record = json.loads(path.read_text())
    record.update(change)
    path.write_text(json.dumps(record))


def _edit_unit(folder: Path, unit: str, change: dict[str, Any]) -> None:
    record = json.loads((folder / "run.json").read_text())
    record["units"][unit].update(change)
    (folder / "run.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("mean", "p", "words"),
    [
        (0.03, 0.049, "distinguishable from zero at 5 %"),
        (0.03, 0.05, "not distinguishable from zero at 5 %"),
        (-0.03, 0.001, "distinguishable from zero at 5 %, with the wrong sign"),
        (0.03, None, "too few dates to test"),
        (None, None, "too few dates to test"),
    ],
)
def test_the_verdict_on_an_ic_follows_its_p_and_its_sign(mean: float | None, p: float | None, words: str) -> None:
    assert verdict(Fields({"mean": mean, "p_hac": p})) == words


def test_undefined_numbers_are_written_so_and_never_as_zero() -> None:
    assert {write(None) for write in (decimal, percent, significant, whole, size, probability, when)} == {"undefined"}


def test_numbers_are_written_the_way_people_read_them() -> None:
    assert decimal(-0.01234) == "−0.0123"
    assert percent(-0.234) == "−23.4 %"
    assert probability(0.00001) == "< 0.001"
    assert when("2020-01-02T00:00:00+00:00") == "2020-01-02"
    assert when("2020-01-02T09:30:00Z") == "2020-01-02T09:30:00Z"
    assert when(17) == "17"
    assert [times(1, "fold"), times(1_200, "fold")] == ["1 fold", "1,200 folds"]


def test_the_summary_of_a_finished_run_answers_all_four_questions(tmp_path: Path) -> None:
    trained, ended, predicts, earned, trusted, memory = findings(read_run(make_run(tmp_path)))
    assert trained.answer == "LSTM attention, 4 walk-forward folds"
    assert "257 entities" in trained.details[0]
    assert "5 periods ahead" in trained.details[1]
    assert predicts.answer.startswith("Yes")
    assert "t_hac =" in predicts.details[0]
    assert "a year after costs" in earned.answer
    assert len(earned.details) == 2
    assert ended.answer == "Finished 2026-11-21 04:00 UTC"
    assert trusted.answer.startswith("No alarm")
    assert memory.answer.startswith("Stayed inside: ")
    assert "every unit stayed under its projection" in memory.details[1]


def test_memory_is_that_of_all_units_that_ran_side_by_side(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    pack_timeline(folder / "memory.csv", folder / "memory.parquet")
    run = read_run(folder)
    assert run.timeline is not None
    together = replace(run.timeline, total_bytes=run.timeline.total_bytes + 300 * MIB)
    beside, alone = findings(replace(run, timeline=together))[-1], findings(replace(run, timeline=None))[-1]
    assert f": {size(float(together.total_bytes.max()))} of" in beside.answer
    assert "side by side" in beside.details[-1]
    assert "side by side" not in " ".join(alone.details)
    over = findings(replace(run, timeline=replace(together, total_bytes=together.total_bytes + 2000 * MIB)))[-1]
    assert over.answer.startswith("Went over: ")


def test_an_ic_that_cannot_be_told_from_zero_is_not_called_a_prediction(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    metrics = json.loads((folder / "metrics/metrics.json").read_text())
    metrics["overall"]["rank_ic"]["p_hac"] = 0.4
    (folder / "metrics/metrics.json").write_text(json.dumps(metrics))
    assert findings(read_run(folder))[2].answer == "Not proven: its Rank IC cannot be told from zero."


def test_a_run_that_has_only_begun_says_so_in_each_answer(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": "seawall-run/1", "name": "young", "units": {}}')
    answers = [finding.answer for finding in findings(read_run(tmp_path))]
    assert answers[1:] == [
        "No unit has ended yet.",
        "Not evaluated yet.",
        "No backtest yet.",
        "Too early to tell: nothing is evaluated yet.",
        "No unit has been measured yet.",
    ]
    assert answers[0].startswith("Nothing yet")


def test_a_run_in_the_middle_of_training_counts_its_folds(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    (folder / "models/fold_03/history.json").unlink()
    assert findings(read_run(folder))[0].answer == "LSTM attention, 3 of 4 walk-forward folds so far"


def test_going_over_projection_or_budget_is_a_warning_and_in_the_answer(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    _edit_unit(folder, "evaluate", {"measured_private_bytes": 1100 * MIB})
    run = read_run(folder)
    assert any(text.startswith("evaluate used 1.1 GiB, more than the 120 MiB projected") for text in warnings(run))
    assert any(text.startswith("evaluate and its parent used 1.1 GiB, more than the 1.0 GiB") for text in warnings(run))
    assert findings(run)[5].answer.startswith("Went over: ")
    assert "1 unit used more than projected" in findings(run)[5].details[1]


def test_warnings_of_stages_are_shown_once(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    leak = "The daily IC is 0.31 on average: check that no feature knows the future."
    _edit(folder / "metrics/metrics.json", change={"warnings": [leak]})
    _edit_unit(folder, "evaluate", {"summary": {"warnings": [leak]}})
    assert warnings(read_run(folder)).count(leak) == 1


def test_gaps_are_warned_of_with_their_numbers(tmp_path: Path) -> None:
    found = " ".join(warnings(read_run(make_run(tmp_path))))
    assert "undefined on 10 test dates" in found
    assert "360 predictions" in found
    assert "top_20: 31 orders not filled" in found


def test_the_best_strategy_is_the_one_with_the_highest_return_and_undefined_ones_do_not_count(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    _edit(folder / "backtest/top_20/statistics.json", change={"annual_return": None})
    _edit(folder / "backtest/long_short/statistics.json", change={"annual_return": -0.5})
    run = read_run(folder)
    best = best_strategy(run)
    assert best is not None
    assert best.name == "long_short"
    assert "top_20: undefined a year" in " ".join(findings(run)[3].details)


def test_the_cost_of_trading_is_the_mean_difference_of_gross_and_net_returns(tmp_path: Path) -> None:
    strategy = read_run(make_run(tmp_path)).strategies[0]
    assert strategy.equity is not None
    costs = strategy.equity.gross_return[1:] - strategy.equity.period_return[1:]
    found = cost_drag(strategy)
    assert found is not None
    assert math.isclose(found, float(costs.mean()) * 245, rel_tol=1e-12)


def test_losing_with_every_strategy_is_called_a_loss(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    for name in ("top_20", "long_short"):
        _edit(folder / "backtest" / name / "statistics.json", change={"annual_return": -0.076})
    assert findings(read_run(folder))[3].answer == "A loss: −7.6 % a year after costs."


def test_positions_at_stale_prices_and_skipped_decisions_are_warned_of(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    change = {"num_stale_positions": 1, "num_decisions_skipped": 3}
    _edit(folder / "backtest/top_20/statistics.json", change=change)
    found = warnings(read_run(folder))
    assert "top_20: 1 position still held at the end at a price long out of date." in found
    assert "top_20: 3 decisions skipped, because too few names had a prediction." in found
