"""What is asked of the cluster for a unit: CPUs and memory for Ray to choose a node by, and the node's assignment."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seawall import __version__
from seawall.errors import BudgetError
from seawall.pipeline.cluster.assignment import Assignment, thread_environment
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.pipeline.cluster.engine import WORKER_BYTES
from seawall.pipeline.stages import FOLD_STAGES, Unit, panel_key
from seawall.pipeline.unit import UnitRun
from seawall.units import format_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one unit, or one rank of it, needs of a node."""

    cpus: int
    """Its threads: a unit keeps that many cores busy wherever it runs, so that its bits are the same."""
    num_ranks: int
    seats: int
    """Units that share the budget of a node."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders for units that are alike."""

    work: UnitRun
    ask: Ask
    cluster: ClusterConfig

    @property
    def can_be_whole(self) -> bool:
        """Tell whether a unit could have more of a node than it is given."""
        return self.ask.seats > 1 and self.ask.num_ranks == 1

    @property
    def node_bytes(self) -> int:
        """What units may use of a node where one has it to itself."""
        return self.work.budget.bytes - WORKER_BYTES

    def room_bytes(self, *, is_whole: bool = False) -> int:
        """Give the part of a node's budget that a unit's processes, or a rank's, may use."""
        seats = 1 if is_whole else self.ask.seats * self.ask.num_ranks
        return self.work.budget.bytes // seats - WORKER_BYTES

    def require_room(self, nodes: Sequence[dict[str, Any]]) -> None:
        """Refuse what no node could ever take.

        Raises
        ------
        BudgetError
            Saying what nodes have and what is asked.
        """
        asked = self.room_bytes() + WORKER_BYTES
        largest = max(node["memory_bytes"] for node in nodes)
        if largest < asked:
            found = f"{format_bytes(largest)} on the largest node, {format_bytes(asked)} asked for a unit"
            do = "Start nodes with more (seawall cluster join --memory), or declare less with --memory."
            raise BudgetError("cluster", "no node has the memory of one unit", found=found, do=do)

    def begin(self, name: str, unit: Unit, key: str, avoid: set[str], *, is_whole: bool) -> dict[str, Any]:
        """Write the order to begin a unit."""
        room_bytes, config = self.room_bytes(is_whole=is_whole), self.work.config
        run = config.output.absolute()
        paths = {"output": str(run), "panel": str(config.panel_path.absolute())}
        models = {"models": str(config.models.absolute())} if config.models is not None else {}
        assignment = Assignment(
            unit=asdict(unit),
            key=key,
            run=str(run),
            config=json.loads(config.model_dump_json()) | paths | models,
            room_bytes=room_bytes,
            node_bytes=self.node_bytes,
            command=self.work.command,
            version=__version__,
            environment=thread_environment(),
            panels=self._panels() if unit.stage in FOLD_STAGES else None,
            shards=self.work.shards,
            reserve_bytes=self.work.budget.reserve_bytes,
        )
        device = config.train.device if config.train is not None and unit.stage in FOLD_STAGES else "cpu"
        return {
            "order": "begin",
            "name": name,
            "start": int(name.rpartition("#")[2]),
            "cpus": self.ask.cpus,
            "gpus": 1 if device == "cuda" else 0,
            "memory_bytes": room_bytes + WORKER_BYTES,
            "num_ranks": self.ask.num_ranks,
            "placement": self.cluster.rank_placement,
            "avoid": sorted(avoid),
            "assignment": assignment.record(),
        }

    def _panels(self) -> dict[str, Any] | None:
        if self.cluster.panels is None:
            return None
        panel = str(self.work.config.panel_path.absolute())
        source = panel if self.cluster.panels == "copy" else self.cluster.panels
        return {
            "source": source,
            "content_key": panel_key(self.work.config.panel_path),
            "folder": str(self.cluster.cache_folder),
            "limit_bytes": self.cluster.cache_bytes,
        }
