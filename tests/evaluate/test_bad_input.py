"""Bad input, row by row of the table in docs/guide/evaluate.md: each case has the outcome that stands there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seawall.errors import DataError
from seawall.evaluate.config import TablesConfig
from seawall.evaluate.tables import evaluate_tables

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "evaluate.md"
DAYS = pd.bdate_range("2020-01-01", periods=12)
NAMES = [f"{number:03d}" for number in range(20)]
DAY = DAYS[5]


@pytest.fixture
def clean() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.MultiIndex.from_product([DAYS, NAMES], names=["date", "symbol"]).to_frame(index=False)
    return frame.assign(score=rng.standard_normal(len(frame)), y=rng.standard_normal(len(frame)))


def judge(
    frame: pd.DataFrame,
    folder: Path,
    returns: pd.DataFrame | None = None,
    **more: Any,  # noqa: ANN401
) -> tuple[dict[str, Any], pd.DataFrame]:
    frame.to_csv(folder / "p.csv", index=False)
    source: dict[str, Any] = {"target": "y"}
    if returns is not None:
        returns.to_csv(folder / "r.csv", index=False)
        source = {"returns": (str(folder / "r.csv"),)}
    config = TablesConfig(predictions=(str(folder / "p.csv"),), **source, **more)
    record = evaluate_tables(config, folder / "out", folder / "work", buffer_rows=64)
    return record, pq.read_table(folder / "out" / "daily.parquet").to_pandas().set_index("time")


def at(frame: pd.DataFrame, symbols: list[str], **values: float) -> pd.DataFrame:
    rows = (frame["date"] == DAY) & frame["symbol"].isin(symbols)
    changed = frame.copy()
    for name, value in values.items():
        changed.loc[rows, name] = value
    return changed


def on_day(daily: pd.DataFrame, name: str) -> float:
    return float(daily[name].to_numpy(np.float64)[daily.index == DAY][0])


@pytest.mark.parametrize("column", ["score", "y"])
def test_a_missing_value_leaves_the_name_out_of_its_date_and_is_counted(
    clean: pd.DataFrame, tmp_path: Path, column: str
) -> None:
    record, daily = judge(at(clean, NAMES[:3], **{column: np.nan}), tmp_path)
    rest = clean[(clean["date"] == DAY) & ~clean["symbol"].isin(NAMES[:3])]
    assert daily.loc[DAY, "num_names"] == 17
    assert daily.loc[DAY, "num_predictions"] == (17 if column == "score" else 20)
    assert daily.loc[DAY, "ic"] == pytest.approx(np.corrcoef(rest["score"], rest["y"])[0, 1], abs=1e-12)
    assert record["num_without_target"] == (3 if column == "y" else 0)
    assert record["overall"]["coverage"] == pytest.approx(1.0 if column == "score" else 237 / 240)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_score_undoes_the_ic_of_its_date_and_ranks_like_any_other(
    clean: pd.DataFrame, tmp_path: Path, value: float
) -> None:
    record, daily = judge(at(clean, NAMES[:1], score=value), tmp_path)
    _, ranked = judge(at(clean, NAMES[:1], score=np.sign(value) * 1e9), tmp_path)
    assert np.isnan(on_day(daily, "ic"))
    assert on_day(daily, "rank_ic") == on_day(ranked, "rank_ic")
    assert record["overall"]["ic"]["num_undefined"] == 1
    assert record["overall"]["rank_ic"]["num_undefined"] == 0
    assert record["overall"]["pooled"]["mse"] is None


def test_an_infinite_target_does_too_and_leaves_its_quantile_of_that_date_out(
    clean: pd.DataFrame, tmp_path: Path
) -> None:
    top = clean[clean["date"] == DAY].nlargest(1, "score")["symbol"].tolist()
    record, daily = judge(at(clean, top, y=np.inf), tmp_path)
    assert np.isnan(on_day(daily, "ic"))
    assert np.isfinite(on_day(daily, "rank_ic"))
    assert record["overall"]["ic"]["num_undefined"] == 1
    assert record["overall"]["quantiles"][4] == pytest.approx(daily["q5"].drop(DAY).mean(), abs=1e-12)
    assert record["overall"]["pooled"]["mse"] is None


@pytest.mark.parametrize("column", ["score", "y"])
def test_a_date_of_values_all_alike_is_undefined_and_counted_and_never_zero(
    clean: pd.DataFrame, tmp_path: Path, column: str
) -> None:
    record, daily = judge(at(clean, NAMES, **{column: 0.1}), tmp_path)
    assert daily.loc[DAY, ["ic", "rank_ic"]].isna().all()
    for series in ("ic", "rank_ic"):
        assert record["overall"][series]["num_undefined"] == 1
        assert record["overall"][series]["mean"] == pytest.approx(daily[series].drop(DAY).mean(), abs=1e-12)


@pytest.mark.parametrize("kept", [0, 1, 2, 9])
def test_a_date_of_too_few_names_is_undefined_and_counted(clean: pd.DataFrame, tmp_path: Path, kept: int) -> None:
    record, daily = judge(at(clean, NAMES[kept:], y=np.nan), tmp_path)
    assert daily.loc[DAY, "num_names"] == kept
    assert daily.loc[DAY, ["ic", "rank_ic", "q1", "q5", "top_ic"]].isna().all()
    assert record["overall"]["ic"]["num_undefined"] == 1
    one = clean[clean["symbol"] == "000"]
    whole, _ = judge(one, tmp_path)
    assert whole["ic_mean"] is None
    assert whole["overall"]["ic"]["num_undefined"] == len(DAYS)


def test_ties_share_average_ranks_and_a_quantile(clean: pd.DataFrame, tmp_path: Path) -> None:
    tied = clean.assign(score=np.where(clean["symbol"] < "010", 0.0, 1.0))
    record, daily = judge(tied, tmp_path)
    day = tied[tied["date"] == DAY]
    assert daily.loc[DAY, "rank_ic"] == pytest.approx(day["score"].corr(day["y"].rank()), abs=1e-12)
    means = day.groupby("score")["y"].mean()
    found = daily.loc[DAY, ["q1", "q2", "q3", "q4", "q5"]].to_numpy(np.float64)
    np.testing.assert_allclose(found, [np.nan, means[0.0], np.nan, means[1.0], np.nan], atol=1e-12)
    assert record["overall"]["rank_ic"]["num_undefined"] == 0


def test_missing_dates_have_no_row_and_lags_count_the_dates_there_are(clean: pd.DataFrame, tmp_path: Path) -> None:
    _, daily = judge(clean[clean["date"] != DAY], tmp_path)
    assert DAY not in daily.index
    assert len(daily) == len(DAYS) - 1
    before, after = (clean[clean["date"] == day].set_index("symbol") for day in (DAYS[4], DAYS[6]))
    judged = np.corrcoef(before["score"], after["y"])[0, 1]
    assert daily.loc[DAYS[6], "ic_lag_1"] == pytest.approx(judged, abs=1e-12)


def test_the_order_of_rows_changes_nothing(clean: pd.DataFrame, tmp_path: Path) -> None:
    record, daily = judge(clean, tmp_path)
    for seed in (1, 2):
        other, again = judge(clean.sample(frac=1, random_state=seed), tmp_path)
        assert other["overall"] == record["overall"]
        pd.testing.assert_frame_equal(again, daily, check_exact=True)


def test_a_repeated_key_is_refused_or_the_named_one_is_kept_and_counted(clean: pd.DataFrame, tmp_path: Path) -> None:
    repeated = pd.concat([clean, at(clean, NAMES[:1], score=9.0)[clean["date"] == DAY].head(1)])
    with pytest.raises(DataError, match=r"occurs more than once.*2020-01-08.*'000'"):
        judge(repeated, tmp_path)
    first, _ = judge(repeated, tmp_path, prediction_duplicates="first")
    last, _ = judge(repeated, tmp_path, prediction_duplicates="last")
    assert first["repeated_predictions"] == last["repeated_predictions"] == 1
    assert first["overall"] == judge(clean, tmp_path)[0]["overall"]
    assert last["overall"] == judge(at(clean, NAMES[:1], score=9.0), tmp_path)[0]["overall"]


def test_names_that_do_not_meet_are_refused_with_the_likely_reason(clean: pd.DataFrame, tmp_path: Path) -> None:
    returns = clean[["date", "symbol", "y"]].assign(symbol=clean["symbol"].astype(int) + 1000)
    with pytest.raises(DataError, match="no entity in common"):
        judge(clean.drop(columns="y"), tmp_path, returns)
    bare = clean[["date", "symbol", "y"]].assign(symbol=clean["symbol"].astype(int))[clean["symbol"] < "100"]
    with pytest.raises(DataError, match="leading zeros"):
        judge(clean.drop(columns="y"), tmp_path, bare)


def test_a_time_zone_on_one_side_is_refused(clean: pd.DataFrame, tmp_path: Path) -> None:
    returns = clean[["symbol", "y"]].assign(date=clean["date"].dt.strftime("%Y-%m-%dT00:00:00+08:00"))
    with pytest.raises(DataError, match="times cannot be compared"):
        judge(clean.drop(columns="y"), tmp_path, returns)


def test_a_value_that_is_no_number_is_refused_with_file_and_line(clean: pd.DataFrame, tmp_path: Path) -> None:
    broken = clean.astype({"score": object})
    broken.loc[4, "score"] = "n/e"
    with pytest.raises(DataError, match=r"p.csv, line 6.*score is not a number.*'n/e'"):
        judge(broken, tmp_path)


def test_the_table_of_the_guide_has_no_row_that_is_not_tried_here() -> None:
    section = GUIDE.read_text(encoding="utf-8").split("## What happens to bad input")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!input|---)([^|]+) \|", section, re.MULTILINE)
    assert rows == [
        "NaN prediction or target",
        "infinite prediction",
        "infinite target",
        "all predictions, or all targets, of a date alike",
        "fewer than `--min-names` names (10)",
        "ties",
        "missing dates",
        "unsorted rows",
        "the same (time, entity) twice",
        "names of the two tables do not meet",
        "one side has time zones",
        "a value that is no number",
    ]
