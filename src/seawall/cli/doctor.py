"""``seawall doctor``: what this machine offers."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall import __version__
from seawall.budget.cgroup import own_group
from seawall.budget.fence import probe
from seawall.budget.limits import Budget, find_budget, room_now
from seawall.budget.limits import Reserve as Left
from seawall.budget.mounts import is_memory_filesystem
from seawall.budget.neighbours import neighbours
from seawall.budget.processes import own_private_bytes
from seawall.cli.display import print_json
from seawall.cli.leak import leak
from seawall.cli.options import AsJson, Memory, Quiet, Reserve
from seawall.units import format_bytes

ENGINES = {
    "numpy": "",
    "pyarrow": "",
    "duckdb": "",
    "scipy": "",
    "torch": "seawall[train]",
    "plotly": "seawall[report]",
    "ray": "seawall[cluster]",
}


app = typer.Typer(add_completion=False, invoke_without_command=True)
app.command("leak")(leak)


@app.callback()
def doctor(
    context: typer.Context,
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show every limit found here and which rule won, the fences and why there is no stronger one, GPU and engines.

    Example: seawall doctor --reserve 800MiB
    """
    if context.invoked_subcommand is not None:
        return
    facts = look_at_machine(find_budget(memory, reserve=Left(reserve)))
    if as_json:
        print_json(facts)
        return
    table = Table(show_header=False, title="seawall doctor", title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for name, text in _lines(facts):
        table.add_row(name, escape(text))
    Console(highlight=False, quiet=quiet).print(table)


def look_at_machine(budget: Budget) -> dict[str, Any]:
    """Gather what is shown, as plain JSON values; imports no engine."""
    own_bytes = own_private_bytes()
    rule, room_bytes = room_now(budget.reserve_bytes, own_bytes)
    found = neighbours()
    temporary = Path(tempfile.gettempdir())
    return {
        "seawall": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "budget_bytes": budget.bytes,
        "budget_rule": budget.rule,
        "budget_candidates": dict(budget.candidates),
        "reserve_bytes": budget.reserve_bytes,
        "warning": budget.warning,
        "room_now_bytes": room_bytes,
        "room_now_rule": rule,
        "this_process_bytes": own_bytes,
        "cgroups": _cgroups(),
        "others": dict(found.processes),
        "available_bytes": found.available_bytes,
        "fences": probe(),
        "gpu": _gpus(),
        "kernels": "compiled" if find_spec("seawall.windows.kernels") else "NumPy",
        "engines": {name: _version(name) for name in ENGINES},
        "temporary_folder": str(temporary),
        "temporary_folder_in_memory": is_memory_filesystem(temporary),
        "temporary_folder_free_bytes": shutil.disk_usage(temporary).free,
    }


def _cgroups() -> list[dict[str, Any]]:
    """List every memory cgroup from this process up to the highest that can be seen, with the limits set on it."""
    group = own_group()
    return [
        {
            "folder": str(level.folder),
            "version": level.version,
            "limits_bytes": dict(level.limits_bytes()),
            "held_bytes": level.held_bytes(),
            "killed_whole": level.is_killed_whole(),
        }
        for level in (group.with_ancestors() if group is not None else [])
    ]


def _gpus() -> list[str]:
    """Name the GPUs that the driver lists; without torch nothing more can be said, and importing it takes seconds."""
    told = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return [line.partition(":")[2].strip() for path in told for line in path.read_text().splitlines()[:1]]


def _version(name: str) -> str | None:
    if find_spec(name) is None:
        return None
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("seawall", "python", "system", "cores"):
        yield name, str(facts[name])
    yield "budget", f"{format_bytes(facts['budget_bytes'])} ({facts['budget_rule']})"
    for rule, size in facts["budget_candidates"].items():
        yield "", f"{rule}: {format_bytes(size)}"
    if facts["warning"]:
        yield "warning", facts["warning"]
    yield "room now", f"{format_bytes(facts['room_now_bytes'])} ({facts['room_now_rule']})"
    yield "this process", f"{format_bytes(facts['this_process_bytes'])}, counted against the budget"
    for level in facts["cgroups"]:
        limits = ", ".join(f"{name} {format_bytes(size)}" for name, size in level["limits_bytes"].items())
        whole = "; one kill takes all its processes (memory.oom.group)" if level["killed_whole"] else ""
        held = format_bytes(level["held_bytes"])
        yield "cgroup", f"{level['folder']} (version {level['version']}): {limits or 'no limit'}, {held} held{whole}"
    others = ", ".join(f"{name} {format_bytes(size)}" for name, size in facts["others"].items())
    yield "others", others or "no other process that can be seen holds much"
    for line in facts["fences"]:
        yield "fence", line
    yield "gpu", ", ".join(facts["gpu"]) or "none that the driver lists"
    slower = "" if facts["kernels"] == "compiled" else ": slower; install again where there is a C compiler"
    yield "kernels", f"{facts['kernels']}{slower}"
    for name, extra in ENGINES.items():
        missing = f"missing; pip install '{extra}'" if extra else "missing"
        yield name, facts["engines"][name] or missing
    kind = "in memory: nothing may be spilled there" if facts["temporary_folder_in_memory"] else "on a disk"
    free = format_bytes(facts["temporary_folder_free_bytes"])
    yield "temporary", f"{facts['temporary_folder']}, {kind}, {free} free"
