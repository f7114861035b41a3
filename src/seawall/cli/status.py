"""``seawall status``: what a run has finished, and what a kill left."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from seawall.budget.heartbeat import read_heartbeat
from seawall.cli.display import memory_table, print_json
from seawall.cli.options import AsJson, RunFolder
from seawall.pipeline.manifest import lock_owner, read_run_record


def status(run: RunFolder, as_json: AsJson = False) -> None:
    """Show finished units, memory projected against measured, and whether the run is going.

    Example: seawall status runs/pse
    """
    record = read_run_record(run)
    owner = lock_owner(run)
    now: dict[str, Any] = dict(read_heartbeat(run / ".heartbeat.json"))
    if as_json:
        print_json({**record, "running_pid": owner, "heartbeat": now})
        return
    console = Console(highlight=False)
    console.print(f"run {escape(record['name'])} in {escape(str(run))}", soft_wrap=True)
    console.print(memory_table(record["units"]))
    if owner is not None:
        console.print(f"running now as process {owner}: {escape(str(now.get('substep', 'starting')))}")
    elif now:
        console.print(
            f"not running; the last stage ended in sub-step {escape(str(now.get('substep')))!r} without a result."
            " The command that started the run continues it."
        )
    else:
        console.print("not running")
