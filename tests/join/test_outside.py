"""Scores of anybody become predictions of a run: what is matched, what is left out, and that nothing else changes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import seawall as sw
from seawall.errors import ConfigError, DataError
from seawall.join.config import PredictionsConfig
from seawall.join.outside import import_predictions
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore
from tests.pipeline.world import config, market, write_market
from tests.support import make_panel


def scores_of(panel: Panel, seed: int = 0) -> pd.DataFrame:
    """One score for each row of the panel, in order of entity."""
    rows = np.arange(panel.shape.num_rows)
    names = np.array(panel.entities)[panel.entity_of(rows)]
    times = panel.times_as_datetime()[panel.time_index[:]]
    return pd.DataFrame({"code": names, "day": times, "score": np.random.default_rng(seed).standard_normal(len(rows))})


def settings(path: Path, **changes: Any) -> PredictionsConfig:  # noqa: ANN401 - config values
    return PredictionsConfig.model_validate({"paths": (str(path),), "entity": "code", "time": "day"} | changes)


def taken(panel: Panel, config: PredictionsConfig, folder: Path, buffer_rows: int = 500) -> dict[str, Any]:
    return import_predictions(panel.path, config, folder / "predictions", folder / "work", buffer_rows=buffer_rows)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("buffer_rows", [64, 100_000])
def test_scores_in_any_order_land_on_their_rows_and_strangers_are_counted_by_reason(
    tmp_path: Path, ending: str, buffer_rows: int
) -> None:
    panel = make_panel(tmp_path)
    scores = scores_of(panel)
    scores.loc[[3, 5], "score"] = np.nan
    strangers = pd.DataFrame({"code": ["X1", "X2", "E000"], "day": pd.to_datetime(["2019-05-01"] * 2 + ["1999-01-01"])})
    shuffled = pd.concat([scores, strangers.assign(score=1.0)]).sample(frac=1.0, random_state=1)
    path = tmp_path / f"scores.{ending}"
    if ending == "csv":
        shuffled.to_csv(path, index=False, date_format="%Y-%m-%d")
    else:
        shuffled.to_parquet(path, index=False)

    summary = taken(panel, settings(path), tmp_path, buffer_rows)

    store = pq.read_table(tmp_path / "predictions" / "fold_00.parquet").to_pandas()
    inside = np.asarray(panel.universe[:], bool) & scores["score"].notna().to_numpy()
    expected = scores["score"].to_numpy()[store["row"]].astype(np.float32)
    assert sorted(store["row"]) == np.flatnonzero(inside).tolist()
    np.testing.assert_array_equal(store["prediction"], expected)
    assert store["entity"].tolist() == scores["code"].to_numpy()[store["row"]].tolist()
    assert (store["time"].diff().dropna() >= pd.Timedelta(0)).all()
    assert summary["unmatched"]["entity not in the panel"] == 2
    assert summary["unmatched"]["time not in the panel"] == 1
    assert summary["num_read"] == len(shuffled)
    assert sum(summary["unmatched"].values()) == len(shuffled) - len(store)
    assert not (tmp_path / "work").exists()
    assert [date for date, _ in PredictionStore(tmp_path / "predictions").dates(panel)] == sorted(
        set(panel.time_index[store["row"]].tolist())
    )


@pytest.mark.parametrize(("policy", "kept"), [("first", 1.0), ("last", 2.0)])
def test_repeated_keys_follow_the_declared_policy(tmp_path: Path, policy: str, kept: float) -> None:
    panel = make_panel(tmp_path, ragged=False)
    twice = scores_of(panel).iloc[[7, 7]].assign(score=[1.0, 2.0])
    twice.to_csv(tmp_path / "twice.csv", index=False)

    with pytest.raises(DataError, match="occurs more than once"):
        taken(panel, settings(tmp_path / "twice.csv"), tmp_path)
    summary = taken(panel, settings(tmp_path / "twice.csv", duplicates=policy), tmp_path)

    assert (summary["num_rows"], summary["num_repeated"]) == (1, 1)
    assert pq.read_table(tmp_path / "predictions" / "fold_00.parquet")["prediction"].to_pylist() == [kept]


def test_scores_that_meet_nothing_are_refused_with_examples_and_leave_the_old_ones(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    scores = scores_of(panel)
    scores.to_csv(tmp_path / "good.csv", index=False)
    taken(panel, settings(tmp_path / "good.csv"), tmp_path)
    before = (tmp_path / "predictions" / "fold_00.parquet").read_bytes()
    scores.assign(code="000001.XSHE").drop_duplicates("day").to_csv(tmp_path / "strange.csv", index=False)

    with pytest.raises(DataError, match=r"no score meets a row.*'000001\.XSHE'.*'E000'"):
        taken(panel, settings(tmp_path / "strange.csv"), tmp_path)

    assert (tmp_path / "predictions" / "fold_00.parquet").read_bytes() == before


def test_an_unknown_target_is_named(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    scores_of(panel).to_csv(tmp_path / "good.csv", index=False)

    with pytest.raises(ConfigError, match="fwd"):
        taken(panel, settings(tmp_path / "good.csv", target="fwd2"), tmp_path)


def test_a_config_with_predictions_of_others_gives_metrics_a_backtest_and_a_report(tmp_path: Path) -> None:
    frame = market()
    values = config(write_market(tmp_path / "market.csv", frame), tmp_path / "out")
    del values["train"]
    scores = frame[["symbol", "date"]].assign(score=np.random.default_rng(1).standard_normal(len(frame)))
    scores[scores["date"] > "2020-06-01"].sample(frac=1.0, random_state=2).to_csv(tmp_path / "scores.csv", index=False)
    values["predictions"] = {"paths": [str(tmp_path / "scores.csv")], "entity": "symbol", "time": "date"}

    sw.run(values, memory="2GiB")

    units = json.loads((tmp_path / "out" / "run.json").read_text())["units"]
    assert set(units) == {"ingest", "predict/fold_00", "evaluate", "join", "backtest", "report"}
    statistics = json.loads((tmp_path / "out" / "backtest" / "top" / "statistics.json").read_text())
    assert statistics["num_trades"] > 100
    report = (tmp_path / "out" / "report.html").read_text()
    assert "After costs" in report
    assert "There is no backtest" not in report
    record = units["predict/fold_00"]
    assert record["measured_private_bytes"] <= record["projected_private_bytes"]
    assert record["projected_private_bytes"] <= 1.5 * record["measured_private_bytes"] + 32 * 2**20


def test_a_run_trains_or_takes_predictions_but_not_both(tmp_path: Path) -> None:
    values = config(write_market(tmp_path / "market.csv", market()), tmp_path / "out")
    values["predictions"] = {"paths": ["scores.csv"], "entity": "symbol", "time": "date"}

    with pytest.raises(ConfigError, match="not both"):
        sw.run(values, memory="2GiB")
