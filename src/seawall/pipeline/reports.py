"""Reports of finished runs outside any run: one folder's report anew, or several side by side, in a child."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.errors import ConfigError
from seawall.pipeline.listener import Listener
from seawall.pipeline.manifest import read_run_record
from seawall.pipeline.task import Task, run_task
from seawall.report.memory import plan as plan_one
from seawall.report.memory import plan_comparison


def report_runs(
    folders: Sequence[Path], output: Path, budget: Budget, listener: Listener, command: str
) -> dict[str, Any]:
    """Write the report of one run folder, or of several side by side, in a child under the budget.

    Returns
    -------
    dict
        The record of the task; its ``summary`` has ``path``, ``bytes``, and of several runs the comparison.

    Raises
    ------
    SeawallError
        ConfigError for a folder that is no run, BudgetError, FormatError, StageError; ``output`` is then as it was.
    """
    for folder in folders:
        if not folder.is_dir():
            do = "Name run folders, or one config file."
            raise ConfigError(
                str(folder), "not a run folder", found="no such folder" if not folder.exists() else "a file", do=do
            )
        read_run_record(folder)
    settings = {"runs": [str(folder.absolute()) for folder in folders], "output": str(output.absolute())}

    def plan(found: dict[str, Any], share_bytes: int) -> StagePlan:
        if len(folders) > 1:
            return plan_comparison(found["num_dates"], share_bytes)
        return plan_one(found["num_dates"][0], found["num_folds"][0], found["num_strategies"][0], share_bytes)

    task = Task(name="report", settings=settings, folder=output.with_name(f".{output.name}.run"), plan=plan)
    return run_task(task, budget, listener, command)


def look_at_runs(runs: Sequence[str]) -> dict[str, Any]:
    """Count what the plan of a report must know of each run, from its small records."""
    dates, folds, strategies = [], [], []
    for folder in map(Path, runs):
        layout: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            layout = json.loads((folder / "folds.json").read_text(encoding="utf-8"))
        folds.append(len(layout.get("folds", ())))
        strategies.append(len(list(folder.glob("backtest/*/statistics.json"))))
        dates.append(max(int(layout.get("num_dates", 0)), _num_daily(folder)))
    return {"num_dates": dates, "num_folds": folds, "num_strategies": strategies}


def _num_daily(folder: Path) -> int:
    """Count the dates that were judged or traded, from headers alone."""
    import pyarrow.parquet as pq

    paths = [folder / "metrics" / "daily.parquet", *folder.glob("backtest/*/equity.parquet")]
    return max((pq.read_metadata(path).num_rows for path in paths if path.is_file()), default=0)
