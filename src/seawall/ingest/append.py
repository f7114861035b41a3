"""The append stage: new rows on top of a panel store, at the cost of the new rows and the ends of their entities."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import Int64
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import BudgetError, ConfigError, FormatError, SeawallError, ends_for_good
from seawall.ingest.append_memory import plan_append
from seawall.ingest.attributes import attributes_of, group_codes
from seawall.ingest.bucket import Builder
from seawall.ingest.by_date import DatePass
from seawall.ingest.by_date import Rows as Written
from seawall.ingest.checkpoint import resume_key
from seawall.ingest.compared import compared_from, keep_comparisons, widened
from seawall.ingest.config import IngestConfig
from seawall.ingest.memory import SLAB_BYTES, SQL_FLOOR_BYTES
from seawall.ingest.recipe import Recipe, nothing_new, raw_config, read_recipe
from seawall.ingest.run import declared_breaks, ingest
from seawall.ingest.sources import fresh_files, input_files
from seawall.ingest.tails import Merge, Tail, find_tails
from seawall.stores.atomic import write_text
from seawall.stores.folder import check_output
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter, Publication
from seawall.tables.clock import ISO, STEP
from seawall.tables.engine import SqlEngine, limit_for_share
from seawall.tables.sources import fingerprint
from seawall.tables.times import TimeFormat, declared_format
from seawall.units import MIB, format_bytes


def append(sources: Sequence[str], output: Path, *, budget_bytes: int, beat: Beat = silent) -> dict[str, Any]:
    """Add rows to a panel store as a new segment: new dates, new entities, late rows.

    Killed, the same call goes on with what it has read. The new rows are read exactly as the ingest read its sources.
    Of each entity they touch, the rows whose target they decide and all later ones are computed anew, with as many
    earlier rows beside them as the expressions read; what comes out is what one ingest of all sources would have made.
    Nothing earlier is read or written. The present store stays readable until the new manifest is in place.

    Parameters
    ----------
    sources
        Files, folders or globs with the columns of the panel's own sources; files that are in it already are passed by.
    output
        The ``NAME.panel`` folder, made by an ingest.
    budget_bytes
        What the stage may use in all, page cache included.

    Returns
    -------
    dict
        ``appended`` (False where these very files are in the panel already), ``num_new_rows``, ``num_rewritten_rows``,
        ``first_changed``, ``content_key``, and the reading report as ``ingest``.

    Raises
    ------
    DataError, ConfigError, BudgetError
        Bad input, with file and line; the panel is untouched.
    """
    panel = Panel(output)
    check_output(output, continues=True)
    recipe = read_recipe(panel.manifest, sources, str(output))
    fresh = tuple(str(file) for file in fresh_files(sources, panel.manifest["sources"]))
    work = output.with_name(f".{output.name}.append")
    if not fresh:
        shutil.rmtree(work, ignore_errors=True)
        return nothing_new(output, panel.content_key)
    try:
        raw = raw_config(recipe.config).model_copy(update={"sources": fresh})
        new = _read_new(raw, work, budget_bytes, beat)
        with SqlEngine(limit_for_share(SQL_FLOOR_BYTES + 64 * MIB), work) as engine:
            made = _append(panel, new, recipe, engine, dict(new.manifest["ingest"]), budget_bytes, beat)
    except SeawallError as error:
        if ends_for_good(type(error)):
            shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work, ignore_errors=True)
    return made


def _read_new(raw: IngestConfig, work: Path, budget_bytes: int, beat: Beat) -> Panel:
    """Read the new rows into a store of their own, or take the one that a killed append of the same files has made."""
    key, path = resume_key(raw, [fingerprint(file) for file in input_files(raw)]), work / "new.panel"
    said = work / "read"
    if not said.is_file() or said.read_text(encoding="utf-8") != key:
        said.unlink(missing_ok=True)
        ingest(raw, path, budget_bytes=budget_bytes, beat=beat)
        write_text(said, key)
    try:
        return Panel(path)
    except FormatError:
        shutil.rmtree(work)
        return _read_new(raw, work, budget_bytes, beat)


def _append(
    panel: Panel,
    new: Panel,
    recipe: Recipe,
    engine: SqlEngine,
    report: dict[str, Any],
    budget_bytes: int,
    beat: Beat,
) -> dict[str, Any]:
    config = recipe.config
    _check_calendar(panel, new, config)
    reach = recipe.reach(panel.shape.max_rows_per_entity)
    tails = find_tails(panel, new, reach)
    compared_time = compared_from(panel, new, tails, config)
    if compared_time is not None:
        tails = widened(panel, tails, reach, compared_time)
    longest_rows = max((tail.num_rows for tail in tails), default=0)
    exact = plan_append(config, new.shape, panel.shape, longest_rows=longest_rows, budget_bytes=budget_bytes)
    if exact.projected_cgroup_bytes > budget_bytes:
        raise _too_small(exact.projected_cgroup_bytes, budget_bytes, longest_rows)
    names = sorted({*panel.entities, *new.entities})
    calendar = np.union1d(panel.calendar, new.calendar)
    declared = declared_breaks(config, _time_format(config, panel), names)
    builder = Builder(config, calendar, panel.calendar_kind, [], np.empty(0, np.int64), engine, declared)
    merge, first_places = Merge(panel, new, config, every=config.compares_names), [np.empty(0, np.int64)]
    calendar_written = _calendar_of(panel, new, tails)
    with PanelWriter(panel.path, _spec(panel), calendar_written, base=panel.manifest) as writer:
        done = num_written = 0
        names_written: list[str] = []
        for rows, num_halo, taken in merge.blocks(tails, exact.neutral["block_rows"]):
            beat("merge and compute", done, len(tails))
            block = _without_halo(builder.compute(rows), num_halo)
            if compared_time is not None:
                keep_comparisons(panel, block, taken, compared_time, len(config.cross_sectional))
            writer.append(block)
            names_written += block.names
            first_places.append(np.array([tail.keep - tail.start for tail in taken], np.int64))
            done, num_written = done + len(taken), num_written + len(block.times)
        attributes = None
        if config.static is not None and names_written:
            attributes, report["static"] = attributes_of(config, config.static, names_written)
            writer.set_attributes(attributes)
        if merge.first_changed is None:
            return nothing_new(panel.path, panel.content_key) | {"num_left_out": merge.num_left_out}
        if compared_time is not None:
            codes, rows_written = group_codes(config, attributes, names_written), Written(*writer.close_rows())
            with DatePass(config, rows_written, codes, exact.neutral["date_rows"]) as dates:
                dates.run(beat, int(np.searchsorted(calendar_written, compared_time)))
        beat("index and checksum", len(tails), len(tails))
        told = Publication(
            sources=new.manifest["sources"],
            ingest=report | {"scale_breaks": _new_breaks(panel, builder.quality.scale_breaks)},
            first_changed=merge.first_changed,
            num_new_rows=merge.num_new_rows,
        )
        manifest = writer.finish_append(told, np.concatenate(first_places), slab_bytes=SLAB_BYTES)
    return {
        "appended": True,
        "panel": str(panel.path),
        "content_key": manifest["content_key"],
        "num_new_rows": merge.num_new_rows,
        "num_rewritten_rows": num_written - merge.num_new_rows,
        "num_replaced": merge.num_replaced,
        "num_left_out": merge.num_left_out,
        "first_changed": builder.time_text(merge.first_changed),
        "num_segments": len(manifest["segments"]),
        "shape": Panel(panel.path).shape.record(),
        "ingest": told.ingest,
        "plan": exact.record(),
    }


def _check_calendar(panel: Panel, new: Panel, config: IngestConfig) -> None:
    if panel.calendar_kind != new.calendar_kind:
        raise ConfigError(
            f"append to {panel.path}",
            "the sources have another kind of time",
            found=new.calendar_kind,
            allowed=panel.calendar_kind,
            do="Declare time_format at ingest, or mend the time column.",
        )
    unknown = new.calendar[~np.isin(new.calendar, panel.calendar)]
    if any(chosen.counts_dates for chosen in config.feature_sets) and (unknown < panel.calendar[-1]).any():
        time = panel.calendar_kind == "timestamp" and str(unknown[:1].view("datetime64[ns]")[0])[:19]
        raise ConfigError(
            f"append to {panel.path}",
            "a date lies between two of the calendar, and windows that count dates would move for every entity",
            found=str(time or unknown[0]),
            do="Ingest all sources anew, or use feature sets with align: rows.",
        )


def _time_format(config: IngestConfig, panel: Panel) -> TimeFormat:
    if config.time_format is not None:
        return declared_format(config.time_format, where="recipe.time_format", timezone=config.timezone or "")
    return TimeFormat(STEP if panel.calendar_kind == STEP else ISO)


def _spec(panel: Panel) -> PanelSpec:
    columns = tuple(ColumnSpec(**column) for column in panel.manifest["columns"])
    return PanelSpec(calendar_kind=panel.calendar_kind, columns=columns, targets=panel.target_specs)


def _calendar_of(panel: Panel, new: Panel, tails: Sequence[Tail]) -> Int64:
    """List the dates of all rows that will be written."""
    is_used = np.zeros(len(panel.calendar), bool)
    for tail in tails:
        is_used[panel.time_index[tail.keep : tail.stop]] = True
    return np.union1d(panel.calendar[is_used], new.calendar)


def _without_halo(block: EntityBlock, num_halo: Int64) -> EntityBlock:
    """Leave out the first rows of each entity; targets end at rows that stay, for they end later than they begin."""
    starts = np.concatenate([[0], np.cumsum(block.lengths)[:-1]])
    place = np.arange(len(block.times)) - np.repeat(starts, block.lengths)
    keep = place >= np.repeat(num_halo, block.lengths)
    moved = np.cumsum(keep) - 1
    ends = block.target_end[keep]
    arrays = {name: getattr(block, name)[keep] for name in ("times", "features", "returns", "prices")}
    more = {name: getattr(block, name)[keep] for name in ("adjustment", "universe")}
    roles = {name: array[keep] for name, array in block.roles.items()}
    values = None if block.values is None else block.values[keep]
    return replace(
        block,
        lengths=block.lengths - num_halo,
        target_end=np.where(ends >= 0, moved[ends], -1),
        values=values,
        roles=roles,
        **arrays,
        **more,
    )


def _new_breaks(panel: Panel, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the scale breaks that an earlier report lists: halos show them again."""
    reports = [panel.manifest["ingest"], *(entry.get("ingest", {}) for entry in panel.manifest["history"])]
    known = [item for report in reports for item in report.get("scale_breaks", ())]
    return [item for item in found if item not in known]


def _too_small(needed_bytes: int, budget_bytes: int, longest_rows: int) -> BudgetError:
    return BudgetError(
        "append",
        f"the end of the longest entity must be held at once ({longest_rows:,} rows)",
        found=f"{format_bytes(budget_bytes)} for the stage",
        allowed=f"{format_bytes(needed_bytes)} or more",
        do=f"Declare --memory {needed_bytes // MIB + 33}MiB.",
    )
