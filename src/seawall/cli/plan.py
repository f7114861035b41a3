"""``seawall plan``: every stage's claims, before any work."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.budget.check import smallest_budget_bytes
from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.cli.display import print_json
from seawall.cli.options import AsJson, ConfigFile, Memory, Quiet, Reserve
from seawall.cli.run import budget_of, own_command
from seawall.pipeline.config import load_config
from seawall.pipeline.run import Order, Runner, Silent
from seawall.pipeline.stages import PARENT_BYTES
from seawall.units import format_bytes
from seawall.windows.picture import LEGEND, record_lines


def plan(
    config: ConfigFile, memory: Memory = None, reserve: Reserve = None, as_json: AsJson = False, quiet: Quiet = False
) -> None:
    """Show what each stage will need, before any work; exit code 3 where it does not fit the budget.

    Example: seawall plan examples/pse.yaml --memory 512MiB
    """
    loaded = load_config(config)
    budget = budget_of(loaded, memory, reserve)
    runner = Runner(loaded, budget, Silent(), Order(command=own_command()))
    plans = runner.plan()
    if as_json:
        print_json(_record(plans, budget) | {"resolved": runner.resolved, "folds": runner.fold_layout()})
    else:
        console = Console(highlight=False, quiet=quiet)
        console.print(_table(plans, budget))
        console.print(
            f"smallest budget that would do: {format_bytes(smallest_budget_bytes(plans, parent_bytes=PARENT_BYTES))}"
        )
        for place, found in runner.resolved.items():
            console.print(f"{place}: auto is {found['chosen']}: {found['why']}", markup=False)
        for line in _folds(runner.fold_layout()) if loaded.train is not None else []:
            console.print(line, markup=False, soft_wrap=True)
    runner.check(plans)


def _record(plans: Sequence[StagePlan], budget: Budget) -> dict[str, Any]:
    needed_bytes = smallest_budget_bytes(plans, parent_bytes=PARENT_BYTES)
    return {
        "declared_bytes": budget.bytes,
        "rule": budget.rule,
        "reserve_bytes": budget.reserve_bytes,
        "parent_bytes": PARENT_BYTES,
        "smallest_budget_bytes": needed_bytes,
        "fits": needed_bytes <= budget.bytes,
        "stages": [plan.record() for plan in plans],
    }


def _folds(layout: dict[str, Any] | None) -> list[str]:
    """Draw the folds in lines of 80 characters; purge and embargo once the folds stage has counted them."""
    if layout is None:
        return ["folds: drawn once the panel is there"]
    folds, num_dates = layout["folds"], int(layout["num_dates"])
    first, last = (fold[name][end] for fold, name, end in _ends(folds))
    return [f"folds on {num_dates:,} dates, {first} to {last}", *record_lines(folds, num_dates), LEGEND]


def _ends(folds: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], str, str]]:
    """Find where the first and the last date that any fold uses are written."""
    segments = [(fold, name) for fold in folds for name in ("train", "valid", "test")]
    first = min(segments, key=lambda part: int(part[0][part[1]]["start"]))
    last = max(segments, key=lambda part: int(part[0][part[1]]["stop"]))
    return [(*first, "first_time"), (*last, "last_time")]


def _table(plans: Sequence[StagePlan], budget: Budget) -> Table:
    table = Table(
        title=f"plan for a budget of {format_bytes(budget.bytes)} ({escape(budget.rule)})", title_justify="left"
    )
    table.add_column("stage and its claims", overflow="fold")
    for name in ("private", "container", "disk"):
        table.add_column(name, justify="right", no_wrap=True)
    for plan in plans:
        table.add_row(
            f"[bold]{escape(plan.stage)}[/]",
            f"[bold]{format_bytes(plan.projected_private_bytes)}[/]",
            f"[bold]{format_bytes(plan.projected_cgroup_bytes + PARENT_BYTES)}[/]",
            format_bytes(plan.projected_disk_bytes),
        )
        for claim in plan.private:
            table.add_row(
                f"  {escape(claim.purpose)}: [dim]{escape(claim.formula)}[/]", format_bytes(claim.bytes), "", ""
            )
    return table
