"""A panel as a Qlib provider folder: each series lies on the whole calendar, so that a gap shifts nothing."""

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seawall.arrays import Float32, Int64
from seawall.bridges.folder import appearing
from seawall.bridges.qlib_names import Instrument, file_name, instruments_of
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ConfigError
from seawall.stores.panel import Panel

MAX_DATES = 2**24
"""The first value of a file is the index of its first date, kept as float32: exact to here."""

MAX_OPEN = 200
"""Files of one entity written at once."""

_DAY_NS = 86_400_000_000_000
_MINUTE_NS = 60_000_000_000


def export_qlib(panel: Panel, output: Path, *, block_rows: int, beat: Beat = silent) -> dict[str, Any]:
    """Write ``calendars/``, ``instruments/all.txt`` and ``features/<instrument>/<field>.<freq>.bin``.

    Fields: every price divided by the adjustment, ``factor`` (1 / adjustment, so that price / factor is what was paid),
    and every feature as stored. A file holds float32 little-endian: the calendar index of the first row, then one value
    for *every* date from it to the entity's last row, NaN where the entity has no row. ``instruments.csv`` tells which
    entity an instrument is: names that differ only in case, or that no file can have, get another one. Memory is one
    block of rows and the calendar.

    Returns
    -------
    dict
        ``num_rows``, ``num_instruments``, ``num_fields``, ``freq``, and the ``renamed`` entities.

    Raises
    ------
    ConfigError
        For a calendar of steps, fields that differ only in case, or an output that is there already.
    """
    freq, texts = _calendar(panel)
    fields = _fields(panel)
    instruments = instruments_of(panel.entities)
    with appearing(output) as folder:
        for name in ("calendars", "instruments", "features"):
            (folder / name).mkdir()
        (folder / "calendars" / f"{freq}.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        with (folder / "instruments" / "all.txt").open("w", encoding="utf-8") as listed:
            for number, instrument in enumerate(instruments):
                rows = slice(int(panel.offsets[number]), int(panel.offsets[number + 1]))
                ends = panel.time_index[np.array([rows.start, rows.stop - 1])]
                listed.write(f"{instrument.symbol}\t{texts[ends[0]]}\t{texts[ends[1]]}\n")
                place = folder / "features" / instrument.folder
                place.mkdir()
                for first in range(0, len(fields), MAX_OPEN):
                    _write_fields(panel, rows, place, fields[first : first + MAX_OPEN], freq, block_rows)
                beat("write", number + 1, len(instruments))
        _write_names(folder / "instruments.csv", instruments)
    return {
        "num_rows": panel.shape.num_rows,
        "num_instruments": len(instruments),
        "num_fields": len(fields),
        "freq": freq,
        "renamed": {i.symbol: i.entity for i in instruments if i.symbol != i.entity.upper()},
    }


def _calendar(panel: Panel) -> tuple[str, list[str]]:
    """Name the frequency and write each time as Qlib does."""
    if panel.calendar_kind != "timestamp":
        what = "a calendar of integer steps has no dates, and Qlib needs them"
        raise ConfigError(f"export {panel.path}", what, do="Export to parquet.")
    if len(panel.calendar) >= MAX_DATES:
        found, what = f"{len(panel.calendar):,} times", "too many times for Qlib's float32 index"
        raise ConfigError(f"export {panel.path}", what, found=found, allowed=f"{MAX_DATES - 1:,}")
    texts = np.datetime_as_string(panel.calendar.view("datetime64[ns]").astype("datetime64[s]"))
    if (panel.calendar % _DAY_NS == 0).all():
        return "day", [text[:10] for text in texts.tolist()]
    step = int(np.gcd.reduce(np.diff(panel.calendar))) if len(panel.calendar) > 1 else _MINUTE_NS
    if step % _MINUTE_NS:
        what = "Qlib knows days and whole minutes"
        raise ConfigError(f"export {panel.path}", what, found=f"times {step / 1e9:g} s apart", do="Export to parquet.")
    return f"{step // _MINUTE_NS}min", [text.replace("T", " ") for text in texts.tolist()]


def _fields(panel: Panel) -> list[tuple[str, str, int]]:
    """List (file name, array, column) of each field; ``factor`` is column -1 of prices."""
    fields = [("factor", "adjustment", 0)]
    for array in ("prices", "features"):
        fields += [(file_name(name), array, place) for place, name in enumerate(panel.names(array))]
    seen: dict[str, str] = {}
    for field, array, place in fields:
        name = "factor" if array == "adjustment" else f"{array} {panel.names(array)[place]!r}"
        if field in seen:
            raise ConfigError(
                f"export {panel.path}",
                "Qlib writes field names in lower case, and two would be one",
                found=f"{seen[field]} and {name}"[:300],
                do="Name one of them differently at ingest, or export to parquet.",
            )
        seen[field] = name
    return fields


def _write_fields(
    panel: Panel, rows: slice, folder: Path, fields: Sequence[tuple[str, str, int]], freq: str, block_rows: int
) -> None:
    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"{name}.{freq}.bin").open("wb")) for name, _, _ in fields]
        next_date = int(panel.time_index[np.array([rows.start])][0])
        for file in files:
            file.write(np.array([next_date], "<f4").tobytes())
        for start in range(rows.start, rows.stop, block_rows):
            stop = min(start + block_rows, rows.stop)
            dates = np.asarray(panel.read("time_index", start, stop)).astype(np.int64) - next_date
            _write_block(panel, slice(start, stop), dates, fields, files)
            next_date += int(dates[-1]) + 1


def _write_block(
    panel: Panel, rows: slice, dates: Int64, fields: Sequence[tuple[str, str, int]], files: Sequence[BinaryIO]
) -> None:
    adjustment = np.asarray(panel.read("adjustment", rows.start, rows.stop))
    blocks = {name: panel.read(name, rows.start, rows.stop) for name in ("prices", "features")}
    dense: Float32 = np.empty(int(dates[-1]) + 1, "<f4")
    for file, (_, array, place) in zip(files, fields, strict=True):
        dense.fill(np.nan)
        if array == "adjustment":
            dense[dates] = 1.0 / adjustment
        elif array == "prices":
            with np.errstate(over="ignore"):
                dense[dates] = blocks[array][:, place] / adjustment
        else:
            dense[dates] = blocks[array][:, place]
        file.write(dense.tobytes())


def _write_names(path: Path, instruments: Sequence[Instrument]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("instrument", "entity"))
        writer.writerows((instrument.symbol, instrument.entity) for instrument in instruments)
