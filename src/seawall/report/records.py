"""Everything the report knows, as frozen records. Nothing is computed from raw data here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.report.fields import Fields
from seawall.report.timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One finished unit of work: what was planned for it, and what the meter saw."""

    name: str
    stage: str
    fold: int | None
    key: str
    fence: str
    projected_private_bytes: float | None
    projected_cgroup_bytes: float | None
    measured_private_bytes: float | None
    cgroup_peak_bytes: float | None
    parent_private_bytes: float | None
    declared_bytes: float | None
    wall_seconds: float | None
    cpu_seconds: float | None
    summary: Fields
    finished: str | None = None
    """When it ended, ISO 8601 in UTC."""

    @property
    def measured_total_bytes(self) -> float | None:
        """Measured private peak of the child and its parent together: what the budget binds."""
        return (
            None
            if self.measured_private_bytes is None
            else self.measured_private_bytes + (self.parent_private_bytes or 0.0)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelFacts:
    """The panel the run was made from."""

    name: str
    content_key: str
    num_rows: int | None
    num_entities: int | None
    num_dates: int | None
    features: tuple[str, ...]
    targets: tuple[Fields, ...]

    def target(self, name: str | None) -> Fields:
        """Find the definition of a target; empty where it is not known."""
        return next((target for target in self.targets if target.text("name") == name), Fields({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One stretch of the calendar in a fold."""

    kind: str
    first_time: str | int | None
    last_time: str | int | None
    num_dates: int | None
    num_samples: int | None
    num_purged: int | None
    until: str | int | None = None
    """First date after it, where that is known."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Train, valid and test segments of one fold."""

    fold: int
    segments: tuple[Segment, ...]
    pieces: tuple[Segment, ...]
    """What is drawn: every stretch of the segments, and of what is purged or within the embargo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How one model was trained: losses by epoch."""

    fold: int
    epochs: tuple[Fields, ...]
    best_epoch: int | None
    stopped: str | None
    model: Fields
    member: str = ""
    """Of several models of a fold, which: ``seed_N`` or ``baseline_KIND``."""

    @property
    def is_baseline(self) -> bool:
        """Whether it is there to be beaten."""
        return self.member.startswith("baseline_")

    @property
    def best(self) -> Fields:
        """The epoch whose weights were kept; empty where none is marked."""
        return next((epoch for epoch in self.epochs if epoch.count("epoch") == self.best_epoch), Fields({}))

    def curve(self, key: str) -> Float64:
        """float64 [epochs], NaN where undefined."""
        return np.array(
            [np.nan if (value := epoch.number(key)) is None else value for epoch in self.epochs], np.float64
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Metrics of one fold, of one path of combinatorial folds, or of all of them (both are None)."""

    fold: int | None
    pooled: Fields
    ic: Fields
    rank_ic: Fields
    quantiles: tuple[float | None, ...]
    path: int | None = None
    more: Fields = field(default_factory=lambda: Fields({}))
    """The whole record: spread, tails, decay, months and years beside the parts above."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Daily:
    """Metrics by date of the test segments; arrays have one length. Times are datetime64[ns] or integer steps."""

    times: AnyArray
    num_names: Int64
    ic: Float64
    rank_ic: Float64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Equity:
    """A strategy by date; arrays have one length. Times are datetime64[ns] or integer steps."""

    times: AnyArray
    equity: Float64
    period_return: Float64
    gross_return: Float64
    benchmark_return: Float64 | None = None
    """None where there is no benchmark."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One backtest."""

    name: str
    statistics: Fields
    equity: Equity | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunRecords:
    """One run, as far as it has come: what is not there yet is None or empty."""

    name: str
    units: tuple[Unit, ...]
    config_text: str
    config: Mapping[str, Any]
    plan: Fields
    panel: PanelFacts | None
    ingest: Fields
    folds: tuple[Fold, ...]
    trainings: tuple[Training, ...]
    metrics: Fields
    overall: Block | None
    blocks: tuple[Block, ...]
    paths: tuple[Block, ...]
    daily: Daily | None
    coverage: Fields
    strategies: tuple[Strategy, ...]
    search: Fields
    timeline: Timeline | None

    @property
    def is_combinatorial(self) -> bool:
        """Whether models also learnt from what came after their tests."""
        return Fields(dict(self.config)).part("train").part("folds").text("kind") == "combinatorial"

    @property
    def why_untraded(self) -> str | None:
        """Why no strategy was or will be traded; None where a backtest is still to come."""
        if not self.config or self.config.get("backtest"):
            return None
        ingest = self.config.get("ingest")
        if isinstance(ingest, Mapping) and not ingest.get("prices"):
            return "This panel has no prices, so nothing is traded."
        return "The config has no backtest section, so nothing is traded."

    @property
    def declared_bytes(self) -> float | None:
        """The memory budget of the latest unit."""
        declared = [unit.declared_bytes for unit in self.units if unit.declared_bytes is not None]
        return declared[-1] if declared else None
