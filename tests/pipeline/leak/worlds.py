"""A market whose columns were prepared outside, written as a panel store, and one training config for it."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from seawall.arrays import Bool, Float64, Int64
from seawall.pipeline.leak.panel import check_panel
from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.train.config import TrainConfig
from seawall.train.run import make_folds_record

DAY_NS = 86_400_000_000_000
NUM_ENTITIES, NUM_DATES = 40, 520
HORIZON, DELAY = 1, 1

CONFIG = TrainConfig.model_validate(
    {
        "target": "fwd",
        "lookback_periods": 5,
        "folds": {"train": 250, "valid": 60, "test": 100},
        "model": {"hidden_size": 4},
        "max_epochs": 1,
        "learning_rate": 0.01,
        "device": "cpu",
    }
)


@dataclass(frozen=True)
class Market:
    """Dense arrays [E, T]; ``present`` marks the rows there are; the target as brought or computed."""

    close: Float64
    features: dict[str, Float64]
    target: Float64
    present: Bool
    kind: str = "forward_return"
    horizon: int = HORIZON
    end_shift: int = 0
    """Calendar dates a recorded target end comes too early, as if dates had been counted and not rows."""
    names: tuple[str, ...] = field(default=())

    def with_feature(self, name: str, values: Float64) -> "Market":
        return replace(self, features={**self.features, name: values})

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        num_dates = self.close.shape[1]
        calendar = (18_000 + np.arange(num_dates)) * DAY_NS
        columns = (
            *(ColumnSpec(name, "features", "float32") for name in self.features),
            ColumnSpec("fwd", "targets", "float32"),
            ColumnSpec("close", "prices", "float64"),
        )
        spec = PanelSpec(
            calendar_kind="timestamp",
            columns=columns,
            targets=(TargetSpec("fwd", self.kind, "close", self.horizon, DELAY),),
        )
        names = self.names or tuple(f"E{number:03d}" for number in range(len(self.close)))
        with PanelWriter(folder / "market.panel", spec, calendar) as writer:
            for number, name in enumerate(names):
                writer.append(self._block(number, name, calendar))
            writer.finish(sources=[], ingest={}, slab_bytes=4096)
        return folder / "market.panel"

    def _block(self, number: int, name: str, calendar: Int64) -> EntityBlock:
        dates = np.flatnonzero(self.present[number])
        ends = np.arange(len(dates)) + self.horizon + DELAY
        known = ends < len(dates)
        if self.end_shift:  # counted in dates of the calendar, where the entity was suspended
            by_date = np.searchsorted(dates, dates + self.horizon + DELAY)
            ends = np.minimum(by_date, len(dates) - 1)
        values = np.where(known, self.target[number, dates], np.nan)
        return EntityBlock(
            names=[name],
            lengths=np.array([len(dates)]),
            times=calendar[dates],
            features=np.column_stack([feature[number, dates] for feature in self.features.values()]).astype(np.float32),
            returns=values[:, None],
            target_end=np.where(known, ends, -1)[:, None],
            prices=self.close[number, dates][:, None],
            adjustment=np.ones(len(dates)),
            universe=np.ones(len(dates), bool),
        )


def forward(close: Float64, periods: int, delay: int = DELAY) -> Float64:
    """Return from row t + delay to t + delay + periods; NaN at the end."""
    found = np.full(close.shape, np.nan)
    end = periods + delay
    found[:, :-end] = close[:, end:] / close[:, delay : close.shape[1] - periods] - 1.0
    return found


def trailing(values: Float64, periods: int) -> Float64:
    """Mean of the last rows, this one included; NaN before there are enough."""
    sums = np.cumsum(np.insert(np.nan_to_num(values), 0, 0.0, axis=1), axis=1)
    found = np.full(values.shape, np.nan)
    found[:, periods - 1 :] = (sums[:, periods:] - sums[:, :-periods]) / periods
    return found


def centred(values: Float64, periods: int) -> Float64:
    """Mean of as many rows on either side: the last of them are in the future."""
    found = np.full(values.shape, np.nan)
    half = periods // 2
    found[:, half:-half] = trailing(values, periods)[:, 2 * half :]
    return found


def expanding_score(values: Float64) -> Float64:
    """Z-score with what was known so far."""
    count = np.arange(1, values.shape[1] + 1)
    mean = np.cumsum(values, axis=1) / count
    spread = np.sqrt(np.maximum(np.cumsum(values**2, axis=1) / count - mean**2, 1e-12))
    found: Float64 = (values - mean) / spread
    return found


def filled(sparse: Float64, *, backwards: bool) -> Float64:
    """Fill missing values from the last known one, or from the next."""
    source = sparse[:, ::-1] if backwards else sparse
    place = np.where(np.isnan(source), 0, np.arange(source.shape[1]))
    carried = np.take_along_axis(source, np.maximum.accumulate(place, axis=1), axis=1)
    return carried[:, ::-1] if backwards else carried


def clean_market(seed: int = 0) -> Market:
    """Random walks; features come from the row and earlier ones alone: the honest twins of the plants."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.02, (NUM_ENTITIES, NUM_DATES))
    close = 50.0 * np.exp(np.cumsum(returns, axis=1))
    sparse = np.where(rng.random(returns.shape) < 0.2, rng.standard_normal(returns.shape), np.nan)
    sparse[:, 0] = rng.standard_normal(NUM_ENTITIES)
    late = rng.standard_normal(returns.shape)
    late[:, :30] = np.nan
    order = np.argsort(np.argsort(returns, axis=0), axis=0)
    by_date = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    features = {
        "ret_1": returns,
        "mean_5": trailing(returns, 5),
        "score": expanding_score(returns),
        "filled": filled(sparse, backwards=False),
        "late": late,
        "rank": (order + 1) / NUM_ENTITIES,
        "by_date": by_date,
    }
    present = np.ones(close.shape, bool)
    return Market(close, features, forward(close, HORIZON), present)


def verdicts(market: Market, folder: Path, *, max_hashes: int = 1_000_000) -> dict[str, str]:
    """Write a market, cut it into folds and judge it: check, verdict."""
    panel = market.write(folder)
    make_folds_record(panel, CONFIG, folder / "folds.json")
    return {check.name: check.verdict for check in check_panel(panel, folder, CONFIG, max_hashes=max_hashes)}


def open_panel(folder: Path) -> Panel:
    return Panel(folder / "market.panel")
