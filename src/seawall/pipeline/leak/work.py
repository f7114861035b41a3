"""What the children of ``seawall doctor leak`` do. Every import of the work is inside the branch that needs it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seawall.budget.heartbeat import Beat
from seawall.pipeline.config import parse_config
from seawall.pipeline.leak.memory import PARTS
from seawall.pipeline.stages import required_ingest, required_train


def do_leak(
    name: str, settings: Mapping[str, Any], folder: Path, knobs: Mapping[str, int], beat: Beat
) -> dict[str, Any]:
    """Do one part of the checks; give ``checks`` as plain records."""
    config = parse_config(settings["config"], "request")
    if name == PARTS.sources:
        from seawall.pipeline.leak.sources import check_sources

        found = [
            check_sources(
                required_ingest(config), config.panel_path, folder, budget_bytes=knobs["budget_bytes"], beat=beat
            )
        ]
    elif name == PARTS.panel:
        from seawall.pipeline.leak.panel import check_panel

        train = required_train(config)
        found = check_panel(config.panel_path, config.output, train, max_hashes=knobs["max_hashes"], beat=beat)
    else:
        from seawall.pipeline.leak.scores import check_scores

        found = check_scores(config.panel_path, config.output, required_train(config), folder, beat)
    return {"checks": [check.record() for check in found]}


def look_leak(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Find the sizes that a part is planned from."""
    config = parse_config(settings["config"], "request")
    if name == f"look {PARTS.sources}":
        from seawall.ingest.probe import estimate
        from seawall.ingest.tables import opened_tables
        from seawall.tables.sample import sample_tables

        section = required_ingest(config)
        return estimate(section, sample_tables(opened_tables(section))).record()
    from seawall.stores.shape import read_shape

    return read_shape(config.panel_path).record()
