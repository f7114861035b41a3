from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seawall.errors import ConfigError
from seawall.ingest import memory, run
from seawall.stores.panel import Panel
from tests.ingest.world import SETTINGS, ingested, market

NUMBERS = ["open", "high", "low", "close", "volume"]


def write(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def table(panel: Panel, until: str) -> dict[tuple[str, np.datetime64], list[float]]:
    """What is known at a date of the rows until then: features, adjustment, universe, targets that ended by then."""
    times = panel.times_as_datetime()[panel.time_index]
    last = int(np.searchsorted(panel.times_as_datetime(), np.datetime64(until), side="right")) - 1
    known = (panel.target_end >= 0) & (panel.target_end <= last)
    ended = np.where(known, panel.returns, np.nan)
    columns = np.column_stack([panel.features, panel.adjustment, panel.universe, ended, known])
    names = np.array(panel.entities)[panel.entity_of(np.arange(len(times)))]
    return {
        (str(name), time): row.tolist()
        for name, time, row in zip(names, times, columns, strict=True)
        if time <= np.datetime64(until)
    }


def changed(frame: pd.DataFrame, until: str, how: str) -> pd.DataFrame:
    """Another future: every value after a date changed, or its rows gone, or new entities and new dates."""
    rng = np.random.default_rng(7)
    later = (frame["date"] > until).to_numpy()
    if how == "removed":
        return frame[~later]
    other = frame.copy()
    if how == "values":
        other.loc[later, NUMBERS] = rng.uniform(0.01, 5000, (int(later.sum()), len(NUMBERS)))
    if how == "missing":
        other.loc[later, NUMBERS] = np.nan
    if how == "newcomers":
        new = frame[later & (frame["symbol"] == "JUMP")].assign(symbol="0-NEW")
        other = pd.concat([other, new, frame[later].drop_duplicates("symbol").assign(date="2031-01-01")])
    return other


@pytest.mark.parametrize("how", ["values", "missing", "removed", "newcomers"])
@pytest.mark.parametrize("until", ["2020-01-15", "2020-02-20", "2020-04-01"])
def test_another_future_changes_nothing_that_was_known_before(tmp_path: Path, until: str, how: str) -> None:
    frame = market(seed=3)
    only_detected = {"adjustment": {"detect": True}}
    before, _ = ingested(tmp_path / "a.panel", write(tmp_path / "a.csv", frame), **only_detected)
    after, _ = ingested(tmp_path / "b.panel", write(tmp_path / "b.csv", changed(frame, until, how)), **only_detected)
    known, again = table(before, until), table(after, until)
    assert known.keys() == again.keys()
    np.testing.assert_array_equal(np.array(list(known.values())), np.array([again[key] for key in known]))
    assert sum(row[-1] for row in known.values()) > 0, "some targets had ended"


LOOKING_AHEAD = {
    "lead": "lead(close) OVER entity",
    "a frame that follows": "avg(close) OVER (entity ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)",
    "a frame that never ends": "max(close) OVER (entity ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
    "no order": "avg(close) OVER (PARTITION BY __entity)",
    "the order turned round": "sum(close) OVER (PARTITION BY __entity ORDER BY __time DESC)",
    "the last value": "last_value(close) OVER (PARTITION BY __entity)",
    "the number of rows": "count(*) OVER (PARTITION BY __entity)",
    "far ahead": "lead(close, 30) OVER entity",
}


@pytest.mark.parametrize("case", LOOKING_AHEAD)
def test_a_feature_that_looks_ahead_is_refused_by_name(tmp_path: Path, case: str) -> None:
    features = {"innocent": "close", "guilty": LOOKING_AHEAD[case]}
    with pytest.raises(ConfigError, match=r"ingest\.features: guilty: the expression looks ahead") as error:
        ingested(tmp_path / "m.panel", write(tmp_path / "m.csv", market()), features=features)
    assert "LAG" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


def test_a_universe_or_helper_that_looks_ahead_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "m.csv", market())
    with pytest.raises(ConfigError, match="universe: the expression looks ahead"):
        ingested(tmp_path / "m.panel", source, universe="lead(volume) OVER entity > 1000")
    derived = {"helper": "lead(close) OVER entity"}
    with pytest.raises(ConfigError, match=r"ingest\.derived: helper: the expression looks ahead"):
        ingested(tmp_path / "m.panel", source, features={"innocent": "helper"}, derived=derived)


ACROSS_ENTITIES = {
    "a rank across the date": "rank() OVER (PARTITION BY __time ORDER BY close)",
    "a mean across the date": "close / avg(close) OVER (PARTITION BY __time)",
    "the entity before": "lag(close) OVER (PARTITION BY __time ORDER BY __entity)",
    "a subquery": "close / (SELECT max(close) FROM rows)",
    "a window without partition": "lag(close) OVER (ORDER BY __entity, __time)",
}


@pytest.mark.parametrize("case", ACROSS_ENTITIES)
def test_a_feature_that_reads_other_entities_is_refused_because_a_bucket_holds_only_some(
    tmp_path: Path, case: str
) -> None:
    features = {"innocent": "close", "guilty": ACROSS_ENTITIES[case]}
    with pytest.raises(ConfigError, match=r"ingest\.features: guilty: the expression reads other (entities|rows)"):
        ingested(tmp_path / "m.panel", write(tmp_path / "m.csv", market()), features=features)


def test_short_entities_in_the_first_bucket_do_not_hide_a_look_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "BUCKET_BYTES", 3000)
    monkeypatch.setattr(memory, "BUCKET_BYTES_MIN", 3000)
    frame = market()
    short = frame.groupby("symbol").head(1)
    many = [short.assign(symbol=short["symbol"].map(lambda name, i=i: f"!{i}{name}")) for i in range(8)]
    source = write(tmp_path / "m.csv", pd.concat([*many, frame]))
    with pytest.raises(ConfigError, match="guilty: the expression looks ahead"):
        ingested(tmp_path / "m.panel", source, features={"guilty": "lead(close, 3) OVER entity"})


def test_honest_windows_of_every_kind_are_let_through(tmp_path: Path) -> None:
    features: dict[str, Any] = {
        **SETTINGS["features"],
        "ewma": "avg(close) OVER (entity ROWS BETWEEN 20 PRECEDING AND 5 PRECEDING)",
        "since_start": "max(close) OVER entity",
        "age": "row_number() OVER entity",
        "median": "median(close) OVER (entity ROWS 9 PRECEDING)",
        "slope": "regr_slope(close, __time) OVER (entity ROWS 9 PRECEDING)",
        "week": "avg(close) OVER (entity RANGE BETWEEN 604800000000000 PRECEDING AND CURRENT ROW)",
        "weekday": "isodow(date)",
    }
    panel, _ = ingested(tmp_path / "m.panel", write(tmp_path / "m.csv", market()), features=features)
    assert panel.shape.num_features == len(features)


TRICKS = {
    "lead": "lead(close) OVER entity",
    "the whole history": "avg(close) OVER (PARTITION BY __entity)",
    "the order turned round": "first_value(close) OVER (PARTITION BY __entity ORDER BY __time DESC)",
}


@pytest.mark.parametrize("case", TRICKS)
def test_what_the_rules_would_let_through_is_found_on_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(run, "check_expressions", lambda config: None)
    with pytest.raises(ConfigError, match="guilty: the expression looks ahead") as error:
        ingested(tmp_path / "m.panel", write(tmp_path / "m.csv", market()), features={"guilty": TRICKS[case]})
    assert "changes when later rows are removed" in str(error.value)
