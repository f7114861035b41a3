"""A year of real shares on which Qlib's own TopkDropout backtest was run, and the same for ours."""

from typing import Any

import numpy as np
import pandas as pd

from seawall.arrays import AnyArray, Float64
from seawall.backtest.config import BacktestConfig
from seawall.datasets import pse_equities
from tests.backtest.world import World, config_of

NUM_NAMES = 60

RULES: dict[str, Any] = {
    "k": 10,
    "n_drop": 2,
    "gross_exposure": 0.95,
    "limit_move": 0.095,
    "buy_bps": 5,
    "sell_bps": 15,
    "minimum_fee": 5,
    "initial_equity": 100_000_000,
}
"""Qlib's own usual ones, but fewer names."""


def qlib_world() -> tuple[World, AnyArray]:
    """The world, closes alone and as float32 because Qlib stores them so, and its days."""
    frame = pd.read_csv(pse_equities(), parse_dates=["date"])
    days = np.sort(frame["date"].unique())[2000:2250]
    frame = frame[frame["date"].isin(days)]
    count = frame.groupby("symbol").size()
    # Names that rarely pause: of several held without a score Qlib drops by the order in which they were bought.
    names = sorted(count[(count >= 235)].index)[::2][:NUM_NAMES]
    wide = frame[frame["symbol"].isin(names)].pivot_table(index="date", columns="symbol", values="close")
    close = wide.reindex(index=days, columns=names).to_numpy(np.float32).astype(np.float64)
    rng = np.random.default_rng(11)
    # Scores with memory, so that names are kept for a while; a few are missing on dates on which the name is held.
    scores = 0.1 * np.cumsum(rng.standard_normal(close.shape), axis=0) + rng.standard_normal(close.shape)
    scores = scores.astype(np.float32).astype(np.float64)
    scores[rng.random(close.shape) < 0.01] = np.nan
    return World(close, close, scores, present=~np.isnan(close)), days.astype("datetime64[D]")


def our_config() -> BacktestConfig:
    """The same rules in our words."""
    strategy = {name: RULES[name] for name in ("k", "n_drop", "gross_exposure")}
    return config_of(
        {"kind": "top_k_dropout", "name": "x", "rebalance_periods": 1, **strategy},
        trade_price="close",
        mark_price="close",
        cost_bps={"buy": RULES["buy_bps"], "sell": RULES["sell_bps"]},
        minimum_fee=RULES["minimum_fee"],
        limit_move=RULES["limit_move"],
        initial_equity=RULES["initial_equity"],
        convention="qlib",
    )


def change(close: Float64) -> Float64:
    """Qlib's field of that name: the close over the last one there was, less 1."""
    frame = pd.DataFrame(close)
    return (frame / frame.ffill().shift() - 1.0).to_numpy()
