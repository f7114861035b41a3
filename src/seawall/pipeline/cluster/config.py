"""Choices of a cluster: which one, what is tried where a machine is lost, and how panels get to its nodes."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from seawall.ingest.config import Strict
from seawall.units import parse_bytes

TASKS = "tasks"
"""The address that stands for the other tasks of a job of ``torchrun`` or ``srun``."""

CAPSULES = ".cluster"
"""Folder of a run in which its units are done on nodes."""


class ClusterConfig(Strict):
    """Where folds and shards of a search are done in place of this machine's own processes."""

    # None: a section alone starts nothing on other machines; --cluster says where as well.
    address: str | None = Field(
        default=None,
        max_length=300,
        description=(
            "HOST:PORT of a Ray cluster's head, auto for the one this machine belongs to, or tasks for the other tasks"
            " of a job of torchrun or srun; missing is none"
        ),
    )
    # The place where Ray itself keeps it; readable by its owner alone.
    token_file: Path | None = Field(
        default=None, description="file with the cluster's token; ~/.ray/auth_token where missing"
    )
    # 3: what is lost four times has a reason that a fifth node does not cure, as for ranks.
    retries: int = Field(
        default=3, ge=0, le=100, description="how often a unit whose node was lost is begun again on another one"
    )
    # 600: a node that restarts, or that a scheduler replaces, is back within minutes.
    wait_seconds: float = Field(
        default=600, gt=0, description="how long a lost head, or a node with room for a unit, is waited for"
    )
    # 120: a heartbeat is written at every batch; a batch of minutes, or a shared disk that hangs, is no steady work.
    silent_seconds: float = Field(
        default=120, ge=5, description="a unit that has told nothing for so long is begun again on another node"
    )
    # 4: nodes of one kind differ by tens of per cent, a broken or shared one by factors.
    slow_factor: float = Field(
        default=4,
        ge=1.5,
        description="a unit that takes so many times the median of finished ones is begun again on an idle node",
    )
    # pack: gradients that stay in one machine's memory are an order faster than through a network.
    rank_placement: Literal["pack", "spread"] = Field(
        default="pack", description="whether all ranks of a fold are on one node, or on as many as they can"
    )
    # 1e9: five seconds of one core; a part that is smaller costs more to start than to sum.
    shard_evaluations: int = Field(
        default=1_000_000_000,
        ge=1,
        description="a search's sweep is cut into parts of at least so many evaluations, for several nodes",
    )
    panels: str | None = Field(
        default=None,
        max_length=4000,
        description=(
            "missing where nodes see the panel at its own path; copy to have each node copy it from there once; or"
            " the address each node copies it from, such as s3://bucket/market.panel; a server of one's own is named in"
            " it: s3://bucket/market.panel?endpoint_override=10.0.0.5:9000&scheme=http"
        ),
    )
    # A real disk: /tmp may be memory.
    cache_folder: Path = Field(
        default=Path("/var/tmp/seawall-panels"), description="folder on each node that holds copied panels"
    )
    # 50GiB: a third of the disk of the smallest machines rented for this work.
    cache_budget: str = Field(
        default="50GiB", description="of the copied panels of a node; those used longest ago make room"
    )

    @field_validator("panels")
    @classmethod
    def _without_secrets(cls, value: str | None) -> str | None:
        """Refuse a password in an address: it would be kept in the run folder, and shown."""
        if value is not None and "@" in value.partition("://")[2].partition("/")[0]:
            raise ValueError("holds a user or a password; give them to the nodes' environment or their own files")
        return value

    @property
    def cache_bytes(self) -> int:
        """The bound of the copied panels of a node."""
        return parse_bytes(self.cache_budget, where="cluster.cache_budget")
