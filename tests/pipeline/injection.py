"""A stage of the tests' own in the real child: only the work is replaced, by a few lines of Python."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from seawall.budget.claims import Claim, StagePlan
from seawall.budget.fence import FenceKind, open_fence
from seawall.budget.meter import HighWater, Timeline
from seawall.budget.processes import own_private_bytes
from seawall.errors import SeawallError
from seawall.pipeline.supervise import Job, run_job
from seawall.units import MIB

_WORK = """
import sys, types

work = types.ModuleType("seawall.pipeline.work")

def do_unit(request, beat):
    exec(compile(request["body"], "/seawall/injected.py", "exec"), {"request": request, "beat": beat})
    return {"summary": {}, "outputs": []}

work.do_unit = do_unit
sys.modules["seawall.pipeline.work"] = work
"""
"""The interpreter runs this before anything else, so the child finds our work in the place of the stages'."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the test's stage does and what it is given."""

    body: str
    """Python; ``beat`` and ``request`` are there."""
    private_mib: int = 120
    """Planned private memory."""
    room_mib: int = 300
    """Budget beside the parent, which here is all that pytest holds."""
    strongest: FenceKind = "cgroup"
    reads: tuple[Claim, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def plan(self) -> StagePlan:
        claims = (
            Claim("interpreter", 20 * MIB, "Python"),
            Claim("kept rows", (self.private_mib - 20) * MIB, "rows x columns x 8 B"),
        )
        return StagePlan(stage="train", private=claims, cache=(Claim("text", 40 * MIB, "code"),), reads=self.reads)


class Watched(list[tuple[dict[str, float | str], HighWater]]):
    """What a display was told."""

    def __call__(self, heartbeat: dict[str, float | str], high: HighWater) -> None:
        self.append((heartbeat, high))


def run_stage(stage: Stage, folder: Path, *, watch: Watched | None = None) -> dict[str, Any]:
    """Run the stage in a child of this process, as a run would; the error of a death is raised."""
    folder.mkdir(exist_ok=True)
    parent_bytes = own_private_bytes()
    job = Job(
        name="train/fold_02",
        request={"stage": "train", "body": stage.body, **stage.facts},
        plan=stage.plan,
        declared_bytes=parent_bytes + stage.room_mib * MIB,
        parent_bytes=parent_bytes,
        command="seawall run config.yaml --memory 2GiB",
    )
    with injected(folder), Timeline(folder / "memory.csv") as timeline, _fence_up_to(stage.strongest):
        return run_job(job, folder, timeline, watch or Watched())


def end_of(stage: Stage, folder: Path) -> SeawallError:
    """Run a stage that must die, and give the explanation."""
    with pytest.raises(SeawallError) as caught:
        run_stage(stage, folder)
    return caught.value


@contextlib.contextmanager
def injected(folder: Path) -> Iterator[None]:
    """Let every child of this process find the test's work."""
    place = folder / ".injected"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(_WORK, encoding="utf-8")
    with mock.patch.dict(os.environ, {"PYTHONPATH": str(place)}):
        yield


@contextlib.contextmanager
def _fence_up_to(strongest: FenceKind) -> Iterator[None]:
    with mock.patch("seawall.pipeline.supervise.open_fence", partial(open_fence, strongest=strongest)):
        yield


def rows_of(error: SeawallError) -> dict[str, str]:
    """Give the rows of the screen by name."""
    return dict(error.rows)


def left_in(folder: Path) -> dict[str, Any]:
    """Read the record of the unit that was running."""
    loaded: dict[str, Any] = json.loads((folder / ".attempt.json").read_text())
    return loaded


def named(names: Sequence[str]) -> str:
    """Join names for a test's id."""
    return "-".join(names)
