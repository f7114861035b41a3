"""What more nodes would give: a model of a run over a cluster, fitted to what the units of a finished run cost.

Every term is linear: stages of one process grow with the table, units of folds are dealt to nodes in rounds, copies of
the panel share the storage. It says which term is the largest: that is the first bottleneck.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seawall.errors import FormatError
from seawall.pipeline.manifest import read_run_record
from seawall.stores.shape import read_manifest

UNIT_STAGES = ("train", "predict")
"""Their units go to nodes; every other stage is one process on the parent's machine."""

CONNECT_SECONDS = 2.5
"""A run's connection to a running cluster and its end, as measured by ``python -m bench cluster``."""

DEAL_SECONDS = 0.6
"""From the end of one unit to the start of the next on a node: publish, order, a worker's process; as measured."""

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

    @property
    def ingest_bps(self) -> float:
        """Bytes of the table that ingest took in a second."""
        return self.table_bytes / max(self.single_seconds.get("ingest", 0.0), 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run to be predicted: folds keep their share of the table."""

    table_bytes: int
    num_folds: int
    num_models: int = 1


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
    is_copied: bool = True
    """Each node copies the panel once; else every unit reads its part through the network."""


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


def costs_of(run: Path, panel: Path) -> Costs:
    """Read what a finished run cost from its records.

    Raises
    ------
    FormatError
        Where the run has not trained and predicted.
    """
    units = read_run_record(run)["units"]
    of_stage = {stage: [unit for unit in units.values() if unit["stage"] == stage] for stage in UNIT_STAGES}
    if not all(of_stage.values()):
        raise FormatError(str(run), "has no finished folds to take costs from", do="Run it to its end first.")
    manifest = read_manifest(panel)
    single = {unit["stage"]: float(unit["wall_seconds"]) for unit in units.values() if unit["stage"] not in UNIT_STAGES}
    every = [unit for found in of_stage.values() for unit in found]
    outputs = sum(output["bytes"] for unit in every for output in unit["outputs"])
    num_folds = len(of_stage["predict"])
    return Costs(
        table_bytes=sum(int(source["bytes"]) for source in manifest["sources"]),
        store_bytes=sum(int(file["bytes"]) for file in manifest["files"].values()),
        num_folds=num_folds,
        num_models=len(of_stage["train"]) // num_folds,
        unit_seconds={stage: _mean_seconds(found) for stage, found in of_stage.items()},
        single_seconds=single,
        unit_read_bytes=sum(float(unit.get("read_bytes") or 0) for unit in every) / len(every),
        unit_output_bytes=outputs / len(every),
        shuffle_bytes=int(units.get("ingest", {}).get("read_bytes") or 0),
    )


def _mean_seconds(units: Sequence[dict[str, Any]]) -> float:
    return sum(float(unit["wall_seconds"]) for unit in units) / len(units)


def forecast(costs: Costs, job: Job, fleet: Fleet) -> Forecast:
    """Predict the seconds of each term of a run over a fleet.

    Ingest and the stages after the folds grow with the table and use one machine. A stage of units takes as many rounds
    as nodes need for all of them, and no less than the parent needs to serve them; a unit's time grows with its share
    of the table. The panel reaches the nodes through the storage they share and through their own links.
    """
    growth = job.table_bytes / costs.table_bytes
    of_fold = growth * costs.num_folds / job.num_folds
    store_bytes, slots = growth * costs.store_bytes, fleet.num_nodes * fleet.units_at_once
    num_units = {"train": job.num_folds * job.num_models, "predict": job.num_folds}
    num_busy = min(fleet.num_nodes, math.ceil(num_units["train"] / fleet.units_at_once))
    moved_bytes = store_bytes * num_busy if fleet.is_copied else 0.0
    each_bytes = costs.unit_output_bytes + (0 if fleet.is_copied else costs.unit_read_bytes)
    unit_bytes = sum(num_units.values()) * of_fold * each_bytes
    seconds = {name: growth * took for name, took in costs.single_seconds.items() if name in ("ingest", "folds")}
    seconds["connect"] = CONNECT_SECONDS
    seconds["panel copies"] = max(moved_bytes / fleet.storage_bps, moved_bytes / max(num_busy, 1) / fleet.network_bps)
    for stage, took in costs.unit_seconds.items():
        rounds = math.ceil(num_units[stage] / slots)
        served = num_units[stage] * PARENT_SECONDS
        seconds[stage] = max(rounds * (took * of_fold + DEAL_SECONDS), served)
    seconds["outputs and reads"] = unit_bytes / fleet.storage_bps
    seconds |= {name: growth * took for name, took in costs.single_seconds.items() if name not in seconds}
    return Forecast(fleet, seconds, moved_bytes + unit_bytes, num_busy)


def costs_text(costs: Costs) -> str:
    """Write costs as JSON, for a file beside a table of forecasts."""
    return json.dumps(asdict(costs), indent=1)


def forecasts(costs: Costs, job: Job, numbers: Sequence[int], fleet: Fleet) -> list[Forecast]:
    """Predict the same job for several numbers of nodes of one kind."""
    kind = asdict(fleet)
    return [forecast(costs, job, Fleet(**{**kind, "num_nodes": number})) for number in numbers]
