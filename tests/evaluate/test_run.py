"""Evaluate end to end on a small ragged panel; SciPy and pandas are the judges."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from seawall.arrays import Float32
from seawall.errors import FormatError, ResumeError
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.run import evaluate
from seawall.metrics import summarise_series
from seawall.stores.panel import Panel
from seawall.stores.predictions import write_fold
from tests.evaluate.worlds import change_array, fold_rows, predict
from tests.support import make_panel

CONFIG = EvaluateConfig(min_names=5, num_quantiles=3)


def judged(panel: Panel, predictions: Path) -> pd.DataFrame:
    """All predictions beside their float64 targets, in memory: what a notebook would do."""
    frame: pd.DataFrame = pd.concat([pq.read_table(path).to_pandas() for path in sorted(predictions.glob("*.parquet"))])
    frame["target"] = np.asarray(panel.returns)[frame["row"], 0]
    frame["prediction"] = frame["prediction"].astype("float64")
    return frame


def run(panel: Panel, predictions: Path, config: EvaluateConfig = CONFIG) -> tuple[dict[str, Any], pd.DataFrame]:
    output = predictions.parent / "metrics"
    evaluate(panel.path, predictions, output, config)
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    return metrics, pq.read_table(output / "daily.parquet").to_pandas()


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    return make_panel(tmp_path, num_entities=14, num_dates=150)


def tied(panel: Panel) -> Float32:
    return np.random.default_rng(3).standard_normal(panel.shape.num_rows).round(1).astype(np.float32)


def test_every_daily_ic_equals_scipy(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path, values_N=tied(panel))

    _, daily = run(panel, predictions)

    frame = judged(panel, predictions).dropna()
    numbers = daily[["num_names", "ic", "rank_ic"]].to_numpy(np.float64)
    assert len(daily) == 140
    for time, (num_names, ic, rank_ic) in zip(daily["time"], numbers, strict=True):
        names = frame[frame["time"] == time]
        assert num_names == len(names)
        if len(names) < 5:
            assert math.isnan(ic)
            continue
        assert abs(ic - float(stats.pearsonr(names["prediction"], names["target"]).statistic)) <= 1e-12
        assert abs(rank_ic - float(stats.spearmanr(names["prediction"], names["target"]).statistic)) <= 1e-12


def test_pooled_numbers_equal_numpy_overall_and_per_fold(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)

    metrics, _ = run(panel, predictions)

    frame = judged(panel, predictions).dropna()
    parts = [(metrics["overall"], frame), *((f, frame[frame["fold"] == f["fold"]]) for f in metrics["folds"])]
    assert len(parts) == 4
    for block, part in parts:
        errors = part["prediction"] - part["target"]
        pooled = block["pooled"]
        assert pooled["n"] == len(part)
        assert pooled["mse"] == pytest.approx((errors**2).mean(), rel=1e-12)
        assert pooled["rmse"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-12)
        assert pooled["mae"] == pytest.approx(errors.abs().mean(), rel=1e-12)
        assert pooled["r2"] == pytest.approx(
            1 - (errors**2).sum() / (part["target"].var(ddof=0) * len(part)), rel=1e-12
        )
        assert pooled["bias"] == pytest.approx(errors.mean(), abs=1e-14)
        correlation = float(stats.pearsonr(part["prediction"], part["target"]).statistic)
        assert abs(pooled["pearson"] - correlation) <= 1e-12
        t = correlation * math.sqrt((len(part) - 2) / (1 - correlation**2))
        assert pooled["pooled_t"] == pytest.approx(t, rel=1e-9)


def test_series_blocks_rest_on_the_daily_rows(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)

    metrics, daily = run(panel, predictions)

    for block, dates in [
        (metrics["overall"], daily),
        *((fold, daily[daily["fold"] == fold["fold"]]) for fold in metrics["folds"]),
    ]:
        for name in ("ic", "rank_ic"):
            summary = summarise_series(dates[name].to_numpy(), 2)
            found, defined = block[name], dates[name].dropna()
            assert (found["mean"], found["t_hac"]) == (summary.mean, summary.t_hac)
            assert (found["num_dates"], found["num_undefined"]) == (len(dates), len(dates) - len(defined))
            plain = stats.ttest_1samp(defined, 0.0)
            assert found["t_plain"] == pytest.approx(plain.statistic, rel=1e-9)
            assert found["p_plain"] == pytest.approx(plain.pvalue, rel=1e-9)
            assert found["dof_hac"] == len(defined) // 4
            assert found["p_hac"] == pytest.approx(2 * stats.t.sf(abs(found["t_hac"]), found["dof_hac"]), rel=1e-9)
        quantiles = dates[["q1", "q2", "q3"]].mean().to_numpy()
        np.testing.assert_allclose(block["quantiles"], quantiles, rtol=1e-12)


def test_a_fold_block_is_what_that_fold_alone_would_give(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    alone = tmp_path / "alone" / "predictions"
    alone.mkdir(parents=True)
    for path in predictions.glob("fold_01.*"):
        shutil.copy(path, alone)

    metrics, _ = run(panel, predictions)
    metrics_alone, _ = run(panel, alone)

    # What compares a date with the one before sees the fold before; the rest is the fold's own.
    own = metrics["folds"][1].keys() - {"autocorrelation", "turnover"}
    assert {name: metrics_alone["folds"][0][name] for name in own} == {name: metrics["folds"][1][name] for name in own}
    whole = metrics_alone["overall"]
    assert {name: whole[name] for name in metrics_alone["folds"][0] if name != "fold"} == {
        name: value for name, value in metrics_alone["folds"][0].items() if name != "fold"
    }


def test_the_files_hold_exactly_the_documented_keys(panel: Panel, tmp_path: Path) -> None:
    metrics, daily = run(panel, predict(panel, tmp_path))

    assert set(metrics) == {
        "target",
        "horizon_periods",
        "min_names",
        "num_quantiles",
        "overall",
        "folds",
        "warnings",
    }
    block = metrics["overall"]
    numbers = {"quantiles", "spread", "monotonicity", "autocorrelation", "turnover", "coverage"}
    kinds = {"ic", "rank_ic", "top_ic", "bottom_ic"}
    assert set(block) == {"pooled", *kinds, *numbers, "decay", "horizons", "groups", "months", "years"}
    assert set(metrics["folds"][0]) == {"fold", "pooled", *kinds, *numbers}
    assert set(block["pooled"]) == {"n", "mse", "rmse", "mae", "r2", "bias", "pearson", "pooled_t"}
    series = (
        "mean mean_low mean_high std icir share_positive t_plain p_plain t_hac p_hac dof_hac t_newey_west p_newey_west"
        " t_non_overlapping p_non_overlapping num_non_overlapping num_dates num_undefined"
    )
    for name in (*kinds, "spread"):
        assert set(block[name]) == set(series.split())
    assert set(block["decay"][0]) == {"lag", *series.split()}
    counts = ["time", "fold", "num_names", "num_predictions"]
    of_date = ["ic", "rank_ic", "top_ic", "bottom_ic", "autocorrelation", "turnover"]
    horizons = [f"ic_horizon_{horizon}" for horizon in (1, 2, 5, 10, 20)]
    lags = [f"ic_lag_{lag}" for lag in (1, 2, 3, 5, 10, 20)]
    assert list(daily.columns) == [*counts, *of_date, "q1", "q2", "q3", *lags, *horizons]
    kinds_of_columns = [
        "datetime64[ns, UTC]",
        *["int32"] * 3,
        *["float64"] * (len(of_date) + 3 + len(lags) + len(horizons)),
    ]
    assert [str(kind) for kind in daily.dtypes] == kinds_of_columns
    assert daily["time"].is_monotonic_increasing


def test_undefined_dates_are_nan_and_counted_and_never_zero(panel: Panel, tmp_path: Path) -> None:
    no_target, no_variance = 60, 70
    values = np.random.default_rng(4).standard_normal(panel.shape.num_rows).astype(np.float32)
    values[panel.time_index == no_variance] = np.float32(0.1)
    change_array(panel, "returns", np.flatnonzero(panel.time_index == no_target), np.nan)
    predictions = predict(panel, tmp_path, values_N=values)

    metrics, daily = run(panel, predictions)

    times = panel.times_as_datetime()
    row_of = {place: daily[daily["time"] == pd.Timestamp(times[place], tz="UTC")].iloc[0] for place in (60, 70)}
    assert row_of[no_target]["num_names"] == 0
    assert row_of[no_target][["ic", "rank_ic", "q1", "q2", "q3"]].isna().all()
    assert row_of[no_variance]["num_names"] >= 5
    assert row_of[no_variance][["ic", "rank_ic", "q1", "q3"]].isna().all()
    assert metrics["overall"]["ic"]["num_undefined"] == daily["ic"].isna().sum()
    assert not (daily["ic"] == 0).any()


def test_changing_what_comes_after_a_date_changes_no_row_up_to_it(panel: Panel, tmp_path: Path) -> None:
    last_kept = 80
    later = np.flatnonzero(panel.time_index > last_kept)
    values = np.random.default_rng(5).standard_normal(panel.shape.num_rows).astype(np.float32)
    _, before = run(panel, predict(panel, tmp_path, values_N=values))

    values[later] *= -3
    change_array(panel, "returns", later, np.random.default_rng(6).standard_normal((len(later), 1)))
    _, after = run(panel, predict(panel, tmp_path, values_N=values))

    kept = before["time"] <= pd.Timestamp(panel.times_as_datetime()[last_kept], tz="UTC")
    pd.testing.assert_frame_equal(before[kept], after[kept], check_exact=True)
    assert (before[~kept]["ic"] != after[~kept]["ic"]).any()


def test_without_a_single_pair_everything_is_null_and_the_files_are_valid(panel: Panel, tmp_path: Path) -> None:
    change_array(panel, "returns", np.arange(panel.shape.num_rows), np.nan)

    metrics, daily = run(panel, predict(panel, tmp_path))

    assert metrics["overall"]["pooled"]["n"] == 0
    assert metrics["overall"]["pooled"]["mse"] is None
    assert metrics["overall"]["ic"]["mean"] is None
    assert metrics["overall"]["ic"]["p_hac"] is None
    assert metrics["overall"]["quantiles"] == [None, None, None]
    assert daily["ic"].isna().all()


def test_a_calendar_of_integer_steps_gives_integer_times(panel: Panel, tmp_path: Path) -> None:
    manifest = json.loads((panel.path / "panel.json").read_text(encoding="utf-8"))
    manifest["calendar"]["kind"] = "step"
    (panel.path / "panel.json").write_text(json.dumps(manifest), encoding="utf-8")
    stepped = Panel(panel.path)

    _, daily = run(stepped, predict(stepped, tmp_path))

    assert daily["time"].tolist() == stepped.calendar[10:].tolist()


def test_the_summary_holds_headline_numbers_and_progress_is_told(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    told: list[tuple[str, int, int]] = []

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        told.append((substep, done, total))

    summary = evaluate(panel.path, predictions, tmp_path / "metrics", CONFIG, beat=beat)

    metrics = json.loads((tmp_path / "metrics" / "metrics.json").read_text(encoding="utf-8"))
    num_rows = sum(len(rows) for rows in fold_rows(panel, 3))
    assert summary["ic_mean"] == metrics["overall"]["ic"]["mean"]
    assert summary["rank_ic_t_hac"] == metrics["overall"]["rank_ic"]["t_hac"]
    assert summary["warnings"] == metrics["warnings"] == []
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert ("dates", num_rows, num_rows) in told
    assert told[-1] == ("write", 1, 1)


def test_two_runs_write_the_same_bytes(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)

    for name in ("first", "second"):
        evaluate(panel.path, predictions, tmp_path / name, CONFIG)

    for file in ("metrics.json", "daily.parquet"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_predictions_that_know_the_future_ask_for_a_check(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_entities=40, num_dates=300, ragged=False)
    leaked = np.nan_to_num(np.asarray(panel.returns[:, 0])).astype(np.float32)

    metrics, _ = run(panel, predict(panel, tmp_path, values_N=leaked))
    honest, _ = run(panel, predict(panel, tmp_path))

    assert "check that no feature knows" in metrics["warnings"][0]
    assert honest["warnings"] == []


def test_predictions_of_another_panel_are_refused(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    other = make_panel(tmp_path / "other", num_entities=14, num_dates=150, seed=9)

    with pytest.raises(ResumeError, match=f"another panel, found {panel.content_key}, allowed: {other.content_key}"):
        evaluate(other.path, predictions, tmp_path / "metrics", CONFIG)

    assert not (tmp_path / "metrics").exists()


def test_a_date_that_occurs_twice_is_refused(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    rows = fold_rows(panel, 3)[2]
    values = np.zeros(len(rows), np.float32)
    write_fold(
        predictions / "fold_03.parquet", panel, fold=3, rows=rows, predictions=values, target="fwd", model_key=""
    )

    with pytest.raises(FormatError, match="out of order, repeated"):
        evaluate(panel.path, predictions, tmp_path / "metrics", CONFIG)


def test_fewer_predictions_than_the_manifest_says_are_refused(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    path = predictions / "fold_01.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "num_rows": manifest["num_rows"] + 1}), encoding="utf-8")

    with pytest.raises(FormatError, match="wrong number of"):
        evaluate(panel.path, predictions, tmp_path / "metrics", CONFIG)


def test_folds_of_different_targets_are_refused(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    path = predictions / "fold_01.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "target": "other"}), encoding="utf-8")

    with pytest.raises(FormatError, match="different targets, found other, allowed: fwd"):
        evaluate(panel.path, predictions, tmp_path / "metrics", CONFIG)
