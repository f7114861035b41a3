"""Read a Qlib provider folder: one folder an instrument, one ``FIELD.FREQUENCY.bin`` a column, one calendar for all.

Layout (Qlib documentation, "Data Layer", and ``FileFeatureStorage``): a bin file is little-endian float32; its first
value is the place in ``calendars/FREQUENCY.txt`` of the second one, and the rest follow the calendar without a hole.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Float64
from seawall.errors import ConfigError, DataError, nearest
from seawall.tables.parts import Part
from seawall.tables.read import RawBlock

BATCH_ROWS = 16_384


def fields(part: Part) -> list[str]:
    """List the columns of an instrument."""
    return sorted(file.name.rsplit(".", 2)[0] for file in part.path.glob("*.bin"))


def num_rows(part: Part) -> int:
    """Count calendar places the instrument's longest column covers."""
    return max((file.stat().st_size // 4 - 1 for file in part.path.glob("*.bin")), default=0)


def instrument(part: Part) -> str:
    """Give the name of an instrument as ``instruments/all.txt`` writes it; folders are in lower case."""
    listed = part.path.parent.parent / "instruments" / "all.txt"
    known = _instruments(listed, listed.stat().st_mtime_ns) if listed.is_file() else {}
    return known.get(part.path.name.lower(), part.path.name.upper())


@lru_cache(maxsize=1)
def _instruments(path: Path, modified_ns: int) -> dict[str, str]:
    names = (line.split("\t")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {name.lower(): name for name in names if name}


@lru_cache(maxsize=1)
def _calendar(path: Path, modified_ns: int) -> pa.Array:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"source {path}", "the calendar cannot be read", found=str(error)) from error
    return pa.array([line.strip() for line in lines if line.strip()], pa.string())


def read_instrument(part: Part, values: Sequence[str]) -> Iterator[RawBlock]:
    """Read the wanted columns of one instrument, at most 16,384 rows at once; a place without a value is no row.

    ``entity`` and ``time`` of the blocks are texts: the instrument, and the line of the calendar.

    Raises
    ------
    DataError
        Where a file is no bin file, or reaches beyond the calendar.
    """
    paths = [_path(part, name) for name in values] or sorted(part.path.glob("*.bin"))
    dates = part.path.parent.parent / "calendars" / f"{paths[0].name.split('.')[-2]}.txt"
    calendar = _calendar(dates, dates.stat().st_mtime_ns if dates.is_file() else 0)
    spans = [_span(path, len(calendar)) for path in paths]
    first, stop = min(start for start, _ in spans), max(end for _, end in spans)
    for begin in range(first, stop, BATCH_ROWS):
        end = min(begin + BATCH_ROWS, stop)
        block: Float64 = np.full((end - begin, len(paths)), np.nan)
        for place, (path, span) in enumerate(zip(paths, spans, strict=True)):
            _fill(block[:, place], path, span, begin, end)
        kept = np.flatnonzero(~np.isnan(block).all(axis=1))
        times = pa.DictionaryArray.from_arrays(
            pa.array(np.arange(len(kept), dtype=np.int32)), calendar.take(kept + begin)
        )
        names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(kept), np.int32)), pa.array([instrument(part)]))
        yield RawBlock(names, times, block[kept][:, : len(values)], kept + begin + 1)


def _path(part: Part, name: str) -> Path:
    found = list(part.path.glob("*.bin"))
    for path in found:
        if path.name.rsplit(".", 2)[0] == name:
            return path
    known = [path.name.rsplit(".", 2)[0] for path in found]
    raise ConfigError(f"source {part.label}", "unknown column", found=repr(name), do=nearest(name, known))


def _span(path: Path, num_times: int) -> tuple[int, int]:
    size_bytes = path.stat().st_size
    head: AnyArray = np.fromfile(path, "<f4", 1)
    start = float(head[0]) if len(head) else float("nan")
    if size_bytes % 4 or size_bytes < 4 or not start.is_integer() or start < 0:
        found = f"{size_bytes} bytes, first value {start:g}"
        raise DataError(f"source {path}", "not a bin file of Qlib", found=found, allowed="float32, its start first")
    stop = int(start) + size_bytes // 4 - 1
    if stop > num_times:
        raise DataError(f"source {path}", "reaches beyond the calendar", found=f"{stop} of {num_times} times")
    return int(start), stop


def _fill(column: Float64, path: Path, span: tuple[int, int], begin: int, end: int) -> None:
    first, stop = max(begin, span[0]), min(end, span[1])
    if first < stop:
        values: AnyArray = np.fromfile(path, "<f4", stop - first, offset=4 * (1 + first - span[0]))
        column[first - begin : stop - begin] = values
