"""What other programs get: read back with pandas or the csv module, every value at its own date and entity."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import seawall as sw
from seawall.bridges.bars import export_backtrader, export_zipline
from seawall.bridges.predictions import export_alphalens, export_qlib_pred
from seawall.bridges.wide import export_vectorbt
from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.stores.predictions import write_fold
from tests.pipeline.world import config, market, write_market
from tests.support import make_panel


@pytest.fixture
def world(tmp_path: Path) -> tuple[Panel, Path, pd.DataFrame]:
    """A panel with breaks, predictions of two thirds of its rows, and the same as a long frame."""
    panel = make_panel(tmp_path, breaks=True)
    rows = np.asarray(panel.by_time[:])
    rows = rows[panel.time_index[rows] > 40]
    scores = np.random.default_rng(3).standard_normal(len(rows)).round(1).astype(np.float32)
    path = tmp_path / "predictions" / "fold_00.parquet"
    write_fold(path, panel, fold=0, rows=rows, predictions=scores, target="fwd", model_key="x")
    names = np.array(panel.entities)[panel.entity_of(rows)]
    days = panel.times_as_datetime()[panel.time_index[rows]]
    frame = pd.DataFrame({"row": rows, "day": days, "name": names, "score": scores.astype(float)})
    return panel, path.parent, frame


def test_qlib_gets_the_frame_it_keeps_as_pred(tmp_path: Path, world: tuple[Panel, Path, pd.DataFrame]) -> None:
    panel, predictions, frame = world

    export_qlib_pred(panel.path, predictions, tmp_path / "out")

    pred = pd.read_parquet(tmp_path / "out" / "pred.parquet")
    assert list(pred.index.names) == ["datetime", "instrument"]
    assert list(pred.columns) == ["score"]
    assert pred["score"].dtype == np.float64
    assert pred.index.is_monotonic_increasing
    assert pred.index.get_level_values("datetime").dtype == np.dtype("datetime64[ns]")
    expected = frame.set_index(["day", "name"])["score"]
    np.testing.assert_array_equal(pred["score"], expected.loc[list(pred.index)])
    assert len(pred) == len(frame)


def test_alphalens_gets_returns_factor_and_quantiles(tmp_path: Path, world: tuple[Panel, Path, pd.DataFrame]) -> None:
    panel, predictions, frame = world

    summary = export_alphalens(panel.path, predictions, tmp_path / "out")

    data = pd.read_parquet(tmp_path / "out" / "factor_data.parquet")
    assert list(data.index.names) == ["date", "asset"]
    assert list(data.columns) == ["2D", "factor", "factor_quantile"]
    returns = pd.Series(np.asarray(panel.returns[frame["row"].to_numpy(), 0]))
    rank = frame.groupby("day")["score"].rank()
    size = frame.groupby("day")["score"].transform("size")
    quantile = (1 + np.floor((rank - 0.5) * 5 / size)).astype(int)
    expected = pd.DataFrame({"2D": returns, "factor": frame["score"], "factor_quantile": quantile})
    expected.index = pd.MultiIndex.from_frame(frame[["day", "name"]], names=["date", "asset"])
    pd.testing.assert_frame_equal(data, expected.dropna(), check_index_type=False)
    assert summary["num_dropped"] == int(returns.isna().sum()) > 0


@pytest.mark.parametrize("block_cells", [1, 100, 1_000_000])
def test_vectorbt_gets_wide_frames_whatever_the_block(
    tmp_path: Path, world: tuple[Panel, Path, pd.DataFrame], block_cells: int
) -> None:
    panel, predictions, frame = world

    summary = export_vectorbt(panel.path, predictions, tmp_path / "out", block_cells=block_cells)

    scores = pd.read_feather(tmp_path / "out" / "scores.feather")
    close = pd.read_feather(tmp_path / "out" / "close.feather")
    assert summary["frames"] == ["scores", "open", "high", "low", "close"]
    assert scores.shape == close.shape == (summary["num_rows"], 8)
    pd.testing.assert_frame_equal(
        scores, frame.pivot_table(index="day", columns="name", values="score"), check_names=False, check_freq=False
    )
    rows = np.arange(panel.shape.num_rows)
    adjusted = np.asarray(panel.prices[rows, 3]) / np.asarray(panel.adjustment[rows])
    days, names = panel.times_as_datetime()[panel.time_index[rows]], np.array(panel.entities)[panel.entity_of(rows)]
    wide = pd.DataFrame({"day": days, "name": names, "close": adjusted}).pivot_table(
        index="day", columns="name", values="close"
    )
    np.testing.assert_array_equal(close, wide.loc[close.index])


def test_zipline_gets_bars_and_splits_that_make_the_same_adjusted_prices(
    tmp_path: Path, world: tuple[Panel, Path, pd.DataFrame]
) -> None:
    panel = world[0]

    summary = export_zipline(panel.path, tmp_path / "out", block_rows=7)

    text = (tmp_path / "out" / "daily" / "E000.csv").read_text().splitlines()
    assert text[0] == "date,open,high,low,close,volume,dividend,split"
    rows = panel.entity("E000").slice
    bars = pd.read_csv(tmp_path / "out" / "daily" / "E000.csv", parse_dates=["date"])
    traded = bars["close"].notna()
    np.testing.assert_array_equal(bars["close"][traded], panel.prices[rows][:, 3])
    # zipline multiplies earlier prices by 1 / split: all splits up to a row make its adjustment.
    np.testing.assert_allclose(1 / bars["split"].cumprod()[traded], panel.adjustment[rows], rtol=1e-12)
    # zipline refuses a file that lacks a session between its first and its last.
    dates = panel.time_index[rows]
    assert len(bars) == dates[-1] - dates[0] + 1 > len(dates)
    assert (bars["volume"][~traded] == 0).all()
    assert summary["num_rows"] == panel.shape.num_rows
    assert (bars["split"] != 1.0).sum() == 2


def test_backtrader_gets_adjusted_bars_in_its_own_order(
    tmp_path: Path, world: tuple[Panel, Path, pd.DataFrame]
) -> None:
    panel = world[0]

    export_backtrader(panel.path, tmp_path / "out", block_rows=1000)

    lines = (tmp_path / "out" / "E001.csv").read_text().splitlines()
    assert lines[0] == "datetime,open,high,low,close,volume,openinterest"
    first = lines[1].split(",")
    rows = panel.entity("E001").slice
    time = pd.Timestamp(panel.times_as_datetime()[panel.time_index[rows.start]])
    assert first[0] == time.strftime("%Y-%m-%d %H:%M:%S")
    opened, high, low, close = (panel.prices[rows.start] / panel.adjustment[rows.start]).tolist()
    assert [float(value) for value in first[1:]] == [opened, high, low, close, 0.0, 0.0]


def test_a_run_is_exported_by_its_folder_and_a_panel_alone_is_refused(tmp_path: Path) -> None:
    frame = market()
    values: dict[str, Any] = config(write_market(tmp_path / "market.csv", frame), tmp_path / "out")
    del values["train"], values["backtest"]
    frame[["symbol", "date"]].assign(score=np.arange(len(frame))).to_csv(tmp_path / "scores.csv", index=False)
    values["predictions"] = {"paths": [str(tmp_path / "scores.csv")], "entity": "symbol", "time": "date"}
    sw.run(values, memory="2GiB")

    for kind in ("qlib-pred", "alphalens", "vectorbt", "zipline", "backtrader"):
        sw.export(tmp_path / "out", tmp_path / kind, to=kind, memory="2GiB")

    num_rows = json.loads((tmp_path / "out" / "predictions" / "fold_00.json").read_text())["num_rows"]
    assert len(pd.read_parquet(tmp_path / "qlib-pred" / "pred.parquet")) == num_rows
    assert len(list((tmp_path / "backtrader").glob("*.csv"))) == 12
    with pytest.raises(ConfigError, match="needs predictions"):
        sw.export(tmp_path / "out" / "small.panel", tmp_path / "again", to="alphalens", memory="2GiB")
