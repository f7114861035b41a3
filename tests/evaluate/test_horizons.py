"""What a score tells of 1, 2, 5 periods ahead, and in each group of names; pandas and SciPy are the judges."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from seawall.errors import ConfigError
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.run import evaluate
from seawall.metrics import HorizonDecay, summarise_series
from seawall.stores.panel import Panel
from tests.evaluate.worlds import change_array, predict
from tests.support import make_panel

CONFIG = EvaluateConfig(min_names=5, decay_horizons=(1, 3, 7))


def run(panel: Panel, folder: Path, config: EvaluateConfig = CONFIG) -> tuple[dict[str, Any], pd.DataFrame]:
    evaluate(panel.path, folder / "predictions", folder / "metrics", config)
    record = json.loads((folder / "metrics" / "metrics.json").read_text(encoding="utf-8"))
    return record, pq.read_table(folder / "metrics" / "daily.parquet").to_pandas()


def all_rows(panel: Panel) -> pd.DataFrame:
    """Every row of the panel with its adjusted close, in (entity, time) order."""
    rows = np.arange(panel.shape.num_rows)
    close = np.asarray(panel.prices[:, panel.names("prices").index("close")]) / np.asarray(panel.adjustment)
    entity = panel.entity_of(rows)
    return pd.DataFrame({"entity": entity, "date": np.asarray(panel.time_index), "close": close})


@pytest.mark.parametrize("breaks", [False, True])
def test_the_ic_of_each_horizon_is_that_of_pandas_over_the_panels_prices(tmp_path: Path, breaks: bool) -> None:
    panel = make_panel(tmp_path, num_entities=14, num_dates=150, breaks=breaks)
    predict(panel, tmp_path)

    record, daily = run(panel, tmp_path)

    table = all_rows(panel)
    by_entity = table.groupby("entity")["close"]
    stored = pd.concat(pq.read_table(path).to_pandas() for path in sorted((tmp_path / "predictions").glob("*.parquet")))
    table["score"] = pd.Series(stored["prediction"].to_numpy(np.float64), stored["row"])
    for block, horizon in zip(record["overall"]["horizons"], (1, 3, 7), strict=True):
        table["earned"] = by_entity.shift(-1 - horizon) / by_entity.shift(-1) - 1.0  # delay of one row
        judge = [_pearson(day) for _, day in table.dropna(subset=["score"]).groupby("date")]
        np.testing.assert_allclose(daily[f"ic_horizon_{horizon}"], judge, rtol=0, atol=1e-12)
        summary = summarise_series(judge, horizon)
        assert block["horizon_periods"] == horizon
        assert block["mean"] == pytest.approx(summary.mean, abs=1e-12)
        assert block["dof_hac"] == summary.num_defined // (2 * horizon)
        assert block["t_hac"] == pytest.approx(summary.t_hac, rel=1e-6)


def _pearson(day: pd.DataFrame) -> float:
    both = day.dropna()
    return float(stats.pearsonr(both["score"], both["earned"]).statistic) if len(both) >= 5 else math.nan


def test_the_horizon_of_the_target_itself_gives_its_ic(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_entities=14, num_dates=100, horizon_periods=2)
    predict(panel, tmp_path)
    _, daily = run(panel, tmp_path, CONFIG.model_copy(update={"decay_horizons": (2,)}))
    np.testing.assert_allclose(daily["ic_horizon_2"], daily["ic"], rtol=0, atol=1e-10)


def test_a_number_reads_no_price_after_its_horizon(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_entities=14, num_dates=120, ragged=False)
    predict(panel, tmp_path)
    _, before = run(panel, tmp_path)
    late = np.flatnonzero(np.asarray(panel.time_index) > 80)
    change_array(panel, "prices", late, np.random.default_rng(0).uniform(1, 9, (len(late), 4)))
    _, after = run(panel, tmp_path)
    date = 10 + np.arange(len(before))
    for horizon in (1, 3, 7):
        kept = date + 1 + horizon <= 80
        name = f"ic_horizon_{horizon}"
        np.testing.assert_array_equal(before[name][kept], after[name][kept])
        assert (before[name][~kept] != after[name][~kept]).any()


def test_groups_of_names_have_an_ic_each_and_names_without_a_value_are_one_of_them(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_entities=21, num_dates=80)
    sector = [None if number % 3 == 2 else ("banks", "mines")[number % 3] for number in range(21)]
    _add_attribute(panel, sector)
    predict(panel, tmp_path)

    record, daily = run(Panel(panel.path), tmp_path, CONFIG.model_copy(update={"group": "sector"}))

    groups = record["overall"]["groups"]
    assert [group["group"] for group in groups] == ["(none)", "banks", "mines"]
    assert {group["of"] for group in groups} == {"sector"}
    frame = pd.concat(pq.read_table(path).to_pandas() for path in sorted((tmp_path / "predictions").glob("*.parquet")))
    frame["target"] = np.asarray(panel.returns)[frame["row"], 0]
    frame["kind"] = panel.entity_of(frame["row"].to_numpy()) % 3
    for place, kind in enumerate((2, 0, 1)):
        for time, found in zip(daily["time"], daily[f"rank_ic_group_{place:02d}"], strict=True):
            day = frame[(frame["time"] == time) & (frame["kind"] == kind)].dropna()
            judge = stats.spearmanr(day["prediction"], day["target"]).statistic if len(day) >= 5 else math.nan
            np.testing.assert_allclose(found, judge, rtol=0, atol=1e-12)
        assert groups[place]["rank_ic"]["mean"] == pytest.approx(daily[f"rank_ic_group_{place:02d}"].mean())


def test_an_attribute_that_is_not_there_or_splits_too_finely_is_refused(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_entities=40, num_dates=60)
    _add_attribute(panel, [f"s{number}" for number in range(40)])
    predict(panel, tmp_path)
    with pytest.raises(ConfigError, match=r"no such attribute.*sector"):
        run(Panel(panel.path), tmp_path, CONFIG.model_copy(update={"group": "secto"}))
    with pytest.raises(ConfigError, match=r"too finely.*40 groups.*32"):
        run(Panel(panel.path), tmp_path, CONFIG.model_copy(update={"group": "sector"}))


def _add_attribute(panel: Panel, values: list[str | None]) -> None:
    path = panel.path / panel.manifest["segments"][0]["name"] / "entities.parquet"
    pq.write_table(pq.read_table(path).append_column("sector", pa.array(values, pa.string())), path)


def test_sums_of_one_period_targets_leave_out_names_that_miss_a_date() -> None:
    rng = np.random.default_rng(0)
    score, target = rng.standard_normal((2, 30, 12))
    present = rng.random((30, 12)) > 0.1
    decay = HorizonDecay((1, 2, 5))
    for date in range(30):
        names = np.flatnonzero(present[date])
        found = decay.update(names, score[date, names], target[date, names], min_names=3)
        for place, horizon in enumerate((1, 2, 5)):
            first = date - horizon + 1
            judge = math.nan
            if first >= 0:
                whole = present[first : date + 1].all(axis=0)
                earned = target[first : date + 1].sum(axis=0)
                if whole.sum() >= 3:
                    judge = float(np.corrcoef(score[first, whole], earned[whole])[0, 1])
            np.testing.assert_allclose(found[place], judge, rtol=0, atol=1e-12)
