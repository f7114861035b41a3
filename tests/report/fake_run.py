"""A run folder as a finished run leaves it: seeded random numbers in the exact files of FORMAT.md, section 5."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from seawall.arrays import AnyArray, Float64
from seawall.units import GIB, MIB
from tests.report.fake_more import more_metrics, more_statistics

DAY_NS = 86_400_000_000_000
STAGES = ("ingest", "train", "predict", "evaluate", "join", "backtest")


@dataclass(frozen=True, kw_only=True)
class World:
    """How large the fake run is, and the names in it."""

    num_folds: int = 4
    test_dates: int = 240
    num_names: int = 60
    strategies: tuple[str, ...] = ("top_20", "long_short")
    panel_name: str = "pse"
    run_name: str = "pse-demo"
    entity: str = "ALI"
    column: str = "ret_5"
    steps: bool = False
    samples_per_unit: int = 300
    seed: int = 0


def make_run(folder: Path, world: World | None = None) -> Path:
    """Write ``folder/run`` and the panel manifest beside it; give the run folder."""
    world = world or World()
    rng = np.random.default_rng(world.seed)
    run = folder / "run"
    run.mkdir(parents=True)
    times = _calendar(world)
    ingest = _ingest_report(rng, world, times)
    panel = _write_manifest(folder, world, ingest)
    units = _units(rng, world, panel, ingest)
    _json(run / "run.json", {"format": "seawall-run/1", "name": world.run_name, "units": units})
    (run / "config.yaml").write_text(yaml.safe_dump(_config(world), sort_keys=False), encoding="utf-8")
    _json(run / "plan.json", {name: _plan(unit) for name, unit in units.items()})
    _write_samples(run / "memory.csv", rng, world, units)
    _json(run / "folds.json", {"folds": [_fold(world, times, fold) for fold in range(world.num_folds)]})
    for fold in range(world.num_folds):
        _write_model(run / "models" / f"fold_{fold:02d}", rng)
    rank_ic = _write_metrics(run / "metrics", rng, world, times)
    _json(run / "backtest" / "coverage.json", _coverage(world))
    for number, name in enumerate(world.strategies):
        _write_strategy(run / "backtest" / name, rng, times[-len(rank_ic) :], number)
    return run


def _calendar(world: World) -> AnyArray:
    num_dates = 300 + world.num_folds * world.test_dates
    if world.steps:
        return np.arange(num_dates, dtype=np.int64)
    days = np.arange(np.datetime64("2014-01-01"), np.datetime64("2014-01-01") + num_dates * 2)
    return days[np.is_busday(days)][:num_dates].astype("datetime64[ns]")


def _text(time: np.datetime64 | np.int64) -> str | int:
    return str(time.astype("datetime64[s]")) if isinstance(time, np.datetime64) else int(time)


def _ingest_report(rng: np.random.Generator, world: World, times: AnyArray) -> dict[str, Any]:
    entities = [world.entity, "SM", "BDO", "JFC", "TEL"]
    return {
        "rows_read": 538_408,
        "rows_kept": 530_112,
        "bad_rows": {"not a number: volume": 12, "time cannot be parsed": 3},
        "dropped_rows": {"no trade": 8_281},
        "duplicates": 0,
        "scale_breaks": [
            {
                "entity": entities[i % 5],
                "time": str(_text(times[40 + 7 * i])),
                "factor": 0.1 * (1 + i % 9),
                "before": 120.0,
                "after": 12.0 * (1 + i % 9),
            }
            for i in range(26)
        ],
        "suspicious_jumps": [
            {"entity": entities[i % 5], "time": str(_text(times[30 + i])), "ratio": float(rng.uniform(1.5, 2.4))}
            for i in range(50)
        ],
        "num_suspicious_jumps": 213,
        "num_gaps": 4_010,
        "longest_gap_dates": 611,
        "missing_shares": {world.column: 0.0125, "vol_20": 0.04, "turnover": 0.0, "gap_1": 0.31},
        "constant_columns": ["flag"],
        "lossy_casts": {"turnover": 91},
        "first_time": str(_text(times[0])),
        "last_time": str(_text(times[-1])),
    }


def _write_manifest(folder: Path, world: World, ingest: dict[str, Any]) -> Path:
    panel = folder / f"{world.panel_name}.panel"
    features = [world.column, "vol_20", "turnover", "gap_1", "flag"]
    columns = [
        {"name": name, "group": "features", "dtype": "float32", "unit": "", "expression": ""} for name in features
    ]
    columns.append({"name": "fwd_5", "group": "targets", "dtype": "float32", "unit": "return", "expression": ""})
    manifest = {
        "format": "seawall-panel/1",
        "num_rows": 530_112,
        "num_entities": 257,
        "num_dates": 300 + world.num_folds * world.test_dates,
        "calendar": {"kind": "step" if world.steps else "timestamp"},
        "columns": columns,
        "targets": [
            {"name": "fwd_5", "kind": "forward_return", "column": "close", "horizon_periods": 5, "delay_periods": 1}
        ],
        "ingest": ingest,
        "content_key": "9f3c51d0a2b74c66e1f08d5b7a90c4e2",
    }
    _json(panel / "panel.json", manifest)
    return panel


def _units(rng: np.random.Generator, world: World, panel: Path, ingest: dict[str, Any]) -> dict[str, Any]:
    names: list[tuple[str, str, int | None]] = [("ingest", "ingest", None)]
    for fold in range(world.num_folds):
        names += [(f"train/fold_{fold:02d}", "train", fold), (f"predict/fold_{fold:02d}", "predict", fold)]
    names += [(stage, stage, None) for stage in STAGES[3:]]
    units = {name: _unit(rng, stage, fold) for name, stage, fold in names}
    units["ingest"]["summary"] = {"panel": str(panel), "ingest": ingest}
    return units


def _unit(rng: np.random.Generator, stage: str, fold: int | None) -> dict[str, Any]:
    projected = {"ingest": 168, "train": 436, "predict": 402}.get(stage, 120) * MIB
    measured = int(projected * rng.uniform(0.74, 0.93))
    seconds = float({"ingest": 9, "train": 48, "predict": 6}.get(stage, 3) * rng.uniform(0.8, 1.2))
    return {
        "stage": stage,
        "fold": fold,
        "key": rng.bytes(16).hex(),
        "outputs": [],
        "projected_private_bytes": projected,
        "projected_cgroup_bytes": projected + 108 * MIB,
        "measured_private_bytes": measured,
        "measured_file_bytes": 90 * MIB,
        "cgroup_peak_bytes": measured + 140 * MIB if stage != "join" else None,
        "parent_private_bytes": 21 * MIB,
        "declared_bytes": GIB,
        "fence": "cgroup",
        "wall_seconds": seconds,
        "cpu_seconds": seconds * 1.7,
        "finished": "2026-11-21T04:00:00+00:00",
        "summary": {},
    }


def _plan(unit: dict[str, Any]) -> dict[str, Any]:
    half = unit["projected_private_bytes"] // 2
    claims = [
        {"purpose": "interpreter and libraries", "bytes": half, "formula": "Python, NumPy, pyarrow imported"},
        {"purpose": "batches", "bytes": half, "formula": "2 batches x 512 windows x 20 x 12 x 4 B"},
    ]
    return {"stage": unit["stage"], "private": claims, "cache": [], "disk": [], "neutral": {}, "semantic": {}}


def _write_samples(path: Path, rng: np.random.Generator, world: World, units: dict[str, Any]) -> None:
    columns = "seconds,unit,substep,private_bytes,shared_bytes,file_bytes,cgroup_bytes,parent_private_bytes"
    seconds = 0.0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns.split(","))
        for name, unit in units.items():
            peak, step = unit["measured_private_bytes"], unit["wall_seconds"] / world.samples_per_unit
            for i in range(world.samples_per_unit):
                seconds += step
                private = int(peak * min(1.0, 0.3 + i / world.samples_per_unit) * rng.uniform(0.97, 1.0))
                writer.writerow([f"{seconds:.3f}", name, "work", private, 0, 80 * MIB, private + 120 * MIB, 21 * MIB])


def _fold(world: World, times: AnyArray, fold: int) -> dict[str, Any]:
    test_start = 300 + fold * world.test_dates
    bounds = {
        "train": (test_start - 300, test_start - 60),
        "valid": (test_start - 60, test_start),
        "test": (test_start, test_start + world.test_dates),
    }
    return {"fold": fold, **{kind: _segment(times, *bound, kind) for kind, bound in bounds.items()}}


def _segment(times: AnyArray, start: int, stop: int, kind: str) -> dict[str, Any]:
    return {
        "start": start,
        "stop": stop,
        "first_time": _text(times[start]),
        "last_time": _text(times[stop - 1]),
        "num_samples": (stop - start) * 151,
        "num_purged": 0 if kind == "test" else 906,
    }


def _write_model(folder: Path, rng: np.random.Generator) -> None:
    num_epochs = 8
    train = 1.02 * np.exp(-0.03 * np.arange(num_epochs)) + rng.normal(0, 0.002, num_epochs)
    valid = 1.03 - 0.02 * np.sin(np.arange(num_epochs) / 2.2) + rng.normal(0, 0.003, num_epochs)
    best = int(np.argmin(valid))
    epochs = [
        {
            "epoch": i + 1,
            "train_loss": float(train[i]),
            "valid_loss": float(valid[i]),
            "valid_ic": float(rng.normal(0.02, 0.01)) if i else None,
            "learning_rate": 1e-3,
            "seconds": 5.9,
            "best": i == best,
        }
        for i in range(num_epochs)
    ]
    _json(folder / "history.json", {"epochs": epochs, "best_epoch": best + 1, "stopped": "patience"})
    _json(folder / "model.json", {"name": "lstm_attention", "num_parameters": 6_913})


def _write_metrics(folder: Path, rng: np.random.Generator, world: World, times: AnyArray) -> Float64:
    num_dates = world.num_folds * world.test_dates
    rank_ic = rng.normal(0.021, 0.11, num_dates)
    rank_ic[::97] = np.nan
    ic = rank_ic * 0.8 + rng.normal(0, 0.04, num_dates)
    fold = np.repeat(np.arange(world.num_folds, dtype=np.int32), world.test_dates)
    columns: dict[str, Any] = {
        "time": _time_column(times[-num_dates:]),
        "fold": pa.array(fold),
        "num_names": pa.array(np.full(num_dates, world.num_names, np.int32)),
        "ic": ic,
        "rank_ic": rank_ic,
        **{f"q{q}": rng.normal(0.0008 * (q - 2), 0.02, num_dates) for q in range(1, 6)},
    }
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "daily.parquet")
    record = {
        "target": "fwd_5",
        "horizon_periods": 5,
        "min_names": 10,
        "num_quantiles": 5,
        "overall": {**_block(ic, rank_ic), **more_metrics(rng, _ic, times[-num_dates:], ic, rank_ic)},
        "folds": [{"fold": i, **_block(ic[fold == i], rank_ic[fold == i])} for i in range(world.num_folds)],
        "warnings": [],
    }
    _json(folder / "metrics.json", record)
    return rank_ic


def _time_column(times: AnyArray) -> pa.Array:
    return (
        pa.array(times.view(np.int64)).cast(pa.timestamp("ns", tz="UTC"))
        if times.dtype.kind == "M"
        else pa.array(times)
    )


def _block(ic: Float64, rank_ic: Float64) -> dict[str, Any]:
    pooled = {"n": 144_000, "mse": 0.0021, "rmse": 0.0458, "mae": 0.031, "r2": -0.0012, "bias": 0.0004}
    return {
        "pooled": {**pooled, "pearson": 0.011, "pooled_t": 4.17},
        "ic": _ic(ic),
        "rank_ic": _ic(rank_ic),
        "quantiles": [-0.0011, 0.0002, 0.0009, 0.0017, 0.0038]
        if len(ic) > 500
        else [-0.002, 0.001, 0.0004, 0.002, 0.003],
    }


def _ic(values: Float64) -> dict[str, Any]:
    defined = values[~np.isnan(values)]
    mean, std = float(defined.mean()), float(defined.std(ddof=1))
    t_plain = mean / std * len(defined) ** 0.5
    t_hac = t_plain * 0.5
    return {
        "mean": mean,
        "std": std,
        "icir": mean / std,
        "share_positive": float((defined > 0).mean()),
        "t_plain": t_plain,
        "p_plain": 0.0004,
        "t_hac": t_hac,
        "p_hac": math.erfc(abs(t_hac) / 2**0.5),
        "dof_hac": len(defined) // 10,
        "num_dates": len(defined),
        "num_undefined": int(np.isnan(values).sum()),
    }


def _coverage(world: World) -> dict[str, Any]:
    rows = world.num_folds * world.test_dates * world.num_names
    counts = {"num_rows": rows, "num_matched": rows - 360, "share": 1 - 360 / rows}
    return {"target": "fwd_5", "prices": ["open", "close"], **counts, "folds": [], "months": []}


def _write_strategy(folder: Path, rng: np.random.Generator, times: AnyArray, number: int) -> None:
    gross = rng.normal(0.0007 - 0.0003 * number, 0.011 - 0.005 * (number % 2), len(times))
    cost = rng.uniform(0, 0.0004, len(times))
    gross[0] = cost[0] = 0.0
    equity = np.cumprod(1 + gross - cost)
    fall = equity / np.maximum.accumulate(equity) - 1
    trough = int(np.argmin(fall))
    columns: dict[str, Any] = {
        "time": _time_column(times),
        "equity": equity,
        "period_return": gross - cost,
        "gross_return": gross,
        "cost": cost,
        "turnover": cost * 100,
        "long_exposure": np.ones(len(times)),
        "short_exposure": np.zeros(len(times)),
        "benchmark_return": rng.normal(0.0003, 0.009, len(times)) if number == 0 else np.full(len(times), np.nan),
        "num_positions": np.full(len(times), 20, np.int32),
    }
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "equity.parquet")
    net = (gross - cost)[1:]
    statistics = {
        "total_return": float(equity[-1] - 1),
        "annual_return": float(equity[-1] ** (245 / len(net)) - 1),
        "annual_volatility": float(net.std(ddof=1) * 245**0.5),
        "sharpe": float(net.mean() / net.std(ddof=1) * 245**0.5),
        "max_drawdown": float(fall.min()),
        "max_drawdown_start": _text(times[int(np.argmax(equity[: trough + 1]))]),
        "max_drawdown_end": _text(times[trough]),
        "annual_turnover": 24.5,
        "total_cost": float(cost.sum()),
        "hit_rate": float((net > 0).mean()),
        "num_trades": 4_120,
        "num_rejected": 31 if number == 0 else 0,
        "num_dates": len(times),
        "num_decisions": len(net) // 5,
        "num_decisions_skipped": 0,
        "num_decisions_dropped": 0,
        "num_stale_positions": 0,
        "periods_per_year": 245.0,
        "compounding": "geometric",
        **more_statistics(times, net),
        "config": {
            "strategy": {"kind": "top_k" if number == 0 else "quantile_long_short", "rebalance_periods": 5},
            "delay_periods": 1,
            "trade_price": "open",
            "mark_price": "close",
            "cost_bps": 20.0,
            "slippage_bps": 5.0,
            "minimum_fee": 0.0,
        },
    }
    _json(folder / "statistics.json", statistics)


def _config(world: World) -> dict[str, Any]:
    return {
        "name": world.run_name,
        "memory": {"budget": "1GiB"},
        "ingest": {
            "sources": ["dataset:pse_equities"],
            "entity": "symbol",
            "time": "dt",
            "features": {world.column: "close / lag(close, 5) - 1"},
        },
        "folds": {"train": 240, "valid": 60, "test": world.test_dates, "embargo_periods": 0},
        "train": {"model": {"kind": "lstm_attention", "hidden": 32}, "lookback_periods": 20, "batch": 512, "seed": 0},
        "backtest": {"delay_periods": 1, "trade_price": "open", "cost_bps": 20.0},
    }


def _json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, sort_keys=True, allow_nan=False), encoding="utf-8")
