"""A bounded look at the sources before the real pass: entities, time texts and row counts from head, middle, tail."""

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seawall.errors import DataError
from seawall.tables.read import NULL_TEXTS

PIECE_BYTES = 256 * 1024
PARQUET_SAMPLE_ROWS = 16_384
MAX_FILES = 16
"""Files looked into; the sizes of all others are still counted."""


@dataclass(slots=True)
class TableSample:
    """What the sample saw."""

    entities: Counter[str] = field(default_factory=Counter)
    time_texts: dict[str, None] = field(default_factory=dict)
    num_rows: int = 0
    sampled_bytes: int = 0
    source_bytes: int = 0
    counted_rows: int = 0

    @property
    def estimated_rows(self) -> int:
        """Rows of all sources: counted where files say it, else by bytes per sampled row, with 5 % on top."""
        if not self.sampled_bytes:
            return self.counted_rows
        return self.counted_rows + int(1.05 * self.num_rows * self.source_bytes / self.sampled_bytes)


def take_sample(files: Sequence[Path], entity: str, time: str) -> TableSample:
    """Read at most three pieces of 256 KiB of at most 16 files.

    Raises
    ------
    DataError
        Where a piece cannot be parsed or there is no row at all.
    """
    sample = TableSample()
    step = max(1, len(files) // MAX_FILES)
    for number, file in enumerate(files):
        look = number % step == 0
        if file.name.endswith(".parquet"):
            _sample_parquet(file, entity, time, sample, look=look)
        else:
            _sample_csv(file, entity, time, sample, look=look)
    if not sample.num_rows:
        raise DataError(f"source {files[0]}", "no rows", found="a header only", do="Check that the file is complete.")
    return sample


def _sample_csv(file: Path, entity: str, time: str, sample: TableSample, *, look: bool) -> None:
    """Count the bytes of one file, and look into up to three pieces of it."""
    is_gzip = file.name.endswith(".gz")
    size_bytes = file.stat().st_size
    if not look:
        sample.source_bytes += size_bytes * (4 if is_gzip else 1)  # gzip shrinks number tables about fourfold
        return
    pieces = list(_gzip_head(file) if is_gzip else _plain_pieces(file))
    sample.source_bytes += int(size_bytes * pieces[0][1]) if pieces else 0
    for text, _ in pieces:
        table = _parse_piece(file, text, entity, time)
        sample.sampled_bytes += len(text)
        _count(table, entity, time, sample)


def _plain_pieces(file: Path) -> Iterator[tuple[bytes, float]]:
    size_bytes = file.stat().st_size
    with file.open("rb") as stream:
        header = stream.readline()
        places = (
            [len(header)] if size_bytes <= 4 * PIECE_BYTES else [len(header), size_bytes // 2, size_bytes - PIECE_BYTES]
        )
        for place in places:
            stream.seek(place)
            piece = stream.read(PIECE_BYTES)
            if place != len(header):
                piece = piece[piece.find(b"\n") + 1 :]
            yield header + _whole_lines(piece, complete=place + PIECE_BYTES >= size_bytes), 1.0


def _gzip_head(file: Path) -> Iterator[tuple[bytes, float]]:
    try:
        with file.open("rb") as raw, gzip.GzipFile(fileobj=raw) as stream:
            piece = stream.read(4 * PIECE_BYTES)
            ratio = len(piece) / max(1, raw.tell())
            complete = not stream.read(1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"source {file}", "not a complete gzip file", found=str(error)) from error
    yield _whole_lines(piece, complete=complete), max(1.0, ratio)


def _whole_lines(piece: bytes, *, complete: bool) -> bytes:
    return piece if complete else piece[: piece.rfind(b"\n") + 1]


def _parse_piece(file: Path, text: bytes, entity: str, time: str) -> pa.Table:
    try:
        return pacsv.read_csv(
            io.BytesIO(text),
            read_options=pacsv.ReadOptions(use_threads=False),
            parse_options=pacsv.ParseOptions(invalid_row_handler=lambda row: "skip"),
            convert_options=pacsv.ConvertOptions(
                include_columns=[entity, time],
                column_types={entity: pa.string(), time: pa.string()},
                null_values=NULL_TEXTS,
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowException as error:
        raise DataError(f"source {file}", "cannot be parsed", found=str(error).splitlines()[0]) from error


def _sample_parquet(file: Path, entity: str, time: str, sample: TableSample, *, look: bool) -> None:
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        sample.counted_rows += parquet.metadata.num_rows
        groups = sorted({0, parquet.num_row_groups // 2, parquet.num_row_groups - 1}) if look else []
        for group in groups:
            if group < 0 or group >= parquet.num_row_groups:
                continue
            batches = parquet.iter_batches(
                PARQUET_SAMPLE_ROWS, row_groups=[group], columns=[entity, time], use_threads=False
            )
            first = next(iter(batches), None)
            if first is not None:
                _count(pa.Table.from_batches([first]), entity, time, sample)


def _count(table: pa.Table, entity: str, time: str, sample: TableSample) -> None:
    sample.num_rows += table.num_rows
    names = table[entity].cast(pa.string()).drop_null()
    for item in names.value_counts().to_pylist():
        sample.entities[item["values"]] += item["counts"]
    column = table[time].drop_null()
    distinct = column.unique()
    if pa.types.is_dictionary(distinct.type):
        distinct = distinct.cast(pa.string())
    if pa.types.is_string(distinct.type) or pa.types.is_large_string(distinct.type):
        sample.time_texts.update(dict.fromkeys(distinct.to_pylist()))
