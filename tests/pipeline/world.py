"""A small market in a CSV and a config for it that runs end to end in seconds."""

import json
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


def ohlc_market(seed: int = 0) -> pd.DataFrame:
    """Give the market with open, high and low: a bar opens near the close before it."""
    frame = market(seed)
    before = frame.groupby("symbol")["close"].shift(1).fillna(frame["close"])
    opened = before + 0.1 * (frame["close"] - before)
    high, low = np.maximum(opened, frame["close"]), np.minimum(opened, frame["close"])
    return frame.assign(open=opened, high=1.006 * high, low=0.994 * low)


def with_search(settings: dict[str, Any]) -> dict[str, Any]:
    """Add a search whose entries are the predictions of the model, best and worst of each date, as two types."""
    grid = {"take_profit_bps": [150, 400, None], "stop_loss_bps": [150, 400], "holding_periods": [2, 5]}
    trail = {"distance_bps": [500], "activation_bps": [0, 200]}
    rule = {"long_quantile": 0.75, "short_quantile": 0.25}
    search = {
        "bars": {"holding": "bars"},
        "costs": {
            "taker_fee_bps": 4, "maker_fee_bps": 2, "entry_slippage_bps": 1, "stop_slippage_bps": 3,
            "market_slippage_bps": 2,
        },
        "types": {
            "both": {"opportunity_bps": 100, "predictions": rule, "grid": grid | {"trail": trail}},
            "long": {
                "opportunity_bps": 100, "predictions": {"long_quantile": 0.6}, "phase3": "skip",
                "grid": grid | {"holding_periods": [8]},
            },
        },
        "validation": {"num_blocks": 16, "num_draws": 200},
        "replay": {"top": 3},
        "num_starts": 2,
        "max_rounds": 1,
        "checkpoint_seconds": 0,
    }  # fmt: skip
    prices = {"prices": ["open", "high", "low", "close"]}
    whole = {**settings, "ingest": {**settings["ingest"], **prices}, "search": search}
    # Copied, so that nothing is in it twice: YAML would write aliases.
    copied: dict[str, Any] = json.loads(json.dumps(whole))
    return copied


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
