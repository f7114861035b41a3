"""What a child does for each piece of upkeep. Every import of the work is inside the branch that needs it."""

from collections.abc import Mapping
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
    if request["stage"] == "import":
        from seawall.train.import_config import ModelsConfig
        from seawall.train.importing import import_models

        files, config = tuple(map(Path, arguments["files"])), ModelsConfig.model_validate(arguments["config"])
        return import_models(panel, files, config, Path(arguments["output"]), beat=beat)
    if request["stage"] == "latest":
        from seawall.pipeline.config import parse_config
        from seawall.pipeline.latest_work import score_latest

        run, models = parse_config(arguments["config"], "request"), Path(arguments["models"])
        return score_latest(run, models, arguments["strategy"], arguments["max_age"], beat)
    return _export(panel, arguments, knobs, beat)


def _export(panel: Path, arguments: Mapping[str, str], knobs: Mapping[str, int], beat: Beat) -> dict[str, Any]:
    kind, output, predictions = arguments["to"], Path(arguments["output"]), Path(arguments["predictions"])
    if kind in ("qlib-pred", "alphalens"):
        from seawall.bridges.predictions import export_alphalens, export_qlib_pred

        write = export_qlib_pred if kind == "qlib-pred" else export_alphalens
        return write(panel, predictions, output, beat=beat)
    if kind == "vectorbt":
        from seawall.bridges.wide import export_vectorbt

        return export_vectorbt(panel, predictions, output, block_cells=knobs["block_cells"], beat=beat)
    if kind in ("zipline", "backtrader"):
        from seawall.bridges.bars import export_backtrader, export_zipline

        bars = export_zipline if kind == "zipline" else export_backtrader
        return bars(panel, output, block_rows=knobs["block_rows"], beat=beat)
    from seawall.stores.panel import Panel

    if kind == "qlib":
        from seawall.bridges.qlib import export_qlib

        return export_qlib(Panel(panel), output, block_rows=knobs["block_rows"], beat=beat)
    from seawall.bridges.parquet import export_parquet

    return export_parquet(Panel(panel), output, block_rows=knobs["block_rows"], beat=beat)
