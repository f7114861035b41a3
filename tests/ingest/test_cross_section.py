"""Per-date features and market-neutral targets, against pandas, from CSV to store."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import ConfigError
from seawall.ingest import memory
from seawall.ingest.cross_section import compare
from seawall.ingest.cross_section_config import CrossSection
from seawall.pipeline.config import parse_config
from seawall.stores.panel import Panel
from seawall.units import MIB
from tests.cgroups import memory_cgroup
from tests.ingest.world import SETTINGS, ingested, market, settings

values = st.lists(st.sampled_from([np.nan, 0.0, 1.0, 1.0, 2.5, -3.0, 7.0]), min_size=1, max_size=30)


@pytest.mark.parametrize("kind", ["rank", "zscore", "demean", "winsorise"])
@given(values, st.integers(2, 4), st.integers(1, 4))
def test_each_comparison_equals_pandas_by_group(kind: str, given: list[float], min_names: int, num_keys: int) -> None:
    x = np.array(given)
    keys = np.arange(len(x)) % (num_keys + 1) - 1
    rule = CrossSection.model_validate({kind: "f", "min_names": min_names, "limits": (0.1, 0.7)})
    grouped = pd.Series(x).groupby(keys)
    judges: dict[str, Callable[[], Any]] = {
        "rank": lambda: grouped.rank(pct=True),
        "demean": lambda: x - grouped.transform("mean"),
        "zscore": lambda: (x - grouped.transform("mean")) / grouped.transform("std").replace(0.0, np.nan),
        "winsorise": lambda: grouped.transform(lambda g: g.clip(float(g.quantile(0.1)), float(g.quantile(0.7)))),
    }
    expected = pd.Series(judges[kind]()).where((grouped.transform("count") >= min_names) & (keys >= 0) & ~np.isnan(x))
    np.testing.assert_allclose(compare(rule, x, keys), expected, rtol=1e-12, atol=1e-12)


RULES: dict[str, Any] = {
    "rank_ret": {"rank": "ret_1", "min_names": 3},
    "z_all": {"zscore": "mean_5", "within": "all", "min_names": 2},
    "demeaned": {"demean": "range", "within": "all", "group": "side", "min_names": 2},
    "held": {"winsorise": "std_10", "within": "all", "limits": [0.2, 0.8], "min_names": 4},
}
FEATURES = {**SETTINGS["features"], "side": "CASE WHEN volume >= 800 THEN 1 WHEN volume >= 200 THEN 0 END"}


def column(panel: Panel, name: str) -> pd.Series:
    return pd.Series(np.array(panel.features[:, panel.column_index("features", name)], np.float64))


@pytest.mark.parametrize("slab_bytes", [2_000, 16 * MIB])
def test_features_of_a_date_equal_pandas_whatever_the_slab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slab_bytes: int
) -> None:
    monkeypatch.setattr(memory, "DATE_SLAB_BYTES", slab_bytes)
    market().to_csv(tmp_path / "m.csv", index=False)
    panel, report = ingested(tmp_path / "m.panel", tmp_path / "m.csv", features=FEATURES, cross_sectional=RULES)
    panel.verify()
    date, inside = np.array(panel.time_index), np.array(panel.universe)

    ranks = column(panel, "ret_1").where(inside).groupby(date)
    expected = ranks.rank(pct=True).where(ranks.transform("count") >= 3)
    np.testing.assert_allclose(column(panel, "rank_ret"), expected, rtol=1e-6)
    assert report["missing_shares"]["rank_ret"] == pytest.approx(expected.isna().mean())

    level = column(panel, "mean_5").groupby(date)
    scaled = (column(panel, "mean_5") - level.transform("mean")) / level.transform("std")
    np.testing.assert_allclose(
        column(panel, "z_all"), scaled.where(level.transform("count") >= 2), rtol=2e-6, atol=1e-6
    )

    sided = column(panel, "range").groupby([date, column(panel, "side")])
    apart = (column(panel, "range") - sided.transform("mean")).where(sided.transform("count") >= 2)
    np.testing.assert_allclose(column(panel, "demeaned"), apart, rtol=1e-5, atol=1e-8)

    spread = column(panel, "std_10").groupby(date)
    held = spread.transform(lambda g: g.clip(float(g.quantile(0.2)), float(g.quantile(0.8)))).where(
        spread.transform("count") >= 4
    )
    np.testing.assert_allclose(column(panel, "held"), held, rtol=1e-6)


def test_names_are_compared_within_a_static_attribute(tmp_path: Path) -> None:
    frame = market()
    frame.to_csv(tmp_path / "m.csv", index=False)
    names = sorted(frame["symbol"].unique())
    sectors = {name: "mining" if place % 2 else "banks" for place, name in enumerate(names[1:])}  # the first has none
    pd.DataFrame({"symbol": list(sectors), "sector": list(sectors.values())}).to_csv(tmp_path / "s.csv", index=False)
    rule = {"rank": "range", "group": "sector", "within": "all", "min_names": 2}
    static = {"source": str(tmp_path / "s.csv")}
    panel, _ = ingested(tmp_path / "m.panel", tmp_path / "m.csv", cross_sectional={"r": rule}, static=static)
    entity = np.array(panel.entities)[panel.entity_of(np.arange(panel.shape.num_rows))]
    sector = pd.Series(entity).map(sectors)
    grouped = column(panel, "range").groupby([np.array(panel.time_index), sector])
    expected = grouped.rank(pct=True).where(grouped.transform("count") >= 2)
    np.testing.assert_allclose(column(panel, "r"), expected, rtol=1e-6)
    wrong = {"r": rule | {"group": "sectr"}}
    with pytest.raises(ConfigError, match="cross_sectional: r: no such feature or attribute, found 'sectr'"):
        ingested(tmp_path / "n.panel", tmp_path / "m.csv", cross_sectional=wrong, static=static)


@pytest.mark.parametrize("until", ["2020-02-20", "2020-04-01"])
def test_another_future_moves_no_comparison_of_an_earlier_date(tmp_path: Path, until: str) -> None:
    frame = market(seed=3)
    other = frame.copy()
    later = (other["date"] > until).to_numpy()
    numbers = ["open", "high", "low", "close", "volume"]
    other.loc[later, numbers] = np.random.default_rng(1).uniform(1, 5000, (int(later.sum()), len(numbers)))
    plain = {"features": FEATURES, "cross_sectional": RULES, "adjustment": {}}
    found = []
    for name, rows in (("a", frame), ("b", other), ("c", frame[~later])):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
        panel, _ = ingested(tmp_path / f"{name}.panel", tmp_path / f"{name}.csv", **plain)
        past = panel.times_as_datetime()[panel.time_index] <= np.datetime64(until)
        found.append(np.array(panel.features)[past])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_excess_over_the_market_is_known_when_the_own_return_is(tmp_path: Path) -> None:
    frame = market()
    frame.to_csv(tmp_path / "m.csv", index=False)
    spec = {"forward_return": {"column": "close", "horizon_periods": 3, "delay_periods": 1}}
    targets = {
        "plain": spec,
        "excess": spec | {"market_neutral": True, "min_names": 3},
        "side": spec | {"market_neutral": True, "min_names": 3, "sign": True},
    }
    panel, _ = ingested(tmp_path / "m.panel", tmp_path / "m.csv", targets=targets, universe=None)
    date, plain = np.array(panel.time_index), pd.Series(np.array(panel.returns[:, 0]))
    ends = np.array(panel.target_end)
    prompt = plain.where(ends[:, 0] == date + 4).groupby(date)
    mean = prompt.transform("mean").where(prompt.transform("count") >= 3)
    np.testing.assert_allclose(panel.returns[:, 1], plain - mean, rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(panel.returns[:, 2], np.sign(panel.returns[:, 1]))
    np.testing.assert_array_equal(panel.targets, panel.returns.astype(np.float32))
    np.testing.assert_array_equal(ends[:, 1], ends[:, 0])
    assert (ends[:, 0] > date + 4).any(), "some names are suspended, and know their return late"
    assert [spec.kind for spec in panel.target_specs] == ["forward_return", "excess_return", "direction"]


def test_an_excess_never_uses_a_price_after_its_declared_end(tmp_path: Path) -> None:
    frame = market(seed=5)
    spec = {"forward_return": {"column": "close", "horizon_periods": 3}, "market_neutral": True, "min_names": 2}
    changes = {"targets": {"excess": spec}, "universe": None, "adjustment": {}}
    until = "2020-03-10"
    other = frame.copy()
    later = (other["date"] > until).to_numpy()
    other.loc[later, "close"] *= np.random.default_rng(1).uniform(0.5, 2, int(later.sum()))
    found = []
    for name, rows in (("a", frame), ("b", other)):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
        panel, _ = ingested(tmp_path / f"{name}.panel", tmp_path / f"{name}.csv", **changes)
        last = int(np.searchsorted(panel.times_as_datetime(), np.datetime64(until)))
        known = (np.array(panel.target_end[:, 0]) <= last) & (np.array(panel.target_end[:, 0]) >= 0)
        found.append(np.where(known, panel.returns[:, 0], np.nan))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.isfinite(found[0]).sum() > 50


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"rank": "momentum"}, "cross_sectional.x: no feature 'momentum'"),
        ({"rank": "f", "zscore": "f"}, "name exactly one of rank, zscore, demean, winsorise"),
        ({"rank": "f", "group": "secter"}, "cross_sectional.x: no feature 'secter'"),
        ({"winsorise": "f", "limits": [0.9, 0.1]}, "limits are two quantiles"),
        ({"rank": "f", "min_names": 1}, "greater than or equal to 2"),
    ],
)
def test_wrong_rules_are_refused(rule: dict[str, Any], message: str) -> None:
    section = {"sources": ["a"], "entity": "e", "time": "t", "features": {"f": "x"}, "cross_sectional": {"x": rule}}
    with pytest.raises(ConfigError) as error:
        parse_config({"output": "o", "ingest": section}, "c.yaml")
    assert message in str(error.value)


INSIDE = """
import json, sys
from pathlib import Path
from seawall.ingest.config import IngestConfig
from seawall.ingest.run import ingest
ingest(IngestConfig(**json.loads(sys.argv[1])), Path(sys.argv[2]), budget_bytes=int(sys.argv[3]))
"""


def test_sets_and_comparisons_finish_in_the_memory_they_were_promised(tmp_path: Path) -> None:
    budget_bytes = 400 * MIB
    rng = np.random.default_rng(0)
    days = pd.date_range("2010-01-01", periods=700).strftime("%Y-%m-%d")
    frames = []
    for number in range(150):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, len(days))))
        prices = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
        volume = np.round(rng.lognormal(8, 1, len(days)))
        frames.append(pd.DataFrame({"symbol": f"E{number:03d}", "date": days, **prices, "volume": volume}))
    pd.concat(frames).sort_values("date").to_csv(tmp_path / "m.csv", index=False)
    config = settings(
        tmp_path / "m.csv",
        features={},
        derived={},
        feature_sets=["bars_basic", {"name": "alpha158", "vwap": None}],
        cross_sectional={"r": {"rank": "ret_20"}, "z": {"zscore": "ROC20", "within": "all"}},
        universe=None,
        adjustment={},
        targets={"t": {"forward_return": {"column": "close", "horizon_periods": 5}, "market_neutral": True}},
    )
    arguments = [config.model_dump_json(), str(tmp_path / "m.panel"), str(budget_bytes)]
    with memory_cgroup(budget_bytes) as group:
        done = group.run([sys.executable, "-c", INSIDE, *arguments], 300, env={"PYTHONPATH": "src"})
    assert done.returncode == 0, done.stderr[-500:]
    panel = Panel(tmp_path / "m.panel")
    assert panel.shape.num_features == 24 + 157 + 2
    assert np.nanmax(np.abs(panel.returns)) > 0
