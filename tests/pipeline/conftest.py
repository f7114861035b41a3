"""One finished run that many tests of the pipeline copy; it is made once for all processes of a test run."""

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

import seawall as sw
from tests.pipeline.world import config, market, write_market


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder and config of an uninterrupted run, for reading and copying only; its table lies beside it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished-run"
    folder.mkdir(exist_ok=True)
    settings = config(folder / "market.csv", folder / "out", max_epochs=1)
    settings["train"]["model"]["dropout"] = 0.0  # so that micro-batches can be compared with whole ones
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            write_market(folder / "market.csv", market())
            sw.run(settings, memory="2GiB")  # pytest is the parent here, and all it holds counts
            (folder / "made").touch()
    return folder / "out", settings
