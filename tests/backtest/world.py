"""A small market given as wide frames (dates x entities), written as a panel store and a backtest table."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Bool, Float64
from seawall.backtest.config import BacktestConfig
from seawall.backtest.memory import SLAB_ROWS
from seawall.backtest.run import backtest
from seawall.budget.heartbeat import Beat, silent
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.stores.predictions import time_type

DAY_NS = 86_400_000_000_000
FIRST_DAY = 18_262  # 2020-01-01

TOP_2 = {"kind": "top_k", "name": "top", "k": 2, "rebalance_periods": 1}
LONG_SHORT = {"kind": "quantile_long_short", "name": "ls", "num_quantiles": 3, "rebalance_periods": 1}


def config_of(*strategies: dict[str, Any], **changes: Any) -> BacktestConfig:  # noqa: ANN401 - config values
    """A config without costs, trading at the open of the next date and marking at the close."""
    values = {
        "strategies": strategies or (TOP_2,),
        "delay_periods": 1,
        "trade_price": "open",
        "mark_price": "close",
        "cost_bps": 0.0,
        "slippage_bps": 0.0,
        "minimum_fee": 0.0,
        "borrow_bps_per_year": 0.0,
        "periods_per_year": 252,
    }
    return BacktestConfig.model_validate(values | changes)


@dataclass(frozen=True)
class World:
    """All arrays are [dates, entities]; ``present`` is where the panel has a row, ``predicted`` where the table has."""

    open: Float64
    close: Float64
    predictions: Float64
    adjustment: Float64 = field(default_factory=lambda: np.empty(0))
    present: Bool = field(default_factory=lambda: np.empty(0, bool))
    predicted: Bool = field(default_factory=lambda: np.empty(0, bool))
    value: Float64 = field(default_factory=lambda: np.empty(0))
    """A kept source number: money traded, or a dividend; none by default."""
    splits: Float64 = field(default_factory=lambda: np.empty(0))
    dividends: Float64 = field(default_factory=lambda: np.empty(0))
    """What the panel itself knows of; none by default."""
    steps: bool = False

    def __post_init__(self) -> None:
        if not self.adjustment.size:
            object.__setattr__(self, "adjustment", np.ones_like(self.close))
        if not self.present.size:
            object.__setattr__(self, "present", np.ones(self.close.shape, bool))
        if not self.predicted.size:
            object.__setattr__(self, "predicted", self.present.copy())

    def but(self, **changes: Float64 | Bool | bool) -> "World":
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def calendar(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        num_dates = len(self.close)
        return np.arange(num_dates) * 5 if self.steps else (FIRST_DAY + np.arange(num_dates)) * DAY_NS

    @property
    def _roles(self) -> dict[str, Float64]:
        both = {"splits": self.splits, "dividends": self.dividends}
        return {name: values for name, values in both.items() if values.size}

    def frame(self, values: Float64) -> pd.DataFrame:
        """Wide frame, NaN where the panel has no row."""
        return pd.DataFrame(np.where(self.present, values, np.nan))

    def write(self, folder: Path, *, rows_per_group: int = 7) -> tuple[Path, Path]:
        """Write panel and table; tiny row groups by default, so that dates are cut in many places."""
        folder.mkdir(parents=True, exist_ok=True)
        panel = self._write_panel(folder / "world.panel")
        table = folder / "table.parquet"
        pq.write_table(self.table(Panel(panel)), table, row_group_size=rows_per_group)
        return panel, table

    def _write_panel(self, path: Path) -> Path:
        columns: tuple[ColumnSpec, ...] = (
            ColumnSpec("open", "prices", "float64"),
            ColumnSpec("close", "prices", "float64"),
        )
        columns += (ColumnSpec("value", "values", "float64"),) if self.value.size else ()
        columns += (ColumnSpec("ratio", "splits", "float64"),) if self.splits.size else ()
        columns += (ColumnSpec("cash", "dividends", "float64"),) if self.dividends.size else ()
        spec = PanelSpec(calendar_kind="step" if self.steps else "timestamp", columns=columns, targets=())
        with PanelWriter(path, spec, self.calendar) as writer:
            for entity in range(self.close.shape[1]):
                writer.append(self._block(entity))
            names = [f"E{entity:03d}" for entity in range(self.close.shape[1])]
            sectors = [f"S{entity % 4}" for entity in range(len(names))]
            writer.set_attributes(pa.table({"entity": names, "sector": sectors}))
            writer.finish(sources=[], ingest={}, slab_bytes=4096)
        return path

    def _block(self, entity: int) -> EntityBlock:
        at = np.flatnonzero(self.present[:, entity])
        nothing = np.empty((len(at), 0))
        return EntityBlock(
            names=[f"E{entity:03d}"],
            lengths=np.array([len(at)]),
            times=self.calendar[at],
            features=nothing.astype(np.float32),
            returns=nothing,
            target_end=nothing.astype(np.int64),
            prices=np.column_stack([self.open[at, entity], self.close[at, entity]]),
            adjustment=self.adjustment[at, entity],
            universe=np.ones(len(at), bool),
            values=self.value[at, entity][:, None] if self.value.size else None,
            roles={name: values[at, entity] for name, values in self._roles.items()},
        )

    def table(self, panel: Panel) -> pa.Table:
        rows = panel.by_time[:]
        dates, entities = panel.time_index[rows], panel.entity_of(rows)
        kept = self.predicted[dates, entities]
        rows, dates, entities = rows[kept], dates[kept], entities[kept]
        return pa.table(
            {
                "row": pa.array(rows),
                "time": pa.array(panel.calendar[dates]).cast(time_type(panel)),
                "prediction": pa.array(self.predictions[dates, entities].astype(np.float32)),
            }
        )

    def run(
        self, folder: Path, config: BacktestConfig, *, slab_rows: int = SLAB_ROWS, beat: Beat = silent
    ) -> "Results":
        panel, table = self.write(folder)
        summary = backtest(panel, table, folder / "backtest", config, slab_rows=slab_rows, beat=beat)
        return Results(folder / "backtest", summary)


@dataclass(frozen=True)
class Results:
    folder: Path
    summary: dict[str, Any]

    def equity(self, name: str = "top") -> pd.DataFrame:
        return read_frame(self.folder / name / "equity.parquet")

    def ledger(self, name: str = "top") -> pd.DataFrame:
        return read_frame(self.folder / name / "ledger.parquet")

    def positions(self, name: str = "top") -> pd.DataFrame:
        return read_frame(self.folder / name / "positions.parquet")

    def statistics(self, name: str = "top") -> dict[str, Any]:
        statistics: dict[str, Any] = self.summary["strategies"][name]
        return statistics


def read_frame(path: Path) -> pd.DataFrame:
    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame


def random_world(seed: int = 0, *, num_dates: int = 80, num_entities: int = 9, gaps: bool = True) -> World:
    """Walks with scale breaks; with gaps: missing rows, a late listing, a delisting, missing and zero prices."""
    rng = np.random.default_rng(seed)
    shape = (num_dates, num_entities)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.03, shape), axis=0))
    opened = close * np.exp(rng.normal(0, 0.01, shape))
    adjustment = np.ones(shape)
    adjustment[num_dates // 3 :, 1] = 10.0
    adjustment[num_dates // 2 :, 2] = 0.5
    opened, close = opened * adjustment, close * adjustment
    predictions = rng.standard_normal(shape).round(1)
    present = np.ones(shape, bool)
    if gaps:
        present = rng.random(shape) > 0.08
        present[: num_dates // 4, 0] = False
        present[2 * num_dates // 3 :, 3] = False
        opened[rng.random(shape) < 0.03] = np.nan
        opened[rng.random(shape) < 0.02] = 0.0
        close[rng.random(shape) < 0.03] = np.nan
        predictions[rng.random(shape) < 0.05] = np.nan
    return World(opened, close, predictions, adjustment, present)
