"""What more nodes would give: a model of a run over a cluster, fitted to what the units of finished runs cost.

Every term is a line: stages of one process grow with the table, units of folds with their share of it and are dealt to
nodes in rounds, copies of the panel share the storage. The largest term is named: it is the first bottleneck.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from seawall.errors import FormatError
from seawall.pipeline.manifest import read_run_record
from seawall.stores.shape import read_manifest

UNIT_STAGES = ("train", "predict")
"""Their units go to nodes; every other stage is one process on the parent's machine."""

CONNECT_SECONDS = 1.0
"""A run's connection to a running cluster and its end: 0.6-1.0 s on a quiet machine (``python -m bench cluster``)."""

DEAL_SECONDS = 0.2
"""From the end of one unit to the start of the next on a node: 0.06-0.16 s measured there."""

PARENT_SECONDS = 0.05
"""What one unit costs the parent, which serves all nodes one after another: read its small files, move its outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a finished run cost."""

    table_bytes: int
    """Of the tables that ingest read."""
    store_bytes: int
    num_folds: int
    num_models: int
    """Models of a fold."""
    unit_seconds: dict[str, float]
    """Mean of the units of each stage that has units."""
    single_seconds: dict[str, float]
    """Of each stage that is one process."""
    unit_read_bytes: float
    unit_output_bytes: float
    shuffle_bytes: int
    """What ingest read from disk: the table, and its pieces again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run to be predicted: folds keep their share of the table."""

    table_bytes: int
    num_folds: int
    num_models: int = 1
    is_ingested: bool = False
    """The panel is there: ingest takes no part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Nodes that are alike, and what joins them."""

    num_nodes: int
    units_at_once: int = 1
    """On one node."""
    storage_bps: float = 1e9
    """What the shared storage gives to all nodes together, in bytes a second."""
    network_bps: float = 1.25e9
    """Of one node: 10 Gbit/s."""
    is_copied: bool = False
    """Each node copies the panel once; else every unit reads its part from the shared storage."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run is predicted to take."""

    fleet: Fleet
    seconds: dict[str, float]
    """By term, in order of the run."""
    network_bytes: float
    num_busy: int
    """Nodes that have a unit at all."""

    @property
    def total_seconds(self) -> float:
        """All of it."""
        return sum(self.seconds.values())

    @property
    def bottleneck(self) -> str:
        """Name the largest term."""
        largest = max(self.seconds, key=lambda name: self.seconds[name])
        if largest in UNIT_STAGES and self.num_busy < self.fleet.num_nodes:
            return f"{largest}: units for {self.num_busy} of {self.fleet.num_nodes} nodes"
        return largest

    def record(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        told = {"total_seconds": self.total_seconds, "bottleneck": self.bottleneck, "num_busy": self.num_busy}
        return {**asdict(self.fleet), "seconds": self.seconds, "network_bytes": self.network_bytes, **told}


Clock = Literal["wall", "cpu"]


def costs_of(run: Path, panel: Path, clock: Clock = "wall") -> Costs:
    """Read what a finished run cost from its records: seconds of the clock, or of CPU where the machine was busy.

    Raises
    ------
    FormatError
        Where the run has not trained and predicted.
    """
    units = read_run_record(run)["units"]
    of_stage = {stage: [unit for unit in units.values() if unit["stage"] == stage] for stage in UNIT_STAGES}
    if not all(of_stage.values()):
        raise FormatError(str(run), "has no finished folds to take costs from", do="Run it to its end first.")
    manifest, took = read_manifest(panel), f"{clock}_seconds"
    single = {unit["stage"]: float(unit[took]) for unit in units.values() if unit["stage"] not in UNIT_STAGES}
    every = [unit for found in of_stage.values() for unit in found]
    num_folds = len(of_stage["predict"])
    return Costs(
        table_bytes=sum(int(source["bytes"]) for source in manifest["sources"]),
        store_bytes=sum(int(file["bytes"]) for file in manifest["files"].values()),
        num_folds=num_folds,
        num_models=len(of_stage["train"]) // num_folds,
        unit_seconds={stage: _mean([float(unit[took]) for unit in found]) for stage, found in of_stage.items()},
        single_seconds=single,
        unit_read_bytes=_mean([float(unit.get("read_bytes") or 0) for unit in every]),
        unit_output_bytes=_mean([float(sum(output["bytes"] for output in unit["outputs"])) for unit in every]),
        shuffle_bytes=int(units.get("ingest", {}).get("read_bytes") or 0),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def line(points: Sequence[tuple[float, float]], size: float) -> float:
    """Read the seconds for a size off the line through measured (size, seconds): of one point, through zero.

    With several points it is that of least squares, its start and slope no less than zero.
    """
    mean_size, mean_seconds = _mean([own for own, _ in points]), _mean([seconds for _, seconds in points])
    spread = sum((own - mean_size) ** 2 for own, _ in points)
    if spread == 0:
        return mean_seconds * size / mean_size
    slope = max(0.0, sum((own - mean_size) * (seconds - mean_seconds) for own, seconds in points) / spread)
    start = mean_seconds - slope * mean_size
    if start < 0:
        start, slope = 0.0, sum(own * seconds for own, seconds in points) / sum(own * own for own, _ in points)
    return start + slope * size


def forecast(measured: Sequence[Costs], job: Job, fleet: Fleet) -> Forecast:
    """Predict the seconds of each term of a run over a fleet, from runs of one kind and of one or several sizes.

    Ingest and the stages after the folds use one machine. A stage of units takes as many rounds as nodes need for all
    of them, and no less than the parent needs to serve them. The panel reaches the nodes through the storage they share
    and through their own links.
    """
    largest = max(measured, key=lambda costs: costs.table_bytes)
    growth, share_bytes = job.table_bytes / largest.table_bytes, job.table_bytes / job.num_folds
    of_fold = share_bytes / (largest.table_bytes / largest.num_folds)
    num_units = {"train": job.num_folds * job.num_models, "predict": job.num_folds}
    num_busy = min(fleet.num_nodes, math.ceil(num_units["train"] / fleet.units_at_once))
    moved_bytes = growth * largest.store_bytes * num_busy if fleet.is_copied else 0.0
    each_bytes = largest.unit_output_bytes + (0 if fleet.is_copied else largest.unit_read_bytes)
    unit_bytes = sum(num_units.values()) * of_fold * each_bytes
    single = _single_seconds(measured, job)
    seconds = {name: took for name, took in single.items() if name in ("ingest", "folds")}
    seconds["connect"] = CONNECT_SECONDS
    seconds["panel copies"] = max(moved_bytes / fleet.storage_bps, moved_bytes / num_busy / fleet.network_bps)
    for stage in UNIT_STAGES:
        points = [(costs.table_bytes / costs.num_folds, costs.unit_seconds[stage]) for costs in measured]
        rounds = math.ceil(num_units[stage] / (fleet.num_nodes * fleet.units_at_once))
        served = num_units[stage] * PARENT_SECONDS
        seconds[stage] = max(rounds * (line(points, share_bytes) + DEAL_SECONDS), served)
    seconds["outputs and reads"] = unit_bytes / fleet.storage_bps
    seconds |= {name: took for name, took in single.items() if name not in seconds}
    return Forecast(fleet, seconds, moved_bytes + unit_bytes, num_busy)


def _single_seconds(measured: Sequence[Costs], job: Job) -> dict[str, float]:
    """Predict the stages of one process; a report shows dates and folds, not rows, and does not grow."""
    names = dict.fromkeys(name for costs in measured for name in costs.single_seconds)
    if job.is_ingested:
        names.pop("ingest", None)
    found = {}
    for name in names:
        points = [(costs.table_bytes, costs.single_seconds[name]) for costs in measured if name in costs.single_seconds]
        found[name] = max(took for _, took in points) if name == "report" else line(points, job.table_bytes)
    return found


def forecasts(measured: Sequence[Costs], job: Job, numbers: Sequence[int], fleet: Fleet) -> list[Forecast]:
    """Predict the same job for several numbers of nodes of one kind."""
    return [forecast(measured, job, replace(fleet, num_nodes=number)) for number in numbers]
