"""A small ragged market with everything real ones have, and a second opinion on it in pandas."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seawall.ingest.config import IngestConfig
from seawall.ingest.run import ingest
from seawall.stores.panel import Panel
from seawall.units import MIB

BUDGET_BYTES = 400 * MIB

SETTINGS: dict[str, Any] = {
    "entity": "symbol",
    "time": "date",
    "prices": ("open", "high", "low", "close"),
    "values": ("volume",),
    "adjustment": {
        "detect": True,
        "declared": [{"entity": "SPLIT", "time": "2020-02-14", "factor": 0.5}],
    },
    "derived": {"ret": "ln(adj_close / lag(adj_close) OVER entity)"},
    "features": {
        "ret_1": "ret",
        "mean_5": "avg(adj_close) OVER (entity ROWS 4 PRECEDING)",
        "std_10": "stddev_samp(ret) OVER (entity ROWS 9 PRECEDING)",
        "range": "ln(high / low)",
        "days": "date_diff('day', lag(date) OVER entity, date)",
    },
    "targets": {
        "fwd_3": {"forward_return": {"column": "close", "horizon_periods": 3, "delay_periods": 1}},
        "fwd_1": {"forward_return": {"column": "open", "horizon_periods": 1, "delay_periods": 0}},
    },
    "universe": "count(*) OVER (entity ROWS 9 PRECEDING) = 10 AND median(volume) OVER (entity ROWS 4 PRECEDING) >= 500",
}


def settings(*sources: Path, **changes: object) -> IngestConfig:
    """The usual ingest of the market, with changes."""
    return IngestConfig.model_validate({**SETTINGS, "sources": tuple(map(str, sources)), **changes})


def ingested(output: Path, *sources: Path, **changes: object) -> tuple[Panel, dict[str, Any]]:
    """Ingest the market; give the opened panel and the ingest report."""
    summary = ingest(settings(*sources, **changes), output, budget_bytes=BUDGET_BYTES)
    return Panel(output), summary["ingest"]


def market(*, num_entities: int = 8, num_dates: int = 90, seed: int = 0) -> pd.DataFrame:
    """Rows by (date, symbol): late listings, suspensions, missing prices, a x10 break, a split, a real +60 %."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2020-01-01", periods=num_dates).strftime("%Y-%m-%d")
    names = ["SPLIT", "SCALE", "JUMP", *(f"{i:03d}" for i in range(num_entities - 3))]
    frames = [_entity(rng, name, days) for name in names]
    return pd.concat(frames).sort_values(["date", "symbol"], ignore_index=True)


def _entity(rng: np.random.Generator, name: str, days: pd.Index) -> pd.DataFrame:
    n = len(days)
    moves = rng.normal(0, 0.02, n)
    if name == "JUMP":
        moves[n // 2] = np.log(1.6)
    close = 40.0 * np.exp(np.cumsum(moves))
    opened = np.concatenate([[40.0], close[:-1]]) * np.exp(rng.normal(0, 0.005, n) + np.where(moves > 0.3, 0.4, 0))
    frame = pd.DataFrame(
        {
            "symbol": name,
            "date": days,
            "open": opened,
            "high": np.maximum(opened, close) * 1.01,
            "low": np.minimum(opened, close) * 0.99,
            "close": close,
            "volume": rng.integers(0, 2000, n).astype(float),
        }
    )
    scale = np.where(days >= "2020-02-14", 0.5, 1.0) if name == "SPLIT" else np.ones(n)
    scale = np.where(np.arange(n) >= n // 3, 10.0, 1.0) if name == "SCALE" else scale
    frame[["open", "high", "low", "close"]] = (frame[["open", "high", "low", "close"]].mul(scale, axis=0)).round(4)
    if name[0] == "0":
        present = rng.random(n) > 0.05
        present[: rng.integers(0, n // 4)] = False
        present[n // 2 : n // 2 + rng.integers(0, 8)] = False
        frame.loc[rng.random(n) < 0.03, "close"] = np.nan
        frame = frame[present]
    return frame


def second_opinion(frame: pd.DataFrame) -> pd.DataFrame:
    """What the usual ingest must hold, row by row in order of (symbol, date), computed by pandas alone."""
    rows = frame.sort_values(["symbol", "date"], ignore_index=True)
    by = rows.groupby("symbol", sort=False)
    previous = by["close"].shift()
    is_break = ((rows["low"] > 2 * previous) | (rows["high"] < previous / 2)) & (previous > 0)
    factor = (rows["open"] / previous).where(is_break, 1.0)
    factor[(rows["symbol"] == "SPLIT") & (rows["date"] == "2020-02-14")] = 0.5
    rows["adjustment"] = factor.groupby(rows["symbol"]).cumprod()
    rows["adj_close"], rows["adj_open"] = rows["close"] / rows["adjustment"], rows["open"] / rows["adjustment"]
    rows["ret_1"] = np.log(rows["adj_close"] / by["adj_close"].shift())
    rows["mean_5"] = by["adj_close"].transform(lambda price: price.rolling(5, min_periods=1).mean())
    rows["std_10"] = by["ret_1"].transform(lambda ret: ret.rolling(10, min_periods=2).std())
    rows["range"] = np.log(rows["high"] / rows["low"])
    days = pd.to_datetime(rows["date"])
    day_number = pd.Series(days.to_numpy().astype("datetime64[D]").astype(float))
    rows["days"] = day_number.groupby(rows["symbol"]).diff()
    median = by["volume"].transform(lambda volume: volume.rolling(5, min_periods=1).median())
    rows["universe"] = (by.cumcount() >= 9) & (median >= 500)
    calendar = np.unique(days)
    rows["index"] = np.searchsorted(calendar, days.to_numpy())
    for name, column, delay, horizon in (("fwd_3", "adj_close", 1, 3), ("fwd_1", "adj_open", 0, 1)):
        price = by[column]
        rows[name] = price.shift(-delay - horizon) / price.shift(-delay) - 1
        rows[f"{name}_end"] = by["index"].shift(-delay - horizon).fillna(-1).astype(int)
    return rows
