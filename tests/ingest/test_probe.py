from pathlib import Path

import pandas as pd
import pytest

from seawall.errors import ConfigError
from seawall.ingest.columns import number_columns
from seawall.ingest.probe import probe
from seawall.ingest.sources import source_files
from tests.ingest.world import market, settings


def test_the_estimate_of_a_small_source_is_nearly_exact(tmp_path: Path) -> None:
    frame = market()
    frame.to_csv(tmp_path / "m.csv", index=False)
    shape = probe(settings(tmp_path / "m.csv"))
    assert len(frame) <= shape.num_rows <= 1.06 * len(frame)
    assert shape.num_entities == shape.max_rows_per_date == frame["symbol"].nunique()
    assert shape.max_rows_per_entity == frame["symbol"].value_counts().max()
    assert (shape.num_features, shape.num_targets, shape.num_prices) == (5, 2, 4)
    assert shape.source_bytes == (tmp_path / "m.csv").stat().st_size


@pytest.mark.parametrize("order", ["by time", "by entity"])
def test_the_estimate_of_a_large_source_is_never_too_small_for_planning(tmp_path: Path, order: str) -> None:
    days = pd.date_range("2000-01-01", periods=2000).strftime("%Y-%m-%d")
    index = pd.MultiIndex.from_product([[f"E{number:03d}" for number in range(100)], days], names=["symbol", "date"])
    frame = pd.DataFrame(index=index).reset_index()
    frame = frame.assign(**dict.fromkeys(["open", "high", "low", "close", "volume"], 1.25))
    frame = frame if order == "by entity" else frame.sort_values(["date", "symbol"])
    frame.to_csv(tmp_path / "m.csv", index=False)
    shape = probe(settings(tmp_path / "m.csv"))
    assert len(frame) * 0.95 <= shape.num_rows <= 1.2 * len(frame)
    assert shape.max_rows_per_entity >= 2000


def test_footers_of_many_files_by_entity_bound_the_dates(tmp_path: Path) -> None:
    days = pd.bdate_range("2000-01-03", periods=500)
    for part in range(60):
        index = pd.MultiIndex.from_product([[f"E{part:03d}", f"F{part:03d}"], days], names=["symbol", "date"])
        frame = pd.DataFrame(index=index).reset_index()
        frame = frame.assign(**dict.fromkeys(["open", "high", "low", "close", "volume"], 1.25))
        frame.to_parquet(tmp_path / f"{part:03d}.parquet")
    shape = probe(settings(tmp_path))
    # Weekends are counted: a day is the step, and the span is known to the day.
    assert 500 <= shape.num_dates == (days[-1] - days[0]).days + 1 == shape.max_rows_per_entity
    assert shape.num_rows == 60 * 1000


def test_a_probe_refuses_unknown_columns_before_planning(tmp_path: Path) -> None:
    market().drop(columns="volume").to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(ConfigError, match="unknown column, found 'volume'"):
        probe(settings(tmp_path / "m.csv"))


def test_a_built_in_dataset_is_a_source_by_name() -> None:
    (path,) = source_files(["dataset:pse_equities"])
    assert path.is_file()
    with pytest.raises(ConfigError, match=r"unknown dataset, found 'pse_equity'\. Did you mean 'pse_equities'\?"):
        source_files(["dataset:pse_equity"])


def test_number_columns_leave_the_keys_out(tmp_path: Path) -> None:
    market().assign(note="text", date=range(len(market()))).to_csv(tmp_path / "m.csv", index=False)
    found = number_columns(settings(tmp_path / "m.csv"))
    assert found == ["open", "high", "low", "close", "volume"]
