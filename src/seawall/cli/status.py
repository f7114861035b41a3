"""``seawall status``: what a run has finished, and what a kill left."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from seawall.budget.heartbeat import read_heartbeat
from seawall.cli.display import memory_table, print_json
from seawall.cli.options import AsJson, RunFolder
from seawall.pipeline.lock import lock_owner
from seawall.pipeline.manifest import read_run_record


def status(run: RunFolder, as_json: AsJson = False) -> None:
    """Show finished units, memory projected against measured, and whether the run is going.

    Example: seawall status runs/pse
    """
    record = read_run_record(run)
    owner, unfinished = lock_owner(run), _unfinished(run)
    if as_json:
        print_json({**record, "running_pid": owner, "unfinished": unfinished})
        return
    console = Console(highlight=False)
    console.print(f"run {escape(record['name'])} in {escape(str(run))}", soft_wrap=True)
    if record["units"]:
        console.print(memory_table(record["units"]))
    else:
        console.print("no unit is finished")
    place = f"{unfinished.get('unit')}, {unfinished.get('substep', 'before its first report')}"
    if owner is not None:
        now = place if unfinished else "between two units"
        console.print(f"running now as process {owner}: {escape(now)}", soft_wrap=True)
    elif unfinished:
        console.print(
            f"not running; stopped without a result in {escape(place)}. The command that started the run continues it.",
            soft_wrap=True,
        )
    else:
        console.print("not running")


def _unfinished(run: Path) -> dict[str, Any]:
    """Read what unit has no result yet, and its last report; empty where there is none."""
    unit = read_heartbeat(run / ".request.json").get("unit")
    return {"unit": unit, **read_heartbeat(run / ".heartbeat.json")} if unit else {}
