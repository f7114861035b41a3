"""The child's part of init: look at the first rows, guess the keys, then read keys and numbers once, bounded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError, DataError, SeawallError, nearest
from seawall.ingest.config import IngestConfig
from seawall.ingest.sources import source_files
from seawall.ingest.tables import time_format_of
from seawall.pipeline.init.keys import Keys, find_keys, find_time
from seawall.pipeline.init.memory import look_plan
from seawall.pipeline.init.names import ROW_NUMBER_NAMES, plain
from seawall.pipeline.init.prices import closing_price
from seawall.tables.layout import PLAIN, Layout
from seawall.tables.parts import Part, parts_of
from seawall.tables.profile import ColumnFacts, Profile, profile, unique_with
from seawall.tables.sample import sample_tables
from seawall.tables.sources import expand
from seawall.tables.survey import Survey
from seawall.tables.table import open_tables

MOST_SIBLINGS = 16
"""Files of the same folder that are looked into for the panel a static table belongs to."""


def look_at_sources(settings: Mapping[str, Any], beat: Beat) -> dict[str, Any]:
    """Look at the sources of a config to be.

    Parameters
    ----------
    settings
        ``sources``, and ``told``: entity, time, time_format and price, None where the user has not said.

    Returns
    -------
    dict
        ``keys``, ``columns`` of the first table, ``survey``, ``estimated_rows``, ``num_files``, ``layout`` beside what
        the keys say, ``static`` (a file and its entity column, or None), ``sources`` as they are to be read.

    Raises
    ------
    SeawallError
        ConfigError, DataError: what is in the way, and what to do.
    """
    beat("look at the columns")
    told = dict(settings["told"])
    sources, static = list(settings["sources"]), None
    if len(sources) > 1 or not _has_time(sources[0], told):
        sources, static = _parted(sources, told)
    parts = parts_of(source_files(sources))
    if parts[0].kind == "qlib":
        what, do = "a Qlib provider", "Read it with: seawall ingest FOLDER --output X.panel --format qlib."
        raise ConfigError(f"source {sources[0]}", what, do=do)
    seen = profile(parts[0])
    keys = _keys(seen, parts[0], told)
    layout = _layout(seen, keys, parts)
    tables = open_tables(source_files(sources), layout, keys.entity, keys.time)
    numbers = _numbers(tables[0].number_columns(), seen, keys)
    sample = sample_tables(tables)
    given = {"sources": sources, "entity": keys.entity, "time": keys.time, "time_format": keys.time_format}
    time_format = time_format_of(IngestConfig.model_validate(given), sample)
    price = _price(numbers, told["price"], is_wide="wide" in keys.layout)
    survey = Survey(numbers, price)
    survey.read(tables, time_format, beat)
    return {
        "plan": look_plan(survey.num_rows).record(),
        "sources": sources,
        "static": static,
        "keys": asdict(keys),
        "layout": layout.model_dump(mode="json", exclude_defaults=True),
        "columns": [asdict(column) for column in seen.columns],
        "numbers": numbers,
        "price": told["price"],
        "survey": survey.record(),
        "estimated_rows": max(sample.estimated_rows, survey.num_rows) if not survey.is_complete else survey.num_rows,
        "num_files": len(parts),
        "stem": parts[0].stem,
        "time_is": time_format.name if time_format is not None else "a type of its own",
    }


def _keys(seen: Profile, part: Part, told: dict[str, str | None]) -> Keys:
    facts = [asdict(column) for column in seen.columns]
    time = find_time(facts, told["time"], told["time_format"])[0]
    facts = [asdict(_with_uniqueness(column, seen, time)) for column in seen.columns]
    return find_keys(facts, is_time_unique=unique_with(seen.rows, time, None), told=told, stem=part.stem)


def _with_uniqueness(column: ColumnFacts, seen: Profile, time: str) -> ColumnFacts:
    is_candidate = column.kind == "text" or (column.kind == "number" and column.is_whole)
    if not is_candidate or column.name == time:
        return column
    return replace(column, is_unique_with_time=unique_with(seen.rows, column.name, time))


def _layout(seen: Profile, keys: Keys, parts: Sequence[Part]) -> Layout:
    """Put together how the sources are written."""
    found: dict[str, Any] = dict(keys.layout)
    if parts[0].kind == "csv":
        usual = {"decimal": PLAIN.decimal, "thousands": PLAIN.thousands}
        found |= {name: getattr(seen, name) for name, mark in usual.items() if getattr(seen, name) != mark}
        if seen.decimal == ",":
            found["delimiter"] = seen.delimiter
    return Layout.model_validate(found)


def _numbers(found: Sequence[str], seen: Profile, keys: Keys) -> list[str]:
    """List the number columns worth reading: not the ones that count rows."""
    facts = {column.name: column for column in seen.columns}

    def counts_rows(name: str) -> bool:
        column = facts.get(name)
        is_named = plain(name) in ROW_NUMBER_NAMES
        return not name or (
            column is not None and is_named and column.is_whole and column.num_distinct == seen.num_rows
        )

    kept = [name for name in found if not counts_rows(name)]
    if not kept:
        signs = [column.name for column in seen.columns if column.looks_almost_number]
        shown = ", ".join(repr(column.name) for column in seen.columns[:8])
        do = f"Remove the signs around the numbers of {signs[0]!r}." if signs else "Check delimiter and decimal mark."
        raise DataError("columns", f"no column of numbers beside {keys.entity} and {keys.time}", found=shown, do=do)
    return kept


def _price(numbers: Sequence[str], told: str | None, *, is_wide: bool) -> str | None:
    """Name the column whose jumps are counted; None where there is no price."""
    if told is not None and told not in numbers:
        do = nearest(told, numbers)
        raise ConfigError("--price", "no column of numbers has this name", found=repr(told), do=do)
    return told or (numbers[0] if is_wide else closing_price(numbers))


def _has_time(source: str, told: dict[str, str | None]) -> bool:
    """Tell whether the first table of a source has a column of times."""
    if told["time"] is not None:
        return True
    part = parts_of(source_files([source]))[0]
    if part.kind == "qlib":
        return True
    facts = [asdict(column) for column in profile(part).columns]
    try:
        find_time(facts, None, "told")
    except DataError:
        return False
    return True


def _parted(sources: list[str], told: dict[str, str | None]) -> tuple[list[str], dict[str, Any] | None]:
    """Tell sources with times from one table of static attributes; alone, its panel is looked for beside it."""
    without = [source for source in sources if not _has_time(source, told)]
    if not without:
        return sources, None
    if len(without) > 1:
        found = ", ".join(without[:3])
        what, do = "tables without a column of times", "Give one of them beside the table with times, or name --time."
        raise DataError("sources", what, found=found, do=do)
    others = [source for source in sources if source not in without] or _panel_beside(Path(without[0]), told)
    name = _shared_entity(without[0], others[0], told)
    return others, {"source": without[0], "entity": name, "was_found": len(sources) == 1}


def _shared_entity(static: str, panel: str, told: dict[str, str | None]) -> str:
    """Give the entity column of the panel if the static table has it too."""
    part = parts_of(source_files([panel]))[0]
    keys = _keys(profile(part), part, told)
    names = [column.name for column in profile(parts_of(source_files([static]))[0]).columns]
    if keys.entity not in names:
        found = ", ".join(repr(name) for name in names[:6])
        what = f"no column of times, and no {keys.entity!r} as in {panel}"
        raise DataError(f"source {static}", what, found=found, do="Name the time column with --time.")
    return keys.entity


def _panel_beside(static: Path, told: dict[str, str | None]) -> list[str]:
    """Find the one table with times beside a static table, which names the same entities."""
    found = []
    for path in sorted(static.parent.iterdir())[: 4 * MOST_SIBLINGS]:
        if path == static or not path.is_file() or not plain(path.name).startswith(plain(static.name)[:3]):
            continue
        try:
            if _has_time(str(expand([path])[0]), told) and _shared_entity(str(static), str(path), told):
                found.append(str(path))
        except (SeawallError, OSError):
            continue  # not a table, or not the one
        if len(found) > 1:
            break
    if len(found) == 1:
        return found
    what = "no column of times: this looks like a table of static attributes, one row for each entity"
    do = f"Give it beside the table with times: seawall init PANEL {static}; or name its time column with --time."
    raise DataError(f"source {static}", what, found=f"{len(found) or 'no'} table beside it that fits", do=do)
