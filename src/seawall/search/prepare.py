"""Bars and entries into mapped scratch files, once: a killed search finds them again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError
from seawall.search.bars import Bars
from seawall.search.config import BarsConfig, SearchConfig
from seawall.search.detail import Detail
from seawall.search.entries import EntryWriter, read_entries
from seawall.search.ohlc import NS, BarCounts, open_bars, write_arrays, write_bars
from seawall.search.predictions import add_predictions
from seawall.search.signals import add_signals
from seawall.search.sources import files_of
from seawall.stores.atomic import write_json
from seawall.stores.panel import Panel


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where a search reads from."""

    panel: Path | None
    """Bars come from here where the config names no source."""
    predictions: Path | None
    """Folder of the prediction files of the run."""


def prepare(config: SearchConfig, inputs: Inputs, folder: Path, beat: Beat) -> dict[str, Any]:
    """Write bars and entries of every type under ``folder``, or find them there.

    Returns
    -------
    dict
        Counts of bars and of entries by type.
    """
    done = folder / "prepared.json"
    if done.is_file():
        loaded: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return loaded
    folder.mkdir(parents=True, exist_ok=True)
    counts = _bars(config, inputs, folder, beat)
    bars = open_bars(folder)
    check_trails(config, bars)
    finer = _detail(config, bars, folder / "detail", beat)
    with EntryWriter(bars, config, folder, _num_scores(config)) as writer:
        _entries(config, inputs, bars, writer, beat)
        writer.finish(beat)
    record = {"bars": {**counts, **finer}, "entries": {name: own.record() for name, own in writer.counts.items()}}
    write_json(done, record)
    return record


def _detail(config: SearchConfig, bars: Bars, folder: Path, beat: Beat) -> dict[str, int]:
    """Write the finer bars, if there are any, and count the entities that have them.

    Raises
    ------
    ConfigError
        Where they are not finer, or their times are of another kind.
    """
    if config.detail_bars is None:
        return {}
    folder.mkdir(exist_ok=True)
    own = config.bars.model_copy(update={"period": None, "funding": None, "holding": "bars"})
    counts = write_bars(files_of(config.detail_bars), own, folder, beat)
    finer = open_bars(folder)
    if is_clock(finer) != is_clock(bars):
        raise ConfigError("search.detail_bars", "their times are of another kind than those of the bars")
    if finer.period >= bars.period:
        raise ConfigError(
            "search.detail_bars", "these bars are not finer", found=f"a period of {shown_period(finer)}",
            allowed=f"less than {shown_period(bars)}", do="Name bars of a shorter period of the same entities.",
        )  # fmt: skip
    known = int((Detail.of(bars, finer).entity >= 0).sum())
    if not known:
        raise ConfigError(
            "search.detail_bars", "no entity of the bars has finer bars", found=repr(finer.entities[0]),
            allowed=repr(bars.entities[0]), do="Check that both tables belong together.",
        )  # fmt: skip
    return {"detail_rows": counts.num_rows, "detail_entities": known}


def open_detail(folder: Path, bars: Bars) -> Detail | None:
    """Map the finer bars that :func:`prepare` wrote, if there are any."""
    return Detail.of(bars, open_bars(folder / "detail")) if (folder / "detail").is_dir() else None


def is_clock(bars: Bars) -> bool:
    """Tell whether times are ns since 1970, and not steps."""
    return abs(int(bars.time[0])) > 10**15


def shown_period(bars: Bars) -> str:
    """Write the length of a bar."""
    return f"{bars.period / NS:g} s" if is_clock(bars) else f"{bars.period} steps"


def _entries(config: SearchConfig, inputs: Inputs, bars: Bars, writer: EntryWriter, beat: Beat) -> None:
    if config.entries_source is not None:
        read_entries(files_of(config.entries_source), config, writer, beat)
    elif config.entries.signals:
        for signal in config.entries.signals:
            add_signals(bars, signal, writer, beat)
    elif inputs.predictions is not None:
        add_predictions(inputs.predictions, config, writer, beat)
    else:
        raise ConfigError(
            "search.entries",
            "there is nothing to enter on",
            do="Name entries, entries.signals, or train a model first.",
        )


def _num_scores(config: SearchConfig) -> int:
    return len(config.entries.scores) if config.entries_source is not None else 1


def _bars(config: SearchConfig, inputs: Inputs, folder: Path, beat: Beat) -> dict[str, Any]:
    if config.source is not None:
        counts = write_bars(files_of(config.source), config.bars, folder, beat)
        num_entities = len(counts.rows_of)
        return {**counts.record(), "entities": num_entities}
    if inputs.panel is None:
        raise ConfigError("search.source", "there are no bars", do="Name a file of bars, or a panel with prices.")
    counts, num_entities = _panel_bars(Panel(inputs.panel), config.bars, folder)
    return {**counts.record(), "entities": num_entities}


def _panel_bars(panel: Panel, config: BarsConfig, folder: Path) -> tuple[BarCounts, int]:
    """Write the adjusted prices of a panel, bars without all four of them left out."""
    columns = [panel.column_index("prices", name) for name in (config.open, config.high, config.low, config.close)]
    counts, kept_of = BarCounts(kind=panel.calendar_kind), np.zeros(len(panel.entities), np.int64)
    offsets = np.asarray(panel.offsets)
    spool = folder / "panel.spool"
    dtype = np.dtype([("time", "<i8"), ("values", "<f8", (5,))])
    with spool.open("wb") as out:
        for entity, (start, stop) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
            for first in range(start, stop, 16_384):
                rows = slice(first, min(first + 16_384, stop))
                values = _panel_values(panel, columns, rows, config, counts)
                there = np.isfinite(values).all(axis=1)
                records = np.zeros(int(there.sum()), dtype)
                records["time"] = panel.calendar[panel.time_index[rows]][there]
                records["values"] = values[there]
                out.write(records.tobytes())
                kept_of[entity] += len(records)
    rows_kept = np.memmap(spool, dtype, "r") if kept_of.any() else np.zeros(0, dtype)

    def read(first: int, last: int) -> tuple[Int64, Float64]:
        return np.array(rows_kept["time"][first:last]), np.array(rows_kept["values"][first:last])

    places = np.concatenate([[0], np.cumsum(kept_of)]).astype(np.int64)
    write_arrays(read, panel.entities, places, config, counts.kind, folder)
    spool.unlink()
    return counts, len(panel.entities)


def _panel_values(panel: Panel, columns: list[int], rows: slice, config: BarsConfig, counts: BarCounts) -> Float64:
    prices = np.asarray(panel.prices[rows])[:, columns] / np.asarray(panel.adjustment[rows])[:, None]
    counts.num_rows += len(prices)
    finite = np.isfinite(prices).all(axis=1)
    counts.num_missing += int((~finite).sum())
    bad = finite & ((prices <= 0).any(axis=1) | (prices[:, 1] < prices[:, 2]))
    if bad.any() and config.impossible == "error":
        raise ConfigError(
            "search.bars", "the panel holds impossible bars", found=f"{int(bad.sum()):,} in one piece",
            do="Set bars.impossible: drop, which treats them as missing, or drop them at ingest.",
        )  # fmt: skip
    counts.num_impossible += int(bad.sum())
    high = prices.max(axis=1)
    low = prices.min(axis=1)
    outside = finite & ~bad & ((high > prices[:, 1]) | (low < prices[:, 2]))
    if outside.any() and config.outside_range == "error":
        raise ConfigError(
            "search.bars", "open or close is outside low..high", found=f"{int(outside.sum()):,} bars in one piece",
            do="Set bars.outside_range: widen, or drop them at ingest.",
        )  # fmt: skip
    counts.num_widened += int(outside.sum())
    values = np.column_stack([prices[:, 0], high, low, prices[:, 3], np.zeros(len(prices))])
    values[bad | ~finite] = np.nan
    return values


def check_trails(config: SearchConfig, bars: Bars) -> None:
    """Refuse trails tighter than the median bar range of an entity: inside a bar their order cannot be known.

    Raises
    ------
    ConfigError
        Naming the entity, its range and the tightest trail.
    """
    tightest: dict[str, float] = {}
    for name, type_config in config.types.items():
        distances = [pair[1] for pair in type_config.grid.trail.pairs() if pair is not None]
        if distances:
            tightest[name] = min(distances)
    if not tightest:
        return
    ranges = [1e4 * bars.median_range(entity) for entity in range(len(bars.entities))]
    widest = int(np.nanargmax(np.array(ranges)))
    for name, distance in tightest.items():
        if distance < ranges[widest]:
            raise ConfigError(
                f"types.{name}.grid.trail.distance_bps",
                "a trailing stop tighter than the median bar: what happens inside a bar is not known, and such trails"
                " look better than they are",
                found=f"{distance:g} bps, while half of the bars of {bars.entities[widest]!r} span more than"
                f" {ranges[widest]:.1f} bps",
                do="Widen the distances, leave that entity out, or search on finer bars.",
            )
