"""Write a panel store: blocks of whole entities in, arrays, indexes, checksums and, last of all, the manifest out."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Int64
from seawall.errors import DataError, ends_for_good
from seawall.stores.atomic import block_checksums, flush, json_text, text_key, write_text
from seawall.stores.attributes import entity_table, read_entity_tables
from seawall.stores.by_time import write_by_time
from seawall.stores.counts import count_into
from seawall.stores.folder import check_output as check_output  # the writer's own first step, for callers to ask early
from seawall.stores.folder import (
    next_segment,
    published_segments,
    remove_segments,
    same_segment,
)
from seawall.stores.npy import ArrayWriter, write_array
from seawall.stores.panel_spec import ColumnSpec as ColumnSpec
from seawall.stores.panel_spec import EntityBlock as EntityBlock
from seawall.stores.panel_spec import PanelSpec as PanelSpec
from seawall.stores.panel_spec import Publication as Publication
from seawall.stores.panel_spec import Settled as Settled
from seawall.stores.segments import ARRAYS, GROUPS, Segment, lay_out, merged_time_offsets, row_shape
from seawall.stores.shape import PANEL_FORMAT, segment_counts


class PanelWriter:
    """Build one segment beside the present ones, then swap the manifest.

    Until :meth:`finish`, :meth:`finish_append` or :meth:`finish_compact` has returned, a reader of ``path`` sees what
    was there before. Memory is one block, the calendar, and ``slab_bytes`` for the by-time order.

    Parameters
    ----------
    path
        The ``NAME.panel`` folder; made if missing.
    calendar
        int64 [T], strictly increasing: every time that will be appended.
    base
        Manifest of the present store where it is continued (append, compact); None where it is replaced.
    settled
        What :meth:`settle` gave to a writer of the same store that was killed since: go on from there.
    num_rows
        How many rows will be appended, where that is known: nothing is then read again for its checksum.

    Raises
    ------
    ConfigError
        Where ``path`` is a file, or a folder with anything else in it.
    """

    def __init__(
        self,
        path: Path,
        spec: PanelSpec,
        calendar: Int64,
        *,
        base: Mapping[str, Any] | None = None,
        settled: Settled | None = None,
        num_rows: int | None = None,
    ) -> None:
        self._path, self._spec, self._calendar, self._base = path, spec, calendar, base
        check_output(path, continues=base is not None)
        path.mkdir(parents=True, exist_ok=True)
        begun = [] if settled is None else [settled.folder]
        remove_segments(path, keep=[*published_segments(path), *begun])  # what a kill before the swap has left
        settled = settled or Settled(f".{next_segment(path)}.tmp", [], np.empty(0, np.int64), np.zeros_like(calendar))
        self._folder = path / settled.folder
        self._segment = settled.folder[1:].removesuffix(".tmp")
        self._folder.mkdir(exist_ok=True)
        for file in self._folder.iterdir():  # indexes that were half made
            if file.stem not in spec.arrays:
                file.unlink()
        self._names, self._lengths = list(settled.names), settled.lengths.tolist()
        begun_rows = sum(self._lengths)
        self._writers = {
            name: ArrayWriter(
                self._folder / f"{name}.npy",
                ARRAYS[name][0],
                row_shape(name, spec.width),
                num_rows=begun_rows,
                final_rows=num_rows,
            )
            for name in spec.arrays
        }
        self._is_filled_in = False
        self._attributes: pa.Table | None = None
        self._rows_per_date = settled.rows_per_date.copy()
        self._is_settled = bool(begun)

    def append(self, block: EntityBlock) -> None:
        """Append whole entities; names must come in byte order over the life of the writer.

        Raises
        ------
        DataError
            Where an entity comes out of order, or twice.
        """
        self.add_entities(block.names, block.lengths.tolist())
        self.append_rows(block.columns(self._calendar))

    def add_entities(self, names: Sequence[str], lengths: Sequence[int]) -> None:
        """Name the next entities and their numbers of rows; the rows themselves follow in the same order.

        Raises
        ------
        DataError
            Where an entity comes out of order, or twice.
        """
        self._check_order(names)
        self._names += names
        self._lengths += lengths

    def set_attributes(self, attributes: pa.Table | None) -> None:
        """Name the static attributes: columns ``entity`` and any others; entities it does not hold have none."""
        self._attributes = attributes if attributes is not None and attributes.num_columns > 1 else None

    def append_rows(self, columns: Mapping[str, AnyArray]) -> None:
        """Append rows of every row array there is; ``time_index`` and ``target_end`` index the writer's calendar."""
        for name, writer in self._writers.items():
            writer.append(columns[name])
        count_into(self._rows_per_date, columns["time_index"])

    def settle(self) -> Settled:
        """Force all rows to disk, and tell how a writer after a kill goes on from here.

        The unfinished segment stays where this process ends by anything but an error of ours.
        """
        for writer in self._writers.values():
            writer.flush()
        self._is_settled = True
        lengths = np.array(self._lengths, np.int64)
        return Settled(self._folder.name, list(self._names), lengths, self._rows_per_date.copy())

    def close_rows(self) -> tuple[Path, Int64, Int64]:
        """End the row arrays, so that columns which compare rows of one date can be filled in before the end.

        Returns
        -------
        tuple
            The segment's folder, int64 [E + 1] first row of each entity, int64 [T] rows of each date.
        """
        for writer in self._writers.values():
            writer.close()
        self._is_filled_in = True
        offsets = np.concatenate([[0], np.cumsum(self._lengths, dtype=np.int64)]).astype(np.int64)
        return self._folder, offsets, self._rows_per_date

    def _check_order(self, names: Sequence[str]) -> None:
        previous = self._names[-1:] + list(names[:-1])
        for before, after in zip(previous, names[-len(previous) :] if previous else [], strict=True):
            if before.encode() >= after.encode():
                raise DataError(
                    str(self._path), "entities must come once and in byte order", found=f"{after!r} after {before!r}"
                )

    def finish(
        self,
        *,
        sources: list[dict[str, Any]],
        ingest: dict[str, Any],
        slab_bytes: int,
        recipe: str | None = None,
    ) -> dict[str, Any]:
        """Write indexes and checksums, swap the manifest, drop the segments it replaces.

        Parameters
        ----------
        recipe
            What an append needs to compute the same columns from new rows.

        Returns
        -------
        dict
            The manifest.
        """
        record = self._finish_segment(slab_bytes)
        manifest = self._manifest(record, Publication(sources=sources, ingest=ingest, recipe=recipe))
        return self._publish(manifest | {"history": [_event(record, None, record["num_rows"])]})

    def finish_compact(self, *, slab_bytes: int) -> dict[str, Any]:
        """Finish a segment that holds what all segments of the base hold; its history goes on.

        Returns
        -------
        dict
            The manifest.
        """
        base = self._base or {}
        folders = [self._path / name for name in published_segments(self._path)]
        self.set_attributes(read_entity_tables(folders, self._names))
        record = self._finish_segment(slab_bytes)
        told = Publication(sources=base["sources"], ingest=base["ingest"], recipe=base.get("recipe"))
        history = base.get("history") or [_event(record, None, record["num_rows"])]
        return self._publish(self._manifest(record, told) | {"history": history})

    def finish_append(self, told: Publication, first_places: Int64, *, slab_bytes: int) -> dict[str, Any]:
        """Finish a segment that goes on top of the base.

        Parameters
        ----------
        told
            ``sources`` are those of this append and stand after the earlier ones; ``ingest`` is kept in its history.
        first_places
            int64 [entities of the segment], rows of each entity that stay below its first row here.

        Returns
        -------
        dict
            The manifest.
        """
        base = dict(self._base or {})
        write_array(self._folder / "first_places.npy", first_places)
        record = self._finish_segment(slab_bytes)
        manifest = base | self._counts_with(base, record)
        files = {f"{self._segment}/{name}": file for name, file in record.pop("files").items()}
        manifest["segments"] = [*base["segments"], record]
        manifest["files"] = base["files"] | files
        manifest["sources"] = [*base["sources"], *told.sources]
        manifest["content_key"] = text_key(*(segment["content_key"] for segment in manifest["segments"]))
        event = _event(record, told.first_changed, told.num_new_rows) | {"ingest": told.ingest}
        manifest["history"] = [*base["history"], event]
        return self._publish(manifest)

    def _counts_with(self, base: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, int]:
        """Count rows, entities and dates of the base with the new segment on top."""
        widths = {group: self._spec.width(group) for group in GROUPS}
        new = record["num_rows"], record["num_entities"], record["num_dates"]
        counts = [*segment_counts(self._path, dict(base)), (self._folder.name, *new)]
        segments = [
            Segment(folder=self._path / name, num_rows=rows, num_entities=entities, num_dates=dates, widths=widths)
            for name, rows, entities, dates in counts
        ]
        layout = lay_out(segments, str(self._path))
        calendar = np.unique(np.concatenate([segment.calendar for segment in segments]))
        time_offsets = merged_time_offsets(layout, segments, calendar)
        return {
            "num_rows": int(layout.offsets[-1]),
            "num_entities": len(layout.names),
            "num_dates": len(calendar),
            "max_rows_per_entity": int(np.diff(layout.offsets).max(initial=0)),
            "max_rows_per_date": int(np.diff(time_offsets).max(initial=0)),
        }

    def _finish_segment(self, slab_bytes: int) -> dict[str, Any]:
        """Write the indexes of the segment; give its record with the checksums of its files."""
        for writer in self._writers.values():
            writer.close()
        offsets = np.concatenate([[0], np.cumsum(self._lengths, dtype=np.int64)]).astype(np.int64)
        time_offsets = np.zeros(len(self._calendar) + 1, np.int64)
        np.cumsum(self._rows_per_date, out=time_offsets[1:])
        write_array(self._folder / "calendar.npy", self._calendar)
        write_array(self._folder / "offsets.npy", offsets)
        write_array(self._folder / "time_offsets.npy", time_offsets)
        write_by_time(self._folder, time_offsets, slab_bytes)
        table = entity_table(self._names, self._attributes)
        pq.write_table(table, self._folder / "entities.parquet", compression="zstd")
        flush(self._folder / "entities.parquet")
        files: dict[str, dict[str, Any]] = {}
        for path in sorted(self._folder.iterdir()):
            whole, blocks = self._checksums_as_written(path.stem) or block_checksums(path)
            files[path.name] = {"bytes": path.stat().st_size, "xxh3_64": whole, "blocks": blocks}
        if self._base is None:
            self._segment = same_segment(self._path, files) or self._segment
        return {
            "name": self._segment,
            "num_rows": sum(self._lengths),
            "num_entities": len(self._names),
            "num_dates": len(self._calendar),
            "content_key": self._content_key(files),
            "files": files,
        }

    def _checksums_as_written(self, name: str) -> tuple[str, list[str]] | None:
        writer = self._writers.get(name)
        return None if writer is None or self._is_filled_in else writer.checksums

    def _content_key(self, files: Mapping[str, Mapping[str, Any]]) -> str:
        sums = {name: record["xxh3_64"] for name, record in files.items()}
        told = [] if self._attributes is None else [repr(entity_table(self._names, self._attributes).to_pydict())]
        sums["entities.parquet"] = text_key(
            *self._names, *told
        )  # Parquet bytes change with the release that writes them
        return text_key(
            repr([asdict(column) for column in self._spec.columns]),
            repr([asdict(target) for target in self._spec.targets]),
            self._spec.calendar_kind,
            *(f"{name}:{checksum}" for name, checksum in sums.items()),
        )

    def _manifest(self, record: Mapping[str, Any], told: Publication) -> dict[str, Any]:
        """Describe a store of this one segment."""
        counts = {name: record[name] for name in ("num_rows", "num_entities", "num_dates")}
        segment = {name: value for name, value in record.items() if name != "files"}
        return {
            "format": PANEL_FORMAT,
            "segments": [segment],
            **counts,
            "max_rows_per_entity": max(self._lengths, default=0),
            "max_rows_per_date": int(self._rows_per_date.max(initial=0)),
            "calendar": {"kind": self._spec.calendar_kind},
            "columns": [asdict(column) for column in self._spec.columns],
            "targets": [asdict(target) for target in self._spec.targets],
            "files": {f"{self._segment}/{name}": file for name, file in record["files"].items()},
            "sources": told.sources,
            "ingest": told.ingest,
            "content_key": record["content_key"],
            **({"recipe": told.recipe} if told.recipe is not None else {}),
        }

    def _publish(self, manifest: dict[str, Any]) -> dict[str, Any]:
        final = self._path / self._segment
        text = json_text(manifest)  # before the rename: a value JSON cannot hold is found early
        if final.exists():  # the same content is published already: a kill came after the swap
            shutil.rmtree(self._folder)
        else:
            self._folder.rename(final)
        flush(self._path)
        write_text(self._path / "panel.json", text)
        remove_segments(self._path, keep=[segment["name"] for segment in manifest["segments"]])
        return manifest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        if self._is_settled and kind is not None and not ends_for_good(kind):
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        if kind is None:
            return
        if self._segment not in published_segments(self._path):
            shutil.rmtree(self._path / self._segment, ignore_errors=True)
        if not any(self._path.iterdir()):
            self._path.rmdir()


def _event(record: Mapping[str, Any], first_changed: int | None, num_new_rows: int) -> dict[str, Any]:
    return {"key": record["content_key"], "first_changed": first_changed, "num_new_rows": num_new_rows}
