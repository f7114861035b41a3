"""Write a panel store: blocks of whole entities in, arrays, indexes, checksums and, last of all, the manifest out."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Bool, Float32, Float64, Int64
from seawall.errors import ConfigError, DataError
from seawall.stores.atomic import block_checksums, file_checksum, flush, json_text, text_key, write_text
from seawall.stores.npy import ArrayWriter, map_array, write_array
from seawall.stores.panel import ARRAYS, TargetSpec
from seawall.stores.shape import PANEL_FORMAT

INDEX_ROWS = 131_072
"""Rows of the time index read at once while the by-time order is built."""


_SEGMENT = re.compile(r"seg-(\d{6})|\.seg-\d{6}\.tmp", re.ASCII)
"""Folders of a panel store that belong to us and may be removed; nothing else ever is."""


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column of the store."""

    name: str
    group: str
    dtype: str
    unit: str = ""
    expression: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelSpec:
    """What a panel store is made of, known before the first row is written."""

    calendar_kind: str
    columns: tuple[ColumnSpec, ...]
    targets: tuple[TargetSpec, ...]

    def width(self, group: str) -> int:
        """Count the columns of a group."""
        return sum(column.group == group for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityBlock:
    """Rows of whole entities, sorted by (entity, time).

    ``times`` are calendar values; ``target_end`` is the place in this block of the row that makes a target known, -1
    for never.
    """

    names: list[str]
    lengths: Int64
    times: Int64
    features: Float32
    returns: Float64
    target_end: Int64
    prices: Float64
    adjustment: Float64
    universe: Bool


class PanelWriter:
    """Build one segment beside the present one, then swap the manifest.

    Until :meth:`finish` has returned, a reader of ``path`` sees what was there before. Memory is one block, the
    calendar, and ``slab_bytes`` for the by-time order.

    Parameters
    ----------
    path
        The ``NAME.panel`` folder; made if missing.
    calendar
        int64 [T], strictly increasing: every time that will be appended.

    Raises
    ------
    ConfigError
        Where ``path`` is a file, or a folder with anything else in it.
    """

    def __init__(self, path: Path, spec: PanelSpec, calendar: Int64) -> None:
        self._path, self._spec, self._calendar = path, spec, calendar
        check_output(path)
        path.mkdir(parents=True, exist_ok=True)
        _remove_segments(path, keep=_published_segment(path))  # what a kill before the swap has left
        self._segment = _next_segment(path)
        self._folder = path / f".{self._segment}.tmp"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._writers = {
            name: ArrayWriter(self._folder / f"{name}.npy", dtype, (spec.width(group),) if group else ())
            for name, (dtype, group) in ARRAYS.items()
            if not group or spec.width(group)
        }
        self._names: list[str] = []
        self._lengths: list[int] = []
        self._rows_per_date = np.zeros(len(calendar), np.int64)

    def append(self, block: EntityBlock) -> None:
        """Append whole entities; names must come in byte order over the life of the writer.

        Raises
        ------
        DataError
            Where an entity comes out of order, or twice.
        """
        self._check_order(block.names)
        time_index = np.searchsorted(self._calendar, block.times).astype(np.int32)
        ends = np.where(block.target_end >= 0, time_index[np.maximum(block.target_end, 0)], -1)
        columns = {
            "features": block.features,
            "targets": block.returns.astype(np.float32),
            "target_end": ends,
            "returns": block.returns,
            "prices": block.prices,
            "adjustment": block.adjustment,
            "universe": block.universe,
            "time_index": time_index,
        }
        for name, writer in self._writers.items():
            writer.append(columns[name])
        self._names += block.names
        self._lengths += block.lengths.tolist()
        self._rows_per_date += np.bincount(time_index, minlength=len(self._calendar))

    def _check_order(self, names: Sequence[str]) -> None:
        previous = self._names[-1:] + list(names[:-1])
        for before, after in zip(previous, names[-len(previous) :] if previous else [], strict=True):
            if before.encode() >= after.encode():
                raise DataError(
                    str(self._path), "entities must come once and in byte order", found=f"{after!r} after {before!r}"
                )

    def finish(self, *, sources: list[dict[str, Any]], ingest: dict[str, Any], slab_bytes: int) -> dict[str, Any]:
        """Write indexes and checksums, swap the manifest, drop the segment it replaces.

        Returns
        -------
        dict
            The manifest.
        """
        for writer in self._writers.values():
            writer.close()
        offsets = np.concatenate([[0], np.cumsum(self._lengths, dtype=np.int64)]).astype(np.int64)
        time_offsets = np.concatenate([[0], np.cumsum(self._rows_per_date)]).astype(np.int64)
        write_array(self._folder / "calendar.npy", self._calendar)
        write_array(self._folder / "offsets.npy", offsets)
        write_array(self._folder / "time_offsets.npy", time_offsets)
        self._write_by_time(time_offsets, slab_bytes)
        table = pa.table({"entity": pa.array(self._names, pa.string())})
        pq.write_table(table, self._folder / "entities.parquet", compression="zstd")
        flush(self._folder / "entities.parquet")
        manifest = self._manifest(sources, ingest)
        self._publish(manifest)
        return manifest

    def _write_by_time(self, time_offsets: Int64, slab_bytes: int) -> None:
        """Order row ids by (time, entity) in slabs of dates, each one sequential pass over the time index."""
        num_rows = int(time_offsets[-1])
        time_index = map_array(self._folder / "time_index.npy", "<i4", (num_rows,))
        with ArrayWriter(self._folder / "by_time.npy", "<i8") as writer:
            start = 0
            while start < len(self._calendar):
                limit = time_offsets[start] + max(1, slab_bytes // 8)
                stop = max(start + 1, int(np.searchsorted(time_offsets, limit, side="right")) - 1)
                slab = np.empty(time_offsets[stop] - time_offsets[start], np.int64)
                next_place = time_offsets[start:stop] - time_offsets[start]
                for first in range(0, num_rows, INDEX_ROWS):
                    _place_rows(slab, next_place, time_index[first : first + INDEX_ROWS], first, start)
                writer.append(slab)
                start = stop

    def _manifest(self, sources: list[dict[str, Any]], ingest: dict[str, Any]) -> dict[str, Any]:
        files: dict[str, dict[str, Any]] = {}
        for path in sorted(self._folder.iterdir()):
            whole, blocks = block_checksums(path)
            files[path.name] = {"bytes": path.stat().st_size, "xxh3_64": whole, "blocks": blocks}
        self._segment = _same_segment(self._path, files) or self._segment
        sums = {name: record["xxh3_64"] for name, record in files.items()}
        sums["entities.parquet"] = text_key(*self._names)  # Parquet bytes change with the release that writes them
        columns = [asdict(column) for column in self._spec.columns]
        targets = [asdict(target) for target in self._spec.targets]
        content = [
            repr(columns),
            repr(targets),
            self._spec.calendar_kind,
            *(f"{name}:{checksum}" for name, checksum in sums.items()),
        ]
        return {
            "format": PANEL_FORMAT,
            "segments": [{"name": self._segment, "num_rows": sum(self._lengths)}],
            "num_rows": sum(self._lengths),
            "num_entities": len(self._names),
            "num_dates": len(self._calendar),
            "max_rows_per_entity": max(self._lengths, default=0),
            "max_rows_per_date": int(self._rows_per_date.max(initial=0)),
            "calendar": {"kind": self._spec.calendar_kind},
            "columns": columns,
            "targets": targets,
            "files": {f"{self._segment}/{name}": record for name, record in files.items()},
            "sources": sources,
            "ingest": ingest,
            "content_key": text_key(*content),
        }

    def _publish(self, manifest: dict[str, Any]) -> None:
        final = self._path / self._segment
        text = json_text(manifest)  # before the rename: a value JSON cannot hold is found early
        if final.exists():  # the same content is published already: a kill came after the swap
            shutil.rmtree(self._folder)
        else:
            self._folder.rename(final)
        flush(self._path)
        write_text(self._path / "panel.json", text)
        _remove_segments(self._path, keep=self._segment)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if kind is None:
            return
        if _published_segment(self._path) != self._segment:
            shutil.rmtree(self._path / self._segment, ignore_errors=True)
        if not any(self._path.iterdir()):
            self._path.rmdir()


def _place_rows(slab: Int64, next_place: Int64, times: Int64, first_row: int, first_date: int) -> None:
    """Put the rows of one block that fall into the slab's dates at their places; stable, so entity order is kept."""
    inside = np.flatnonzero((times >= first_date) & (times < first_date + len(next_place)))
    dates = times[inside] - first_date
    order = np.argsort(dates, kind="stable")
    sorted_dates = dates[order]
    counts = np.bincount(sorted_dates, minlength=len(next_place))
    rank_in_date = np.arange(len(sorted_dates)) - np.repeat(np.cumsum(counts) - counts, counts)
    slab[next_place[sorted_dates] + rank_in_date] = inside[order] + first_row
    next_place += counts


def check_output(path: Path) -> None:
    """Check that a panel store may be written here: nothing yet, an empty folder, or a panel store to replace.

    Raises
    ------
    ConfigError
        Where the path is a file, or a folder that holds anything else.
    """
    where, do = f"output {str(path)[:200]}", "Name a folder that does not exist yet, for example market.panel."
    try:
        is_folder, is_store, exists = path.is_dir(), (path / "panel.json").exists(), path.exists()
    except OSError as error:
        raise ConfigError(where, "not a place for a panel store", found=error.strerror or str(error), do=do) from error
    if not path.name or (exists and not is_folder):
        raise ConfigError(where, "not a place for a panel store", found="a file" if path.name else "no name", do=do)
    if not is_folder or is_store:
        return
    foreign = sorted(p.name for p in path.iterdir() if not _SEGMENT.fullmatch(p.name) and p.name != ".panel.json.tmp")
    if foreign:
        raise ConfigError(where, "the folder is not a panel store and not empty", found=repr(foreign[0]), do=do)


def _next_segment(path: Path) -> str:
    matches = [_SEGMENT.fullmatch(p.name) for p in path.iterdir()]
    return f"seg-{max((int(m[1]) for m in matches if m and m[1]), default=-1) + 1:06d}"


def _published_segment(path: Path) -> str:
    try:
        return str(json.loads((path / "panel.json").read_text(encoding="utf-8"))["segments"][0]["name"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _same_segment(path: Path, files: dict[str, dict[str, Any]]) -> str:
    """Give the published segment if it holds these very files, whole; a continued ingest then keeps its name."""
    name = _published_segment(path)
    if not _SEGMENT.fullmatch(name):
        return ""
    for file, record in files.items():
        present = path / name / file
        if not present.is_file() or file_checksum(present) != record["xxh3_64"]:
            return ""
    return name


def _remove_segments(path: Path, *, keep: str) -> None:
    for folder in path.iterdir():
        if _SEGMENT.fullmatch(folder.name) and folder.name != keep:
            shutil.rmtree(folder, ignore_errors=True)
