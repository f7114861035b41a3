"""What a child does for each piece of upkeep. Every import of the work is inside the branch that needs it."""

from pathlib import Path
from typing import Any

from seawall.budget.heartbeat import Beat


def do_upkeep(request: dict[str, Any], beat: Beat) -> dict[str, Any]:
    """Do what a request of :mod:`seawall.pipeline.upkeep` describes; give its summary."""
    panel, arguments, knobs = Path(request["panel"]), request["arguments"], request["knobs"]
    if request["stage"] == "append":
        from seawall.ingest.append import append

        return append(arguments["sources"], panel, budget_bytes=request["budget_bytes"], beat=beat)
    if request["stage"] == "compact":
        from seawall.ingest.compact import compact

        return compact(panel, block_rows=knobs["block_rows"], beat=beat)
    from seawall.stores.panel import Panel

    if arguments["to"] == "qlib":
        from seawall.bridges.qlib import export_qlib

        return export_qlib(Panel(panel), Path(arguments["output"]), block_rows=knobs["block_rows"], beat=beat)
    from seawall.bridges.parquet import export_parquet

    return export_parquet(Panel(panel), Path(arguments["output"]), block_rows=knobs["block_rows"], beat=beat)
