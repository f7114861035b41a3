"""A small market in a CSV and a config for it that runs end to end in seconds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

NUM_DATES = 260
NUM_ENTITIES = 12


def market(seed: int = 0) -> pd.DataFrame:
    """Long table of symbol, date, close, value: random walks, late listings, a suspension, in order of date."""
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2020-01-01", periods=NUM_DATES)
    frames = []
    for number in range(NUM_ENTITIES):
        first = int(rng.integers(0, 40))
        present = rng.random(NUM_DATES) > 0.02
        present[:first] = False
        present[120 : 120 + 10 * (number % 3)] = False
        steps = rng.normal(0, 0.02, NUM_DATES)
        close = 20.0 * np.exp(np.cumsum(steps + 0.3 * np.roll(steps, 1)))
        value = np.exp(rng.normal(12, 1, NUM_DATES))
        frame = pd.DataFrame({"symbol": f"S{number:02d}", "date": dates, "close": close, "value": value})
        frames.append(frame[present])
    return pd.concat(frames).sort_values(["date", "symbol"], ignore_index=True)


def write_market(path: Path, frame: pd.DataFrame) -> Path:
    """Write the table as CSV with full precision."""
    frame.to_csv(path, index=False, date_format="%Y-%m-%d")
    return path


def config(source: Path, output: Path, **train: Any) -> dict[str, Any]:  # noqa: ANN401 - config values
    """Give a whole config: three folds, a tiny model, two strategies."""
    return {
        "name": "small",
        "output": str(output),
        "ingest": {
            "sources": [str(source)],
            "entity": "symbol",
            "time": "date",
            "prices": ["close"],
            "values": ["value"],
            "derived": {"ret": "ln(adj_close / lag(adj_close) OVER entity)"},
            "features": {
                "ret_1": "ret",
                "ret_5": "ln(adj_close / lag(adj_close, 5) OVER entity)",
                "volatility": "stddev_samp(ret) OVER (entity ROWS 9 PRECEDING)",
                "log_value": "ln(value)",
            },
            "universe": "avg(value) OVER (entity ROWS 4 PRECEDING) > 150000",
            "targets": {"fwd": {"forward_return": {"column": "close", "horizon_periods": 2}}},
        },
        "train": {
            "target": "fwd",
            "lookback_periods": 8,
            "folds": {"train": 100, "valid": 30, "test": 40},
            "model": {"kind": "lstm_attention", "hidden_size": 8},
            "batch_size": 128,
            "max_epochs": 2,
            "seed": 3,
            **train,
        },
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
                {"name": "top", "kind": "top_k", "k": 3, "rebalance_periods": 2},
                {"name": "spread", "kind": "quantile_long_short", "num_quantiles": 3, "rebalance_periods": 2},
            ],
        },
    }
