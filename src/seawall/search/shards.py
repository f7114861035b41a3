"""A sweep cut into runs of take-profits, each summed by a process of its own, and put together to the same bits."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.budget.heartbeat import Beat
from seawall.search.config import SearchConfig
from seawall.search.costs import BPS, Costs
from seawall.search.entry_columns import open_entries
from seawall.search.evaluate import BAND_COMBINATIONS, Evaluator, Part, Selection
from seawall.search.levels import ExitLevels
from seawall.search.ohlc import open_bars
from seawall.search.opportunities import Opportunities
from seawall.search.prepare import open_detail
from seawall.search.sharding import shard_folder
from seawall.search.spans import Spans, cut
from seawall.stores.atomic import write_json


@dataclass(frozen=True, slots=True)
class ShardOrder:
    """One part of a sweep, as plain values: where its bars and entries are, and what is summed over them."""

    type_name: str
    work: Path
    """Folder of the prepared bars and entries."""
    key: str
    """Of the evaluator whose sweep this is."""
    part: str
    selection: Selection
    only_opportunities: bool
    levels: ExitLevels
    shard_key: str

    @classmethod
    def of(cls, order: Mapping[str, Any], number: int) -> "ShardOrder":
        """Read one part of the order for a whole sweep."""
        chosen = order["selection"]
        threshold = float("-inf") if chosen["threshold"] is None else float(chosen["threshold"])
        first, last = order["shards"][number]
        return cls(
            order["type"], Path(order["work"]), order["key"], order["part"],
            Selection(tuple(chosen["weights"]), threshold), bool(order["only_opportunities"]),
            ExitLevels.of_record(order["levels"]).take_profits(int(first), int(last)), order["keys"][number],
        )  # fmt: skip


def sweep_shard(
    order: Mapping[str, Any], number: int, config: SearchConfig, output: Path,
    *, band_combinations: int = BAND_COMBINATIONS, beat: Beat,
) -> dict[str, Any]:  # fmt: skip
    """Sum one part of a sweep into ``output/.shards/NNN``; a checkpoint left there is continued.

    Exact: each combination's sums are added over the same chunks in the same order as in the whole sweep. Memory: one
    chunk of tables and one band of sums; bars and entries are mapped files.

    Returns
    -------
    dict
        Entries taken, and combinations summed over them.
    """
    shard = ShardOrder.of(order, number)
    type_config = config.types[shard.type_name]
    bars, entries = open_bars(shard.work), open_entries(shard.work / shard.type_name)
    folder = shard_folder(output, number)
    folder.mkdir(parents=True, exist_ok=True)
    _forget_other(folder, shard.shard_key)
    evaluator = Evaluator(
        bars, entries, Costs.of(config.costs),
        Opportunities(type_config.opportunity_bps * BPS, type_config.capture_share),
        type_config.grid.holds[-1], folder, shard.key, only_opportunities=shard.only_opportunities,
        band_combinations=band_combinations, checkpoint_seconds=config.checkpoint_seconds, beat=beat,
        detail=open_detail(shard.work, bars),
    )  # fmt: skip
    part = part_of(cut(entries, bars, config.validation, type_config.grid.holds[-1]), shard.part)
    counts = evaluator.sum_into(shard.levels, shard.selection, part, folder)
    write_json(folder / "shard.json", {"key": shard.shard_key, **counts})
    return {"entries": counts["entries"], "num_combinations": shard.levels.num_combinations}


def part_of(spans: Spans, name: str) -> Part:
    """Give the part of the entries with a name."""
    return {"search": spans.search, "everything": spans.everything}[name]


def _forget_other(folder: Path, key: str) -> None:
    """Remove what another sweep has begun here."""
    mark = folder / "of.json"
    if not mark.is_file() or json.loads(mark.read_text(encoding="utf-8")) != key:
        shutil.rmtree(folder)
        folder.mkdir()
        write_json(mark, key)
