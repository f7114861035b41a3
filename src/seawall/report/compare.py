"""Several runs side by side: what differs in their configurations, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import Float64
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import FormatError
from seawall.evaluate.blocks import series_block
from seawall.report.facts import best_strategy, cost_drag, exceeds_budget, model_name, peak_bytes, peak_unit
from seawall.report.fields import Fields
from seawall.report.reading import read_run
from seawall.report.records import Daily, RunRecords

IC_KEYS = ("mean", "mean_low", "mean_high", "icir", "t_hac", "p_hac", "num_dates", "num_undefined")
MONEY_KEYS = (
    "annual_return",
    "annual_volatility",
    "sharpe",
    "max_drawdown",
    "annual_turnover",
    "total_return",
    "hit_rate",
    "num_trades",
)


@dataclass(frozen=True, slots=True)
class Beside:
    """Daily Rank IC of a run less that of the first, on the dates both have. None where undefined."""

    num_dates: int
    mean: float | None
    t_hac: float | None
    p_hac: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run, in the numbers that are compared."""

    name: str
    folder: str
    model: str
    finished: str | None
    data: Mapping[str, Any]
    rank_ic: Mapping[str, float | None]
    ic: Mapping[str, float | None]
    beside_first: Beside | None
    strategy: str | None
    """The one with the highest annual return; its numbers follow."""
    money: Mapping[str, float | None]
    memory: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs in the order they were named."""

    runs: tuple[RunSummary, ...]
    config: Mapping[str, tuple[str, ...]]
    """Every key of the configurations whose values differ, with the value of each run."""

    def record(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {"runs": [asdict(run) for run in self.runs], "config": {key: list(v) for key, v in self.config.items()}}


def read_all(folders: Sequence[Path], *, beat: Beat = silent) -> tuple[RunRecords, ...]:
    """Read the records of runs that are to be compared.

    Memory grows with the dates of the test segments of all of them, not with predictions.

    Raises
    ------
    FormatError
        Where a folder is not a run, or a record in it cannot be read.
    """
    found = []
    for number, folder in enumerate(folders):
        beat("records", number, len(folders))
        found.append(read_run(folder))
    return tuple(found)


def compare(runs: Sequence[RunRecords], folders: Sequence[Path]) -> Comparison:
    """Compare runs; differences of the daily Rank IC are against the first.

    Raises
    ------
    FormatError
        For fewer than two runs.
    """
    if len(runs) < 2:
        raise FormatError("compare", "too few runs", found=str(len(runs)), allowed="2 or more")
    names = _labels(runs, folders)
    first = runs[0].daily
    horizon_periods = max(run.metrics.count("horizon_periods") or 1 for run in runs)
    summaries = [
        _summary(run, name, folder, None if run is runs[0] else _beside(run.daily, first, horizon_periods))
        for run, name, folder in zip(runs, names, folders, strict=True)
    ]
    return Comparison(tuple(summaries), config_differences([run.config for run in runs]))


def _labels(runs: Sequence[RunRecords], folders: Sequence[Path]) -> list[str]:
    """Name runs by their own names; where two share one, by their folders; where these are alike, by their place."""
    for names in ([run.name for run in runs], [folder.name for folder in folders]):
        if len(set(names)) == len(names):
            return names
    return [f"{number}: {folder.name}" for number, folder in enumerate(folders, 1)]


def _summary(run: RunRecords, name: str, folder: Path, beside: Beside | None) -> RunSummary:
    best, peak = best_strategy(run), peak_unit(run)
    panel = run.panel
    return RunSummary(
        name=name,
        folder=str(folder),
        model=model_name(run),
        finished=max((unit.finished for unit in run.units if unit.finished), default=None),
        data={
            "panel": panel.name if panel else None,
            "content_key": panel.content_key if panel else None,
            "num_rows": panel.num_rows if panel else None,
            "num_entities": panel.num_entities if panel else None,
            "num_dates": panel.num_dates if panel else None,
            "num_features": len(panel.features) if panel else None,
            "target": run.metrics.text("target"),
            "first_time": run.ingest.text("first_time"),
            "last_time": run.ingest.text("last_time"),
            "num_folds": len(run.folds),
        },
        rank_ic=_numbers(run.overall.rank_ic if run.overall else Fields({}), IC_KEYS),
        ic=_numbers(run.overall.ic if run.overall else Fields({}), IC_KEYS),
        beside_first=beside,
        strategy=best.name if best else None,
        money=_numbers(best.statistics, MONEY_KEYS) | {"cost_a_year": cost_drag(best)} if best else {},
        memory={
            "declared_bytes": run.declared_bytes,
            "projected_bytes": max((unit.projected_private_bytes or 0.0 for unit in run.units), default=None),
            "measured_bytes": peak_bytes(run),
            "highest_unit": peak.name if peak else None,
            "went_over": any(exceeds_budget(unit) for unit in run.units),
            "wall_seconds": sum(unit.wall_seconds or 0.0 for unit in run.units),
            "cpu_seconds": sum(unit.cpu_seconds or 0.0 for unit in run.units),
        },
    )


def _numbers(fields: Fields, keys: Sequence[str]) -> dict[str, float | None]:
    return {key: fields.number(key) for key in keys}


def _beside(daily: Daily | None, first: Daily | None, horizon_periods: int) -> Beside | None:
    """Pair two daily series on their common dates: what is common to both, the market of a day, cancels."""
    if daily is None or first is None or daily.times.dtype != first.times.dtype:
        return None
    _, of_this, of_first = np.intersect1d(daily.times, first.times, return_indices=True)
    less: Float64 = daily.rank_ic[of_this] - first.rank_ic[of_first]
    found = Fields(series_block(less, horizon_periods))
    num_defined = int(np.isfinite(less).sum())
    return Beside(num_defined, found.number("mean"), found.number("t_hac"), found.number("p_hac"))


def config_differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """List every key whose value is not the same in all configurations; ``–`` where a configuration has none."""
    flat = [dict(_flat(config)) for config in configs]
    keys = sorted({key for one in flat for key in one})
    rows = {key: tuple(one.get(key, "–") for one in flat) for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def _flat(value: object, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, part in value.items() for pair in _flat(part, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return [pair for i, part in enumerate(value) for pair in _flat(part, f"{prefix}[{i}]")]
    return [(prefix, ", ".join(map(str, value)) if isinstance(value, list) else str(value))]
