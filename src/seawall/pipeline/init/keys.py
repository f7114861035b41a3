"""Which columns say what and when: guessed from names, kinds and the first rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seawall.errors import ConfigError, DataError, nearest
from seawall.pipeline.init.names import (
    CLOSE_ALSO,
    CLOSE_NAMES,
    ENTITY_NAMES,
    HIGH_NAMES,
    LOW_NAMES,
    OPEN_NAMES,
    ROW_NUMBER_NAMES,
    TIME_NAMES,
    is_size,
    is_target,
    plain,
    rank,
)

Facts = dict[str, Any]
"""A column as :class:`seawall.tables.profile.ColumnFacts` tells it."""

_TICKER = re.compile(r"[A-Z0-9][A-Z0-9.\-^=_/]{0,14}")
FEWEST_WIDE = 3


@dataclass(frozen=True, slots=True)
class Keys:
    """The key columns, and why they were taken."""

    entity: str
    time: str
    why_entity: str
    why_time: str
    other_entities: tuple[str, ...] = ()
    other_times: tuple[str, ...] = ()
    layout: dict[str, Any] = field(default_factory=dict)
    time_format: str | None = None


def find_time(columns: Sequence[Facts], told: str | None, time_format: str | None) -> tuple[str, str, tuple[str, ...]]:
    """Find the time column.

    Returns
    -------
    name, why, others

    Raises
    ------
    ConfigError
        Where the told name is no column.
    DataError
        Where no column holds times, or those of the best one can be read in two ways.
    """
    names = [str(column["name"]) for column in columns]
    if told is not None:
        if told not in names:
            raise ConfigError("--time", "unknown column", found=repr(told), do=nearest(told, names))
        return told, "as told", ()
    scored = sorted(
        (score, place) for place, column in enumerate(columns) if (score := _time_score(column)) is not None
    )
    if not scored:
        found = ", ".join(repr(name) for name in names[:8])
        do = "Name it with --time, and --time-format where it is written in an unusual way."
        raise DataError("time", "no column holds times", found=found, do=do)
    found_column = columns[scored[0][1]]
    how = str(found_column["time_format"])
    if how.startswith("ambiguous") and time_format is None:
        do = "Say which with --time-format, for example '%d/%m/%Y' or '%m/%d/%Y'."
        where = f"column {found_column['name']}"
        raise DataError(where, "its times can be read in two ways", found=how.removeprefix("ambiguous: "), do=do)
    kind = "a column of timestamps" if found_column["kind"] == "time" else f"its values read as {_words(how)}"
    why = f"{kind}, such as {found_column['examples'][0]}"
    return str(found_column["name"]), why, tuple(str(columns[place]["name"]) for _, place in scored[1:4])


def _words(how: str) -> str:
    return {"iso": "dates", "step": "whole steps"}.get(how, how or "times")


def _time_score(column: Facts) -> tuple[int, int] | None:
    """Give what sorts first where it is more likely; None where the column holds no times."""
    place, how = rank(str(column["name"]), TIME_NAMES), str(column["time_format"])
    named = place if place is not None else len(TIME_NAMES)
    if column["kind"] == "time":
        return (0 if place is not None else 1, named)
    if how and how != "step" and (column["kind"] == "text" or place is not None):
        return (2 if place is not None else 3, named)
    return (4, named) if how == "step" and place is not None else None


def find_keys(columns: Sequence[Facts], *, is_time_unique: bool, told: dict[str, str | None], stem: str) -> Keys:
    """Find entity and time of the first table.

    Parameters
    ----------
    is_time_unique
        No time occurs twice among the first rows.
    told
        ``entity``, ``time`` and ``time_format``, None where the user has not said.
    stem
        Name of the file without suffixes, for a table of one entity.

    Raises
    ------
    ConfigError, DataError
        As :func:`find_time`; where the told entity is no column.
    """
    time, why_time, other_times = find_time(columns, told["time"], told["time_format"])
    others = [column for column in columns if column["name"] != time]
    names = [str(column["name"]) for column in others]
    base = Keys("", time, "", why_time, other_times=other_times, time_format=told["time_format"])
    if told["entity"] is not None:
        if told["entity"] not in names:
            do = nearest(told["entity"], names)
            raise ConfigError("--entity", "unknown column", found=repr(told["entity"]), do=do)
        return replace(base, entity=told["entity"], why_entity="as told")
    if is_wide(others):
        shown = ", ".join(names[:3])
        why = f"every column but {time} is a number named like a ticker ({shown}, ...): the entities are columns"
        layout = {"wide": "close" if "close" in stem.casefold() else "price"}
        return replace(base, entity=_free("symbol", names), why_entity=why, layout=layout)
    candidates = sorted((score, place) for place, c in enumerate(others) if (score := _entity_score(c)) is not None)
    if is_time_unique:  # one row a time: only a name, or one value throughout, makes a column an entity
        candidates = [(s, p) for s, p in candidates if s[0] <= 2 or others[p]["num_distinct"] == 1]
    if not candidates:
        why = f"no column names one: each file is one entity, named after the file ({stem})"
        layout = {"entity_from_file": "{entity}"}
        return replace(base, entity=_free("entity", names), why_entity=why, layout=layout)
    best = others[candidates[0][1]]
    kind = "text" if best["kind"] == "text" else "digits, kept as text,"
    count = int(best["num_distinct"])
    values = f"{count:,} values" if count > 1 else "one value"
    why = f"{kind} with {values} in the first rows, such as {best['examples'][0]}"
    rest = tuple(str(others[place]["name"]) for _, place in candidates[1:4])
    return replace(base, entity=str(best["name"]), why_entity=why, other_entities=rest)


def _entity_score(column: Facts) -> tuple[int, int] | None:
    if column["kind"] not in ("text", "number") or (column["kind"] == "number" and not column["is_whole"]):
        return None
    if column["looks_almost_number"]:
        return None
    place, word = rank(str(column["name"]), ENTITY_NAMES), plain(str(column["name"]))
    known = place if place is not None else len(ENTITY_NAMES)
    unique = 0 if column["is_unique_with_time"] else 1
    if place is not None:
        return (unique, known)
    if word.endswith(("id", "code", "symbol", "ticker", "name")):
        return (1 + unique, known)
    return (3 + unique, known) if column["kind"] == "text" else None


def is_wide(others: Sequence[Facts]) -> bool:
    """Tell a table whose columns are entities: all numbers, none named like a field of a bar, all like tickers."""
    fields = {*OPEN_NAMES, *HIGH_NAMES, *LOW_NAMES, *CLOSE_NAMES, *CLOSE_ALSO}
    real = [column for column in others if plain(str(column["name"])) not in ROW_NUMBER_NAMES]
    if len(real) < FEWEST_WIDE or any(column["kind"] not in ("number", "empty") for column in real):
        return False
    names = [str(column["name"]) for column in real]
    is_field = any(plain(name) in fields or is_size(name) or is_target(name) for name in names)
    return not is_field and all(map(_TICKER.fullmatch, names))


def _free(name: str, taken: Sequence[str]) -> str:
    folded = {other.casefold() for other in taken}
    while name.casefold() in folded:
        name += "_"
    return name
