"""Commands on tables that are not ours, as calls: join and evaluate predictions of anybody."""

from functools import partial
from pathlib import Path
from typing import Any

from seawall.budget.limits import Budget
from seawall.evaluate.config import TablesConfig as EvaluateTables
from seawall.evaluate.memory import plan_tables as plan_evaluate
from seawall.join.config import TablesConfig as JoinTables
from seawall.join.memory import plan_tables as plan_join
from seawall.pipeline.run import Listener
from seawall.pipeline.task import Task, run_task
from seawall.stores.atomic import text_key


def join_tables(config: JoinTables, output: Path, budget: Budget, listener: Listener, command: str) -> dict[str, Any]:
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
    return run_task(Task(name="join", settings=settings, folder=folder, plan=plan_join), budget, listener, command)


def evaluate_tables(
    config: EvaluateTables, output: Path | None, budget: Budget, listener: Listener, command: str
) -> dict[str, Any]:
    """Judge predictions of anybody, in a child under the budget.

    Parameters
    ----------
    output
        Folder for ``metrics.json`` and ``daily.parquet``; None writes nothing.

    Returns
    -------
    dict
        The record of the task; its ``summary`` is what ``metrics.json`` holds.

    Raises
    ------
    SeawallError
        ConfigError, BudgetError, DataError, StageError.
    """
    settings = {"config": config.model_dump(mode="json"), "output": str(output.absolute()) if output else ""}
    # Named after what is asked, so that the same command finds what it has left.
    beside = output if output is not None else Path.cwd() / f"evaluate-{text_key(config.model_dump_json())[:8]}"
    folder = beside.with_name(f".{beside.name}.run")
    plan = partial(plan_evaluate, config)
    return run_task(Task(name="evaluate", settings=settings, folder=folder, plan=plan), budget, listener, command)
