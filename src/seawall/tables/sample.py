"""A bounded look at the sources before the real pass: entities, time texts and row counts from head, middle, tail."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seawall.errors import DataError
from seawall.tables import arrow_file, qlib_bins
from seawall.tables.layout import PLAIN, Layout
from seawall.tables.numbers import NULL_TEXTS
from seawall.tables.parts import Part
from seawall.tables.read import STREAM_BYTES, UNREADABLE, RawBlock, TypedReadError, unreadable
from seawall.tables.streams import is_plain, open_text, packed_bytes
from seawall.tables.table import Table, open_tables
from seawall.tables.time_span import TimeSpan

PIECE_BYTES = 256 * 1024
USUAL_PAGE_BYTES = 1024 * 1024
"""Writers begin a new page of a column after this."""

PARQUET_SAMPLE_ROWS = 16_384
MAX_FILES = 16
"""Files looked into; the sizes of all others are still counted."""

USUAL_RATIO = 4
"""Bytes of text in one of a compressed table of numbers, where nobody looked."""

MAX_INTEGERS = 10_000
"""Distinct integers kept of typed time columns."""


@dataclass(slots=True)
class TableSample:
    """What the sample saw."""

    entities: Counter[str] = field(default_factory=Counter)
    time_texts: dict[str, None] = field(default_factory=dict)
    time_integers: dict[str, None] = field(default_factory=dict)
    num_rows: int = 0
    sampled_bytes: int = 0
    source_bytes: int = 0
    counted_rows: int = 0
    page_bytes: int = 0
    """Bytes of a page of one column as a Parquet reader holds them, packed and unpacked; the largest file counts."""

    span: TimeSpan = field(default_factory=TimeSpan)
    """Of Parquet sources: bounds how many times there are."""

    @property
    def estimated_rows(self) -> int:
        """Rows of all sources: counted where files say it, else by bytes per sampled row, with 5 % on top."""
        if not self.sampled_bytes:
            return self.counted_rows
        return self.counted_rows + int(1.05 * self.num_rows * self.source_bytes / self.sampled_bytes)


def take_sample(files: Sequence[Path], entity: str, time: str, layout: Layout = PLAIN) -> TableSample:
    """Read at most three pieces of 256 KiB of at most 16 files.

    Raises
    ------
    DataError
        Where a piece cannot be parsed or there is no row at all.
    """
    return sample_tables(open_tables(files, layout, entity, time))


def sample_tables(tables: Sequence[Table]) -> TableSample:
    """Take a sample of opened tables; see :func:`take_sample`."""
    sample = TableSample()
    step = max(1, len(tables) // MAX_FILES)
    for number, table in enumerate(tables):
        look = number % step == 0
        if table.part.kind == "csv":
            _sample_csv(table, sample, look=look)
        elif table.part.kind == "json":
            _sample_json(table, sample, look=look)
        else:
            _sample_typed(table, sample, look=look)
    if not sample.num_rows:
        label = tables[0].part.label
        raise DataError(f"source {label}", "no rows", found="a header only", do="Check that the file is complete.")
    return sample


def _sample_csv(table: Table, sample: TableSample, *, look: bool) -> None:
    """Count the bytes of one file, and look into up to three pieces of it."""
    part, size_bytes = table.part, packed_bytes(table.part)
    if not look:
        sample.source_bytes += size_bytes * (1 if is_plain(part) else USUAL_RATIO)
        return
    try:
        pieces = list(_plain_pieces(table) if is_plain(part) else _packed_head(table))
    except UNREADABLE as error:
        raise unreadable(part, error) from error
    sample.source_bytes += int(size_bytes * pieces[0][1]) if pieces else 0
    for text, _ in pieces:
        rows = _parse_piece(table, text)
        sample.sampled_bytes += len(text)
        _count_table(rows, table, sample)


def _plain_pieces(table: Table) -> Iterator[tuple[bytes, float]]:
    size_bytes = table.part.path.stat().st_size
    with table.part.path.open("rb") as stream:
        header = b"" if table.layout.columns else stream.readline()
        places = (
            [len(header)] if size_bytes <= 4 * PIECE_BYTES else [len(header), size_bytes // 2, size_bytes - PIECE_BYTES]
        )
        for place in places:
            stream.seek(place)
            piece = stream.read(PIECE_BYTES)
            if place != len(header):
                piece = piece[piece.find(b"\n") + 1 :]
            yield header + _whole_lines(piece, complete=place + len(piece) >= size_bytes), 1.0


def _packed_head(table: Table) -> Iterator[tuple[bytes, float]]:
    """Read the first MiB, and how many bytes of it one of the file gives."""
    part = table.part
    if part.member:
        with open_text(part, table.layout) as stream:
            piece = stream.read(4 * PIECE_BYTES) or b""
            complete = not stream.read(1)
        yield _whole_lines(piece, complete=complete), _zip_ratio(part)
        return
    with part.path.open("rb") as raw, pa.input_stream(raw, compression=part.compression, buffer_size=None) as unpacked:
        piece = unpacked.read(4 * PIECE_BYTES)
        ratio = len(piece) / max(1, raw.tell())
        complete = not unpacked.read(1)
    yield _whole_lines(piece, complete=complete), max(1.0, ratio)


def _zip_ratio(part: Part) -> float:
    import zipfile

    with zipfile.ZipFile(part.path) as archive:
        info = archive.getinfo(part.member)
        return max(1.0, info.file_size / max(1, info.compress_size))


def _whole_lines(piece: bytes, *, complete: bool) -> bytes:
    return piece if complete else piece[: piece.rfind(b"\n") + 1]


def _parse_piece(table: Table, text: bytes) -> pa.Table:
    if not text:
        return pa.table({name: pa.array([], pa.string()) for name in table.key_columns})
    layout = table.layout
    try:
        return pacsv.read_csv(
            io.BytesIO(text),
            read_options=pacsv.ReadOptions(use_threads=False, column_names=list(layout.columns) or None),
            parse_options=pacsv.ParseOptions(delimiter=layout.delimiter or ",", invalid_row_handler=lambda row: "skip"),
            convert_options=pacsv.ConvertOptions(
                include_columns=table.key_columns,
                column_types=dict.fromkeys(table.key_columns, pa.string()),
                null_values=NULL_TEXTS,
                strings_can_be_null=True,
            ),
        )
    except UNREADABLE as error:
        raise unreadable(table.part, error) from error


def _sample_json(table: Table, sample: TableSample, *, look: bool) -> None:
    size_bytes = packed_bytes(table.part) * (USUAL_RATIO if table.part.compression else 1)
    sample.source_bytes += size_bytes
    if look:
        block = _first_block(table)
        if block is not None:
            _count_block(block, sample)
            per_row = max(1, size_bytes // max(1, len(block.line))) if len(block.line) < 1000 else 80
            sample.sampled_bytes += per_row * len(block.line)


def _sample_typed(table: Table, sample: TableSample, *, look: bool) -> None:
    kind = table.part.kind
    try:
        if kind == "parquet":
            _sample_parquet(table, sample, look=look)
            return
        cells = len(table.wide_entities) if table.value_of_wide is not None else 1
        rows = qlib_bins.num_rows(table.part) if kind == "qlib" else arrow_file.num_rows(table.part)
        sample.counted_rows += rows * cells
    except UNREADABLE as error:
        raise unreadable(table.part, error) from error
    if look:
        block = _first_block(table)
        if block is not None:
            _count_block(block, sample)


def _sample_parquet(table: Table, sample: TableSample, *, look: bool) -> None:
    with pq.ParquetFile(table.part.path, pre_buffer=False, buffer_size=STREAM_BYTES) as parquet:
        sample.page_bytes = max(sample.page_bytes, _page_bytes(parquet.metadata))
        sample.span.see_footer(parquet.metadata, table.time)
        cells = len(table.wide_entities) if table.value_of_wide is not None else 1
        sample.counted_rows += parquet.metadata.num_rows * cells
        groups = sorted({0, parquet.num_row_groups // 2, parquet.num_row_groups - 1}) if look else []
        for group in groups:
            if group < 0 or group >= parquet.num_row_groups:
                continue
            batches = parquet.iter_batches(
                PARQUET_SAMPLE_ROWS, row_groups=[group], columns=table.key_columns, use_threads=False
            )
            first = next(iter(batches), None)
            if first is not None:
                sample.span.see_rows(pa.chunked_array([first.column(table.time)]))
                _count_table(pa.Table.from_batches([first]), table, sample)


def _page_bytes(metadata: pq.FileMetaData) -> int:
    """Average over the columns of the first row group; a page is as large as its column, or what writers cut it to."""
    if not metadata.num_row_groups:
        return 0
    group = metadata.row_group(0)
    chunks = [group.column(place) for place in range(group.num_columns)]
    unpacked = sum(min(chunk.total_uncompressed_size, USUAL_PAGE_BYTES) for chunk in chunks)
    squeezed = [chunk for chunk in chunks if chunk.compression != "UNCOMPRESSED"]
    packed = sum(min(chunk.total_compressed_size, USUAL_PAGE_BYTES) for chunk in squeezed)
    return int(unpacked + packed) // len(chunks)


def _first_block(table: Table) -> RawBlock | None:
    """Read the keys of the first block; the values of a wide table are read too, as they say which rows there are."""
    try:
        return next(iter(table.blocks([], None)), None)
    except TypedReadError:
        return next(iter(table.checked([], None, [])), None)


def _count_block(block: RawBlock, sample: TableSample) -> None:
    sample.num_rows += len(block.line)
    _count_names(pa.chunked_array([block.entity]), sample)
    _note_times(pa.chunked_array([block.time]), sample)


def _count_table(rows: pa.Table, table: Table, sample: TableSample) -> None:
    """Count rows of key columns; a key that is no column counts as often as there are rows."""
    _note_times(rows[table.time], sample)
    if table.value_of_wide is not None:
        names = table.wide_entities
        sample.num_rows += rows.num_rows * len(names)
        sample.entities.update(dict.fromkeys(names, rows.num_rows))
        return
    sample.num_rows += rows.num_rows
    if table.constant_entity is not None:
        sample.entities[table.constant_entity] += rows.num_rows
    else:
        _count_names(rows[table.entity], sample)


def _count_names(column: pa.ChunkedArray, sample: TableSample) -> None:
    for item in column.cast(pa.string()).drop_null().value_counts().to_pylist():
        sample.entities[item["values"]] += item["counts"]


def _note_times(column: pa.ChunkedArray, sample: TableSample) -> None:
    distinct = column.drop_null().unique()
    if pa.types.is_dictionary(distinct.type):
        distinct = distinct.cast(pa.string())
    if pa.types.is_string(distinct.type) or pa.types.is_large_string(distinct.type):
        sample.time_texts.update(dict.fromkeys(distinct.to_pylist()))
    elif pa.types.is_integer(distinct.type):
        places = np.linspace(0, len(distinct) - 1, min(len(distinct), MAX_INTEGERS)).astype(np.int64)
        kept = distinct.take(pa.array(places)).cast(pa.string()).to_pylist()
        sample.time_integers.update(dict.fromkeys(kept))
