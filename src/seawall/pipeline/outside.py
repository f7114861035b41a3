"""Commands on tables that are not ours, as calls: join and evaluate predictions of anybody."""

from pathlib import Path
from typing import Any

from seawall.budget.limits import Budget
from seawall.join.config import TablesConfig
from seawall.join.memory import plan_tables
from seawall.pipeline.run import Listener
from seawall.pipeline.task import Task, run_task


def join_tables(config: TablesConfig, output: Path, budget: Budget, listener: Listener, command: str) -> dict[str, Any]:
    """Join predictions with returns into one Parquet file, in a child under the budget.

    Returns
    -------
    dict
        The record of the task; its ``summary`` has rows, matches and coverage.

    Raises
    ------
    SeawallError
        ConfigError, BudgetError, DataError, StageError; ``output`` is then as it was.
    """
    settings = {"config": config.model_dump(mode="json"), "output": str(output.absolute())}
    folder = output.with_name(f".{output.name}.run")
    return run_task(Task(name="join", settings=settings, folder=folder, plan=plan_tables), budget, listener, command)
