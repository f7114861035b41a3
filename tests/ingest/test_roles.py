"""Weights, dividends, splits, factors and the universe as the user brings them, against pandas."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from seawall.errors import DataError
from seawall.stores.look import entity_facts, missing_shares
from seawall.stores.panel import Panel
from tests.ingest.test_append import with_events
from tests.ingest.test_bad_input import SIMPLE
from tests.ingest.world import ingested, market, settings

TARGET = {"fwd": {"forward_return": {"column": "close", "horizon_periods": 1, "delay_periods": 0}}}


def events() -> pd.DataFrame:
    return with_events(market(num_entities=6, num_dates=60))


def run(folder: Path, frame: pd.DataFrame, **changes: object) -> tuple[Panel, dict[str, Any]]:
    frame.sample(frac=1, random_state=0).to_csv(folder / "m.csv", index=False)
    return ingested(folder / "m.panel", folder / "m.csv", **(SIMPLE | {"features": {}, "targets": TARGET} | changes))


def split_ratio(frame: pd.DataFrame) -> pd.Series:
    return frame["ratio"].where(frame["ratio"] > 0, 1.0).fillna(1.0)


def test_roles_are_stored_in_files_of_their_own_and_missing_ones_do_nothing(tmp_path: Path) -> None:
    frame = events()
    panel, report = run(tmp_path, frame, weights="volume", dividends="paid", splits="ratio")
    assert panel.weights is not None
    assert panel.dividends is not None
    assert panel.splits is not None
    stored = (panel.weights, panel.dividends, panel.splits)
    assert [str(array.dtype) for array in stored] == ["float32", "float64", "float64"]
    np.testing.assert_array_equal(panel.weights, frame["volume"].fillna(0).to_numpy(np.float32))
    np.testing.assert_array_equal(panel.dividends, frame["paid"].fillna(0))
    np.testing.assert_array_equal(panel.splits, split_ratio(frame))
    assert [panel.names(role) for role in ("weights", "dividends", "splits", "values")] == [
        ["volume"], ["paid"], ["ratio"], [],
    ]  # fmt: skip
    assert report["roles"]["dividends"] == {"missing": frame["paid"].isna().sum(), "special": (frame["paid"] > 0).sum()}
    assert report["roles"]["splits"]["special"] == (split_ratio(frame) != 1).sum()
    panel.verify()
    assert panel.shape.role_bytes == 20


def test_a_panel_without_roles_says_so(tmp_path: Path) -> None:
    panel, report = run(tmp_path, events())
    assert (panel.weights, panel.dividends, panel.splits) == (None, None, None)
    assert report["roles"] == {}
    assert not list(tmp_path.glob("m.panel/*/splits.npy"))


def test_splits_adjust_prices_and_targets_where_no_factor_does(tmp_path: Path) -> None:
    frame = events()
    panel, report = run(tmp_path, frame, splits="ratio")
    factor = (1 / split_ratio(frame)).where(frame["symbol"].duplicated(), 1.0)
    adjustment = factor.groupby(frame["symbol"]).cumprod()
    np.testing.assert_allclose(panel.adjustment, adjustment, rtol=1e-14)
    adjusted = (frame["close"] / adjustment).groupby(frame["symbol"])
    np.testing.assert_allclose(panel.returns[:, 0], adjusted.shift(-1) / adjusted.shift(0) - 1, rtol=1e-9, atol=1e-12)
    assert {entry["kind"] for entry in report["scale_breaks"]} == {"split"}
    assert len(report["scale_breaks"]) == (factor != 1).sum()


@pytest.mark.parametrize("kind", ["per_date", "multiplier", "divisor"])
def test_factors_of_a_column_adjust_by_their_ratio_to_the_first_row(tmp_path: Path, kind: str) -> None:
    frame = events()
    first = frame.groupby("symbol")["factor"].transform("first")
    expected = {"multiplier": first / frame["factor"], "divisor": frame["factor"] / first}.get(kind)
    if expected is None:
        frame["factor"] = split_ratio(frame).where(frame.index % 7 > 0)
        expected = frame["factor"].fillna(1.0).where(frame["symbol"].duplicated(), 1.0)
        expected = expected.groupby(frame["symbol"]).cumprod()
    panel, report = run(tmp_path, frame, adjustment={"column": "factor", "column_is": kind})
    np.testing.assert_allclose(panel.adjustment, expected, rtol=1e-14)
    assert (
        report["num_adjusted_rows"] == (expected / expected.shift().where(frame["symbol"].duplicated()) != 1).sum() - 6
    )
    assert report["scale_breaks"] == []
    assert panel.names("values") == ["factor"], "an append needs it"


PER_DATE = {"adjustment": {"column": "factor", "column_is": "per_date"}}


@pytest.mark.parametrize(
    ("column", "value", "changes", "message"),
    [
        (
            "paid",
            -1.0,
            {"dividends": "paid"},
            r"ingest\.dividends: .*, found -1 of '000' at 2020-0",
        ),
        ("volume", -0.5, {"weights": "volume"}, r"ingest\.weights: .*allowed: 0 or more; missing is 0"),
        ("volume", 1e39, {"weights": "volume"}, r"ingest\.weights: .*found 1e\+39"),
        ("ratio", np.inf, {"splits": "ratio"}, r"ingest\.splits: .*found inf"),
        (
            "factor",
            0.0,
            {"adjustment": {"column": "factor", "column_is": "per_date"}},
            r"ingest\.adjustment: .*found 0",
        ),
        (
            "factor",
            np.nan,
            {"adjustment": {"column": "factor", "column_is": "divisor"}},
            "found nan.*above 0, on every row",
        ),
    ],
)
def test_values_that_no_role_has_are_refused_with_their_row(
    tmp_path: Path, column: str, value: float, changes: dict[str, Any], message: str
) -> None:
    frame = events()
    row = frame.index[frame["symbol"] == "000"][5]
    frame["volume"] = frame["volume"].astype(float)
    frame.loc[row, column] = value
    with pytest.raises(DataError, match=message):
        run(tmp_path, frame, **changes)
    assert not (tmp_path / "m.panel").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adjustment": {"column": "factor"}}, "belong together"),
        ({"adjustment": {"column": "factor", "column_is": "divisor", "detect": True}}, "cannot stand beside it"),
        (
            {"adjustment": {"column": "factor", "column_is": "divisor"}, "dividends": "paid"},
            "name splits too",
        ),
    ],
)
def test_roles_that_contradict_one_another_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(Path("m.csv"), **changes)


def test_the_future_moves_no_factor_of_the_past(tmp_path: Path) -> None:
    frame = events()
    late = frame["date"] >= np.unique(frame["date"])[40]
    kept: list[np.ndarray] = []
    for number, change in enumerate((1.0, 3.0)):
        (tmp_path / str(number)).mkdir()
        changed = frame.assign(factor=frame["factor"].where(~late, frame["factor"] * change))
        panel, _ = run(tmp_path / str(number), changed, adjustment={"column": "factor", "column_is": "multiplier"})
        kept.append(np.array(panel.adjustment))
    np.testing.assert_array_equal(kept[0][~late], kept[1][~late])
    assert (kept[0][late] != kept[1][late]).any()


def test_a_dated_universe_comes_from_a_joined_table_and_ends_with_it(tmp_path: Path) -> None:
    """Members of an index by date; a name is out until its first row and after it left, and where nothing is known."""
    frame = market(num_entities=6, num_dates=30)
    members = frame[["symbol", "date"]].copy()
    members["member"] = np.where(members["symbol"].isin(["SPLIT", "JUMP"]), 1, 0)
    members = members[members["date"] < np.unique(frame["date"])[20]]
    members.to_csv(tmp_path / "members.csv", index=False)
    table = {"sources": [str(tmp_path / "members.csv")], "columns": ["member"]}
    panel, _ = run(
        tmp_path, frame, values=("volume", "member"), tables=[table], universe="member = 1 AND volume >= 300"
    )
    frame = frame.merge(members, on=["symbol", "date"], how="left").sort_values(["symbol", "date"])
    expected = (frame["member"] == 1) & (frame["volume"] >= 300)
    np.testing.assert_array_equal(panel.universe, expected)
    assert 0 < expected.mean() < 1


def test_dividends_from_a_table_of_events_alone(tmp_path: Path) -> None:
    frame = events().drop(columns=["paid", "ratio", "factor"])
    paid = frame.iloc[::17][["symbol", "date"]].assign(cash=0.5)
    paid.to_csv(tmp_path / "paid.csv", index=False)
    table = {"sources": [str(tmp_path / "paid.csv")], "columns": ["cash"]}
    panel, report = run(tmp_path, frame, tables=[table], dividends="cash")
    assert panel.dividends is not None
    expected = frame.merge(paid, on=["symbol", "date"], how="left")["cash"].fillna(0.0)
    np.testing.assert_array_equal(panel.dividends, expected)
    assert report["roles"]["dividends"]["special"] == len(paid)


def test_inspect_tells_roles_beside_other_columns(tmp_path: Path) -> None:
    panel, _ = run(tmp_path, events(), weights="volume", dividends="paid", splits="ratio")
    head = entity_facts(panel, "SPLIT", 3)["head"]
    assert head["dividends"] == np.asarray(panel.dividends)[panel.entity("SPLIT").slice][:3].tolist()
    assert len(head["weights"]) == len(head["splits"]) == 3
    assert "weights" not in missing_shares(panel, lambda done, total: None)
