"""``seawall doctor``: what this machine offers."""

import os
import platform
from importlib.util import find_spec

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall import __version__
from seawall.budget.fence import probe
from seawall.budget.limits import find_budget
from seawall.budget.processes import own_private_bytes
from seawall.cli.display import print_json
from seawall.cli.options import AsJson, Memory
from seawall.units import format_bytes

ENGINES = {
    "numpy": "",
    "pyarrow": "",
    "duckdb": "",
    "scipy": "",
    "torch": "seawall[train]",
    "plotly": "seawall[report]",
}


def doctor(memory: Memory = None, as_json: AsJson = False) -> None:
    """Show the budget a run would get here and which rule gave it, the fences, cores and engines.

    Example: seawall doctor
    """
    budget = find_budget(memory)
    facts = {
        "seawall": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "budget_bytes": budget.bytes,
        "budget_rule": budget.rule,
        "budget_candidates": dict(budget.candidates),
        "warning": budget.warning,
        "this_process_bytes": own_private_bytes(),
        "fences": probe(),
        "engines": {name: find_spec(name) is not None for name in ENGINES},
    }
    if as_json:
        print_json(facts)
        return
    table = Table(show_header=False, title="seawall doctor", title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for name in ("seawall", "python", "system", "cores"):
        table.add_row(name, escape(str(facts[name])))
    table.add_row("budget", f"{format_bytes(budget.bytes)} ({escape(budget.rule)})")
    for rule, size in budget.candidates:
        table.add_row("", f"{escape(rule)}: {format_bytes(size)}")
    for line in probe():
        table.add_row("fence", escape(line))
    for name, extra in ENGINES.items():
        missing = f"missing; pip install '{extra}'" if extra else "missing"
        table.add_row(name, "there" if find_spec(name) else missing)
    Console(highlight=False).print(table)
