"""What a node is told of one unit: paths and small values, and how what became of it is told back."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from seawall.errors import SeawallError, from_record

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Ray sets the first for its workers; a unit takes those of the machine the run was started on: bits depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One unit for one node. Every value is plain JSON."""

    unit: dict[str, Any]
    """Fields of :class:`seawall.pipeline.stages.Unit`."""
    key: str
    run: str
    """Run folder, absolute, on the shared file system."""
    config: dict[str, Any]
    room_bytes: int
    """The unit's part of the budget of a node."""
    node_bytes: int
    """All that units may use on a node."""
    command: str
    version: str
    environment: dict[str, str]
    panels: dict[str, Any] | None = None
    """How the node copies the panel; None: it is read at its own path."""
    reserve_bytes: int = 0
    rank: int | None = None
    """Which of several ranks of a fold; None: all of the unit."""
    shards: dict[str, Any] | None = None
    """Which parts of a search's sweep there are."""
    capsule: str = ""
    """Folder of a start that the first rank has begun for all."""

    def record(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Read what :meth:`record` gave."""
        return cls(**record)


def thread_environment() -> dict[str, str]:
    """Give the settings of this process that decide how many threads a library takes."""
    return {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}


def error_record(error: SeawallError) -> dict[str, Any]:
    """Give an error with all that is shown of it as plain JSON values."""
    shown = {"headline": error.headline, "cause": error.cause, "rows": [list(row) for row in error.rows]}
    return {**error.record(), **shown}


def error_of(record: dict[str, Any]) -> SeawallError:
    """Rebuild what :func:`error_record` gave."""
    rows = tuple((str(name), str(text)) for name, text in record["rows"])
    return from_record(record).tell(record["headline"], rows, cause=record["cause"])
