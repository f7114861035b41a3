"""Judging outside predictions, held against pandas and SciPy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from seawall.errors import ConfigError, DataError
from seawall.evaluate.config import TablesConfig
from seawall.evaluate.tables import evaluate_tables

DAYS = pd.bdate_range("2020-01-01", periods=40)
NAMES = [f"{number:03d}" for number in range(25)]


def _frame(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.MultiIndex.from_product([DAYS, NAMES], names=["date", "symbol"]).to_frame(index=False)
    frame["score"] = np.round(rng.standard_normal(len(frame)), 1)  # with ties
    frame["y"] = 0.3 * frame["score"] + rng.standard_normal(len(frame))
    frame.loc[rng.random(len(frame)) < 0.05, "y"] = np.nan
    frame.loc[frame["date"] == DAYS[7], "score"] = 1.0  # no variance
    frame.loc[(frame["date"] == DAYS[9]) & (frame["symbol"] > "004"), "y"] = np.nan  # too few names
    return frame.sample(frac=1, random_state=seed)


def _judge(tmp_path: Path, buffer_rows: int = 97, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    config = TablesConfig(predictions=(str(tmp_path / "p.*"),), **more)
    return evaluate_tables(config, tmp_path / "out", tmp_path / "work", buffer_rows=buffer_rows)


def _daily(frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for day, names in frame.dropna(subset=["y"]).groupby("date"):
        enough = len(names) >= 10 and names["score"].nunique() > 1
        ic = np.corrcoef(names["score"], names["y"])[0, 1] if enough else np.nan
        rank_ic = spearmanr(names["score"], names["y"]).statistic if enough else np.nan
        rows.append((day, len(names), ic, rank_ic))
    return pd.DataFrame(rows, columns=["time", "num_names", "ic", "rank_ic"])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_daily_numbers_are_those_of_numpy_and_scipy(tmp_path: Path, kind: str) -> None:
    frame = _frame()
    frame.to_csv(tmp_path / "p.csv", index=False) if kind == "csv" else frame.to_parquet(tmp_path / "p.parquet")
    summary = _judge(tmp_path, target="y")
    found, expected = pq.read_table(tmp_path / "out" / "daily.parquet").to_pandas(), _daily(frame)
    assert found["time"].tolist() == expected["time"].tolist()
    assert found["num_names"].tolist() == expected["num_names"].tolist()
    for name in ("ic", "rank_ic"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-12)
    assert summary["ic_mean"] == pytest.approx(expected["ic"].mean(), abs=1e-12)
    assert summary["overall"]["ic"]["num_undefined"] == 2
    defined = frame.dropna()
    assert summary["mse"] == pytest.approx(((defined["score"] - defined["y"]) ** 2).mean(), rel=1e-12)
    assert summary["num_without_target"] == int(frame["y"].isna().sum())
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["overall"] == summary["overall"]


def test_a_second_table_gives_the_same_as_a_column(tmp_path: Path) -> None:
    frame = _frame()
    frame.to_parquet(tmp_path / "p.parquet")
    together = _judge(tmp_path, target="y")
    frame.drop(columns="y").to_parquet(tmp_path / "p.parquet")
    frame[["symbol", "date", "y"]].sample(frac=1, random_state=5).to_parquet(tmp_path / "r.parquet")
    apart = _judge(tmp_path, returns=(str(tmp_path / "r.parquet"),))
    assert apart["overall"] == together["overall"]


def test_numbers_do_not_depend_on_the_buffer(tmp_path: Path) -> None:
    _frame().to_parquet(tmp_path / "p.parquet")
    results = []
    for buffer_rows in (1, 33, 10_000):
        summary = _judge(tmp_path, buffer_rows, target="y")
        results.append((summary["overall"]["ic"], (tmp_path / "out" / "daily.parquet").read_bytes()))
    assert results[0] == results[1] == results[2]


def test_later_rows_change_no_earlier_date(tmp_path: Path) -> None:
    frame = _frame()
    daily = []
    for factor in (1.0, -3.0):
        changed = frame.assign(y=frame["y"].where(frame["date"] <= DAYS[20], frame["y"] * factor))
        changed.to_parquet(tmp_path / "p.parquet")
        _judge(tmp_path, target="y")
        daily.append(pq.read_table(tmp_path / "out" / "daily.parquet").to_pandas())
    earlier = daily[0]["time"] <= DAYS[20]
    pd.testing.assert_frame_equal(daily[0][earlier], daily[1][earlier])
    assert not daily[0].equals(daily[1])


def test_repeated_predictions_are_refused_or_left_out(tmp_path: Path) -> None:
    frame = _frame()
    pd.concat([frame, frame.head(4)]).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="occurs more than once"):
        _judge(tmp_path, target="y")
    assert _judge(tmp_path, target="y", prediction_duplicates="last")["repeated_predictions"] == 4


def test_a_score_column_that_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    _frame().rename(columns={"score": "a"}).assign(b=1.0).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(ConfigError, match="which column is the prediction is not clear"):
        _judge(tmp_path, target="y")


def test_infinite_scores_leave_the_ic_of_their_date_undefined(tmp_path: Path) -> None:
    frame = _frame()
    frame.loc[frame["date"] == DAYS[3], "score"] = np.inf
    frame.to_parquet(tmp_path / "p.parquet")
    _judge(tmp_path, target="y")
    daily = pq.read_table(tmp_path / "out" / "daily.parquet").to_pandas().set_index("time")
    assert np.isnan(daily.loc[DAYS[3], "ic"])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("apart", [False, True])
def test_groups_of_a_column_have_an_ic_each_and_may_change_with_time(tmp_path: Path, kind: str, apart: bool) -> None:
    frame = _frame()
    number = frame["symbol"].astype(int) + (frame["date"] > DAYS[20])  # some names move to the next group
    frame["sector"] = [("mines", "banks")[n % 2] if n < 22 else None for n in number]
    if apart:
        frame[["date", "symbol", "y"]].to_parquet(tmp_path / "r.parquet")
    table = frame.drop(columns="y") if apart else frame
    table.to_csv(tmp_path / "p.csv", index=False) if kind == "csv" else table.to_parquet(tmp_path / "p.parquet")
    source: dict[str, Any] = {"returns": (str(tmp_path / "r.parquet"),)} if apart else {"target": "y"}

    summary = _judge(tmp_path, group="sector", min_names=4, **source)

    groups = summary["overall"]["groups"]
    assert [(group["of"], group["group"]) for group in groups] == [
        ("sector", "(none)"),
        ("sector", "banks"),
        ("sector", "mines"),
    ]
    daily = pq.read_table(tmp_path / "out" / "daily.parquet").to_pandas().set_index("time")
    own = frame.assign(sector=frame["sector"].fillna("(none)")).dropna(subset=["y"])
    for place, name in enumerate(("(none)", "banks", "mines")):
        for day, found in daily[f"rank_ic_group_{place:02d}"].items():
            names = own[(own["date"] == day) & (own["sector"] == name)]
            enough = len(names) >= 4 and names["score"].nunique() > 1
            judge = spearmanr(names["score"], names["y"]).statistic if enough else np.nan
            np.testing.assert_allclose(found, judge, atol=1e-12)


def test_a_group_column_of_too_many_values_or_with_another_part_is_refused(tmp_path: Path) -> None:
    frame = _frame()
    frame.assign(each=np.arange(len(frame)).astype(str)).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(ConfigError, match=r"each splits the rows too finely.*32"):
        _judge(tmp_path, target="y", group="each")
    with pytest.raises(ConfigError, match=r"another part already.*'symbol'"):
        _judge(tmp_path, target="y", group="symbol")
