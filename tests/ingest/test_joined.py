from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seawall.errors import ConfigError, DataError
from seawall.ingest import joined, memory
from seawall.ingest.config import IngestConfig
from seawall.ingest.spans import span_of
from seawall.stores.panel import Panel
from tests.ingest.test_bad_input import SIMPLE
from tests.ingest.world import ingested, market

DAY = pd.Timedelta("1D")


def prices() -> pd.DataFrame:
    return market(num_entities=12)[["symbol", "date", "close"]]


def facts(seed: int = 3) -> pd.DataFrame:
    """Quarterly figures of most entities, out of order, some of entities that do not trade."""
    rng = np.random.default_rng(seed)
    names = [*prices()["symbol"].unique()[1:], "ELSEWHERE"]
    days = pd.date_range("2019-11-01", periods=7, freq="23D").strftime("%Y-%m-%d")
    frame = pd.DataFrame([(name, day) for name in names for day in days], columns=["code", "quarter"])
    frame["earnings"] = rng.standard_normal(len(frame)).round(6)
    return frame.sample(frac=0.8, random_state=seed)


def run(folder: Path, main: pd.DataFrame, *sides: tuple[pd.DataFrame, dict[str, Any]], **changes: object) -> Panel:
    main.to_csv(folder / "main.csv", index=False)
    tables, names = [], []
    for number, (frame, spec) in enumerate(sides):
        frame.to_csv(folder / f"side{number}.csv", index=False)
        tables.append({"sources": [str(folder / f"side{number}.csv")], **spec})
        names += spec["columns"]
    settings = SIMPLE | {"values": names, "features": {name: name for name in names}, "tables": tables} | changes
    panel, report = ingested(folder / "m.panel", folder / "main.csv", **settings)
    assert [entry["columns"] for entry in report["joined"]] == [list(spec["columns"]) for _, spec in sides]
    return panel


ASOF = {"columns": ["earnings"], "how": "asof", "entity": "code", "time": "quarter"}


def as_pandas(main: pd.DataFrame, side: pd.DataFrame, lag: pd.Timedelta, tolerance: pd.Timedelta | None) -> pd.Series:
    left = main.assign(at=pd.to_datetime(main["date"]).astype("datetime64[ns]")).sort_values("at")
    right = side.assign(at=(pd.to_datetime(side["quarter"]) + lag).astype("datetime64[ns]")).sort_values("at")
    merged = pd.merge_asof(left, right, on="at", left_by="symbol", right_by="code", tolerance=tolerance)
    return merged.sort_values(["symbol", "date"])["earnings"]


@pytest.mark.parametrize(("lag", "tolerance"), [("0", None), ("45d", None), ("3d", "10d"), ("36h", None)])
def test_facts_as_of_a_lag_equal_pandas(tmp_path: Path, lag: str, tolerance: str | None) -> None:
    panel = run(tmp_path, prices(), (facts(), {**ASOF, "lag": lag, "tolerance": tolerance}))
    spans = [pd.Timedelta(text.replace("d", "D")) for text in (lag + "s" * (lag == "0"), tolerance or "0s")]
    expected = as_pandas(prices(), facts(), spans[0], spans[1] if tolerance else None)
    np.testing.assert_array_equal(panel.features[:, 0], expected.to_numpy(np.float32))
    assert 0 < np.isfinite(panel.features[:, 0]).mean() < 1


def test_a_later_fact_changes_nothing_before_it_is_published(tmp_path: Path) -> None:
    lag = pd.Timedelta("20D")
    before = run(tmp_path, prices(), (facts(), {**ASOF, "lag": "20d"}))
    old = before.features[:, 0].copy()
    changed = facts()
    late = pd.to_datetime(changed["quarter"]) >= pd.Timestamp("2020-02-01")
    changed.loc[late, "earnings"] = 99.0
    panel = run(tmp_path, prices(), (changed, {**ASOF, "lag": "20d"}))
    moved = ~((panel.features[:, 0] == old) | (np.isnan(panel.features[:, 0]) & np.isnan(old)))
    first_published = pd.to_datetime(changed.loc[late, "quarter"]).min() + lag
    times = panel.times_as_datetime()[panel.time_index]
    assert moved.any()
    assert (times[moved] >= np.datetime64(first_published)).all()


def test_a_lag_in_rows_counts_rows_of_the_entity(tmp_path: Path) -> None:
    main = pd.DataFrame({"symbol": "A", "date": [1, 2, 5, 6, 9], "close": 1.0})
    side = pd.DataFrame({"code": "A", "quarter": [1, 5], "earnings": [10.0, 50.0]})
    panel = run(tmp_path, main, (side, {**ASOF, "lag_periods": 2}))
    np.testing.assert_array_equal(panel.features[:, 0], [np.nan, np.nan, 10, 10, 50])


def test_factors_are_joined_by_key_and_missing_ones_stay_missing(tmp_path: Path) -> None:
    factors = prices().rename(columns={"close": "factor"}).sample(frac=0.7, random_state=1)
    factors["factor"] = np.arange(len(factors), dtype=np.float64)
    panel = run(tmp_path, prices(), (factors, {"columns": ["factor"]}), (facts(), {**ASOF, "lag": "1d"}))
    expected = prices().merge(factors, on=["symbol", "date"], how="left").sort_values(["symbol", "date"])
    np.testing.assert_array_equal(panel.features[:, 0], expected["factor"].to_numpy(np.float32))
    np.testing.assert_array_equal(panel.prices[:, 0], expected["close"])
    assert panel.shape.num_rows == len(prices())


def test_the_join_does_not_depend_on_how_entities_are_grouped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    for held in (1, 20_000, 4 * 2**20):
        monkeypatch.setattr(joined, "JOIN_HELD_BYTES", held)
        keys.add(run(tmp_path, prices(), (facts(), {**ASOF, "lag": "1d"})).content_key)
    assert len(keys) == 1


def test_duplicates_of_the_joined_table_follow_its_own_rule(tmp_path: Path) -> None:
    main = pd.DataFrame({"symbol": "A", "date": [1, 2], "close": 1.0})
    side = pd.DataFrame({"symbol": "A", "date": [2, 2], "x": [7.0, 8.0]})
    with pytest.raises(DataError, match=r"a key of the table with 'x' occurs twice, found 'A', 2\."):
        run(tmp_path, main, (side, {"columns": ["x"]}))
    for rule, value in (("first", 7.0), ("last", 8.0)):
        panel = run(tmp_path, main, (side, {"columns": ["x"], "duplicates": rule}))
        np.testing.assert_array_equal(panel.features[:, 0], [np.nan, value])


def test_tables_that_match_nowhere_are_refused_with_both_sides(tmp_path: Path) -> None:
    main = pd.DataFrame({"symbol": ["007"], "date": [1], "close": 1.0})
    side = pd.DataFrame({"symbol": ["7"], "date": [1], "x": 1.0})
    with pytest.raises(
        DataError, match=r"no row matches the table with 'x', found \('7', 1\) first there and \('007', 1\)"
    ):
        run(tmp_path, main, (side, {"columns": ["x"]}))
    dated = side.assign(date="2020-01-01")
    with pytest.raises(DataError, match="another kind of time, found timestamp, allowed: step"):
        run(tmp_path, main, (dated, {"columns": ["x"]}))


def test_bad_rows_of_the_sources_are_still_told_with_their_line(tmp_path: Path) -> None:
    prices().to_csv(tmp_path / "main.csv", index=False)
    with (tmp_path / "main.csv").open("a", encoding="utf-8") as file:
        file.write("A,2020-01-01,oops\n")
    facts().to_csv(tmp_path / "side.csv", index=False)
    table = {"sources": [str(tmp_path / "side.csv")], **ASOF, "lag": "1d"}
    changes = SIMPLE | {"values": ["earnings"], "features": {"e": "earnings"}, "tables": [table]}
    with pytest.raises(DataError, match=rf"main\.csv, line {len(prices()) + 2}: close is not a number, found 'oops'"):
        ingested(tmp_path / "m.panel", tmp_path / "main.csv", **changes)
    _, report = ingested(tmp_path / "m.panel", tmp_path / "main.csv", **changes, max_bad_rows=1)
    assert report["bad_rows"] == {"close is not a number": 1}
    assert report["rows_read"] == len(prices()) + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"how": "asof"}, "asof needs lag or lag_periods"),
        ({"how": "asof", "lag": "1d", "lag_periods": 1}, "asof needs lag or lag_periods"),
        ({"lag": "1d"}, "belong to how: asof"),
        ({"columns": ("y",)}, "the column 'y' is not used"),
    ],
)
def test_a_join_that_could_look_ahead_or_does_nothing_is_refused(change: dict[str, Any], message: str) -> None:
    table = {"sources": ["x.csv"], "columns": ("x",), **change}
    with pytest.raises(ValueError, match=message):
        IngestConfig.model_validate(
            {"sources": ["m.csv"], "entity": "e", "time": "t", "values": ["x"], "tables": [table]}
        )


@pytest.mark.parametrize(
    ("text", "kind"), [("3", "timestamp"), ("3d", "step"), ("-1d", "timestamp"), ("1 month", "timestamp")]
)
def test_a_span_that_is_none_is_refused(text: str, kind: str) -> None:
    with pytest.raises(ConfigError, match="not a span of this calendar"):
        span_of(text, kind, "lag")


def test_spans_are_read_in_the_unit_of_the_calendar() -> None:
    assert span_of("2d", "timestamp", "lag") == 2 * 86_400 * 10**9
    assert span_of("90min", "timestamp", "lag") == 5400 * 10**9
    assert span_of("0", "timestamp", "lag") == 0
    assert span_of("7", "step", "lag") == 7
    assert memory.JOIN_HELD_BYTES > 0
