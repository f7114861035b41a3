"""Qlib's own backtest of its TopkDropoutStrategy, recorded (``python -m bench topk_dropout --record``), is ours."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backtest.qlib_world import RULES, our_config, qlib_world
from tests.backtest.world import World, config_of

RECORDED = Path(__file__).parent / "data" / "qlib_topk_dropout.json"


def test_qlibs_own_report_is_ours_date_by_date(tmp_path: Path) -> None:
    theirs: dict[str, Any] = json.loads(RECORDED.read_text())
    world, days = qlib_world()

    results = world.run(tmp_path, our_config())

    assert theirs["first_day"] == str(days[1])
    ours = results.equity("x").iloc[1 : 1 + len(theirs["return"])]
    np.testing.assert_allclose(ours["equity"] * RULES["initial_equity"], theirs["account"], rtol=1e-9)
    np.testing.assert_allclose(ours["gross_return"], theirs["return"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours["cost"], theirs["cost"], rtol=0, atol=1e-9)
    statistics = results.statistics("x")
    # What could differ did happen: limits on both sides, names without a price, names held without a score.
    assert statistics["num_limited"] > 0
    assert statistics["num_rejected"] > 0
    assert len(theirs["return"]) == 248
    assert np.std(theirs["return"]) > 0.005


def test_the_convention_decides_whether_a_limit_stops_both_sides(tmp_path: Path) -> None:
    world, _ = qlib_world()
    ours = our_config()

    one_sided = world.run(tmp_path, ours.model_copy(update={"convention": None}))

    theirs = json.loads(RECORDED.read_text())
    account = one_sided.equity("x")["equity"].iloc[1 : 1 + len(theirs["account"])] * RULES["initial_equity"]
    assert np.abs(account / theirs["account"] - 1).max() > 1e-4


def test_of_names_held_without_a_score_the_last_by_name_go_first(tmp_path: Path) -> None:
    # Qlib drops such ties by name too, or by the order of buying where nothing new is to be bought.
    close = np.full((4, 5), 10.0)
    scores = np.tile([5.0, 4.0, 3.0, 2.0, 1.0], (4, 1))
    scores[1, :3] = np.nan
    drop = {"kind": "top_k_dropout", "name": "x", "k": 3, "n_drop": 1, "gross_exposure": 0.9, "rebalance_periods": 1}

    ledger = World(close, close, scores).run(tmp_path, config_of(drop)).ledger("x")

    second = ledger[ledger["time"] == ledger["time"].unique()[1]]
    assert second["entity"].astype(str).tolist() == ["E002", "E003"]
    assert (second["shares"] > 0).tolist() == [False, True]


@pytest.mark.parametrize("column", ["return", "cost", "account"])
def test_the_record_is_of_a_real_run(column: str) -> None:
    assert len(set(json.loads(RECORDED.read_text())[column])) > 240
