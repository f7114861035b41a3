"""Look for leaks in three children, one after another: sources, panel, scores."""

import json
from collections.abc import Callable
from typing import Any

from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.pipeline.config import RunConfig
from seawall.pipeline.leak.memory import PARTS, plan_panel, plan_scores, plan_sources
from seawall.pipeline.leak.verdict import Check, not_run, worst
from seawall.pipeline.run import Listener
from seawall.pipeline.task import Task, run_task

LEAK_EXIT_CODE = 4
"""Bad data: what a leak is."""


def find_leaks(config: RunConfig, budget: Budget, listener: Listener, command: str) -> dict[str, Any]:
    """Check a config, its panel and what a run has made of it so far; nothing of it is changed.

    Returns
    -------
    dict
        ``verdict``, the gravest of all; ``checks``, each with ``name``, ``verdict``, ``why`` and ``evidence``;
        ``parts``, with projected and measured memory.

    Raises
    ------
    SeawallError
        BudgetError where a part does not fit; FormatError, StageError for what cannot be read.
    """
    checks: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    plans: dict[str, Callable[[RunConfig, dict[str, Any], int], StagePlan]] = {
        PARTS.sources: plan_sources,
        PARTS.panel: plan_panel,
        PARTS.scores: plan_scores,
    }
    missing = _missing(config)
    for name, plan in plans.items():
        if name in missing:
            checks.append(missing[name].record())
            continue
        record = run_task(_task(name, plan, config), budget, listener, command)
        checks += record["summary"]["checks"]
        parts.append({key: value for key, value in record.items() if key not in ("summary", "ok", "outputs")})
    return {"verdict": worst(check["verdict"] for check in checks), "checks": checks, "parts": parts}


def _task(name: str, plan: Callable[[RunConfig, dict[str, Any], int], StagePlan], config: RunConfig) -> Task:
    return Task(
        name=name,
        settings={"config": json.loads(config.model_dump_json())},
        folder=config.output.with_name(f".{config.output.name}.{name.replace(' ', '-')}"),
        plan=lambda found, share_bytes: plan(config, found, share_bytes),
    )


def _missing(config: RunConfig) -> dict[str, Check]:
    """Name the parts that cannot be looked at, and why."""
    found: dict[str, Check] = {}
    if config.ingest is None:
        found[PARTS.sources] = not_run("sources", "the config has no ingest section: columns were made elsewhere")
    why = ""
    if config.train is None:
        why = "the config has no train section"
    elif not (config.panel_path / "panel.json").is_file():
        why = f"no panel store at {config.panel_path}: run seawall run --only ingest first"
    if why:
        found[PARTS.panel], found[PARTS.scores] = not_run("panel", why), not_run("scores", why)
    return found
