"""The same command without its children: their work is done in the process of the test, everything else as it is."""

from pathlib import Path
from typing import Any

import pytest

from seawall.budget.heartbeat import silent
from seawall.budget.meter import Timeline
from seawall.pipeline.supervise import Job, Watch
from seawall.pipeline.work import do_unit


def without_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command do in this process what it gives to children: right where a child would add start-up time alone.

    What a child adds is its fence, its meter and its end; a hundred ways to write a bad table need none of them.
    """
    for module in ("look", "unit"):
        monkeypatch.setattr(f"seawall.pipeline.{module}.run_job", _run_here)


def _run_here(job: Job, folder: Path, timeline: Timeline, watch: Watch) -> dict[str, Any]:
    return do_unit(job.request, silent)
