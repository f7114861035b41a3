"""Runs of generated tables through every stage, whose claims are then held against what the meter saw."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

from seawall.units import MIB

STAGES = ("ingest", "folds", "train", "predict", "evaluate", "join", "backtest", "search", "report")
COSTS = ("taker_fee", "maker_fee", "entry_slippage", "stop_slippage", "market_slippage")
FIRST_DAY = np.datetime64("2000-01-03", "D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One point of the matrix."""

    times: int = 1
    """Data size, in multiples of the base, along time."""
    num_entities: int = 60
    num_columns: int = 12
    lookback_periods: int = 20
    hidden_size: int = 16
    budget_mib: int = 640
    base_dates: int = 400
    folds: tuple[int, int, int] | None = None
    """Dates of train, valid and test; shares of the calendar where missing."""
    source: Literal["csv", "csv.gz", "parquet"] = "csv"
    signal_share: float = 0.1
    """Share of predictions at either end that the search enters on."""

    @property
    def num_dates(self) -> int:
        """Dates of the table."""
        return self.base_dates * self.times

    def __str__(self) -> str:
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


BASE = Case()

MATRIX = (
    BASE,
    *(replace(BASE, times=times) for times in (4, 10)),
    *(replace(BASE, num_entities=number, source="parquet") for number in (5, 2000)),
    *(replace(BASE, num_columns=number, source="parquet") for number in (1, 60, 200)),
    *(replace(BASE, lookback_periods=periods) for periods in (2, 120)),
    *(replace(BASE, hidden_size=size) for size in (4, 128)),
    replace(BASE, hidden_size=128, lookback_periods=60, budget_mib=2048),
    *(replace(BASE, budget_mib=budget) for budget in (420, 4096)),
    replace(BASE, source="csv.gz"),
    replace(BASE, times=10, num_columns=60, source="parquet", budget_mib=480),
    replace(BASE, times=10, num_entities=300, source="parquet"),
)
"""Each side of the matrix alone, and some corners."""


def random_case(seed: int) -> Case:
    """Draw a small point of the matrix."""
    chance = random.Random(seed)
    return Case(
        times=chance.choice((1, 2)),
        num_entities=chance.choice((10, 60, 150)),
        num_columns=chance.choice((1, 5, 12, 30)),
        lookback_periods=chance.choice((2, 10, 30)),
        hidden_size=chance.choice((4, 16, 48)),
        budget_mib=chance.choice((480, 700, 1500)),
        source=chance.choice(("csv", "csv.gz", "parquet")),
    )


def write_table(folder: Path, case: Case, *, seed: int = 0, dates_per_piece: int = 2000) -> Path:
    """Write the source table in order of (date, entity), in pieces of dates, so that the maker stays small."""
    path = folder / f"table.{case.source}"
    with _writer(path, case) as writer:
        close = np.full(case.num_entities, 50.0)
        rng = np.random.default_rng(seed)
        for start in range(0, case.num_dates, dates_per_piece):
            stop = min(start + dates_per_piece, case.num_dates)
            piece, close = _piece(rng, case, start, stop, close)
            writer.write_table(piece)
    return path


def _piece(
    rng: np.random.Generator, case: Case, start: int, stop: int, close: np.ndarray[Any, Any]
) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    num_dates = stop - start
    days = FIRST_DAY + np.arange(start, stop)
    names = np.array([f"E{number:05d}" for number in range(case.num_entities)])
    closes = close * np.exp(np.cumsum(rng.normal(0, 0.01, (num_dates, case.num_entities)), axis=0))
    columns: dict[str, Any] = {
        "symbol": np.tile(names, num_dates),
        "date": pa.array(np.repeat(days, case.num_entities)).cast(pa.date32()),
        "close": closes.ravel(),
    }
    for number in range(case.num_columns):
        values = rng.standard_normal(num_dates * case.num_entities, np.float32)
        columns[f"f{number}"] = np.round(values, 3)
    return pa.table(columns), closes[-1]


def _writer(path: Path, case: Case) -> Any:  # noqa: ANN401 - pyarrow has no types
    schema = pa.schema(
        [("symbol", pa.string()), ("date", pa.date32()), ("close", pa.float64())]
        + [(f"f{number}", pa.float32()) for number in range(case.num_columns)]
    )
    if case.source == "parquet":
        return pq.ParquetWriter(path, schema, compression="none", use_dictionary=["symbol"])
    sink = pa.CompressedOutputStream(str(path), "gzip") if case.source == "csv.gz" else str(path)
    return pyarrow.csv.CSVWriter(sink, schema)


def _folds(case: Case) -> dict[str, int]:
    shares = (case.num_dates * 6 // 10, case.num_dates // 10, case.num_dates * 3 // 10)
    return dict(zip(("train", "valid", "test"), case.folds or shares, strict=True))


def config(case: Case, source: Path, output: Path) -> dict[str, Any]:
    """Give the config of a case: all stages, two strategies."""
    names = [f"f{number}" for number in range(case.num_columns)]
    search: dict[str, Any] = {
        "bars": {"open": "close", "high": "close", "low": "close", "holding": "bars"},
        "costs": {f"{name}_bps": 2 for name in COSTS},
        "types": {
            "both": {
                "opportunity_bps": 50,
                "predictions": {"long_quantile": 1 - case.signal_share, "short_quantile": case.signal_share},
                "grid": {
                    "take_profit_bps": {"start": 50, "stop": 1000, "num": 8},
                    "stop_loss_bps": {"start": 50, "stop": 1000, "num": 8},
                    "holding_periods": [2, 5, 10, 20],
                },
            }
        },
        "max_rounds": 1,
    }
    return {
        "name": "matrix",
        "output": str(output),
        "ingest": {
            "sources": [str(source)],
            "entity": "symbol",
            "time": "date",
            "prices": ["close"],
            "values": names,
            "features": {name: name for name in names[1:]} | {"ret": "ln(adj_close / lag(adj_close) OVER entity)"},
            "targets": {"fwd": {"forward_return": {"column": "close", "horizon_periods": 2}}},
        },
        "train": {
            "target": "fwd",
            "lookback_periods": case.lookback_periods,
            "folds": _folds(case),
            "model": {"kind": "lstm_attention", "hidden_size": case.hidden_size},
            "max_epochs": 1,
            "device": "cpu",
        },
        "search": search,
        "evaluate": {"min_names": 4, "num_quantiles": 3},
        "backtest": {
            "delay_periods": 1,
            "trade_price": "close",
            "mark_price": "close",
            "cost_bps": 10,
            "slippage_bps": 5,
            "minimum_fee": 0,
            "borrow_bps_per_year": 50,
            "periods_per_year": 252,
            "strategies": [
                {"name": "top", "kind": "top_k", "k": 4, "rebalance_periods": 5},
                {"name": "spread", "kind": "quantile_long_short", "num_quantiles": 3, "rebalance_periods": 5},
            ],
        },
    }


def run_case(folder: Path, case: Case) -> dict[str, dict[str, Any]]:
    """Run a case through the pipeline as a user does, in children of a small parent; give the unit records."""
    output = folder / "out"
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config(case, write_table(folder, case), output), sort_keys=False))
    run(path, f"{case.budget_mib}MiB")
    return unit_records(output)


def run(config_path: Path, memory: str, *more: str, environment: dict[str, str] | None = None) -> None:
    """Type the command and wait for its good end."""
    command = [sys.executable, "-m", "seawall", "run", str(config_path), "--memory", memory, "--quiet", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


def unit_records(output: Path) -> dict[str, dict[str, Any]]:
    """Read the unit records of a run."""
    loaded: dict[str, dict[str, Any]] = json.loads((output / "run.json").read_text())["units"]
    return loaded


def peaks(records: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Give the highest measured private bytes of each stage over its folds."""
    return {
        stage: max(record["measured_private_bytes"] for record in records.values() if record["stage"] == stage)
        for stage in STAGES
    }


def wrong_claims(records: dict[str, dict[str, Any]], told: str) -> Iterator[str]:
    """Print projected beside measured of every unit, and give those that are not two-sided."""
    for name, record in records.items():
        projected, measured = record["projected_private_bytes"], record["measured_private_bytes"]
        line = f"{told}: {name} projected {projected / MIB:.1f} MiB, measured {measured / MIB:.1f} MiB"
        print(line)
        if not measured <= projected <= 1.5 * measured + 32 * MIB:
            yield line
