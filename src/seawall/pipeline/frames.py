"""Tables in memory as sources: written to a temporary Arrow file batch by batch, which a child then reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
"""Rows converted at once: what this costs beside the frame itself."""


def is_frame(value: object) -> bool:
    """Tell whether a source is a table in memory: pandas, Polars, a mapping, or anything with the Arrow interface."""
    return _library(value) in ("pandas", "polars") or isinstance(value, Mapping) or hasattr(value, "__arrow_c_stream__")


def _library(value: object) -> str:
    return type(value).__module__.partition(".")[0]


def write_frame(frame: object, path: Path) -> None:
    """Write a table in memory as an Arrow file, 65,536 rows at a time.

    The levels of a pandas index become columns by their names, an unnamed range is left out. Memory beside the frame
    is one batch.

    Raises
    ------
    ConfigError
        Where there is no column, or two have one name.
    DataError
        Where a column holds values of several types.
    """
    import pyarrow as pa

    try:
        batches = frame_batches(frame)
        first = next(batches, None)
        if first is None or not first.num_rows:
            raise DataError("source", "the frame has no rows", do="Check how it was made.")
        _check_names(first.schema.names)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, first.schema) as writer:
            writer.write_batch(first)
            for batch in batches:
                writer.write_batch(batch if batch.schema == first.schema else batch.cast(first.schema))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        do = "Give each column one type: text, numbers or times."
        raise DataError(
            "source", "a column of the frame has no single type", found=_first_line(error), do=do
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]


def _check_names(names: list[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice or not names:
        raise ConfigError("source", "the columns of the frame need names, each once", found=repr(twice[:1]))


def frame_batches(frame: Any) -> Iterator["pa.RecordBatch"]:  # noqa: ANN401 - whatever library it is from
    """Give a table in memory 65,536 rows at a time; a stream can be read once."""
    import pyarrow as pa

    if _library(frame) == "pandas":
        yield from _from_pandas(frame)
    elif _library(frame) == "polars" and hasattr(frame, "iter_slices"):
        for piece in frame.iter_slices(BATCH_ROWS):
            yield from piece.to_arrow().to_batches()
    elif isinstance(frame, Mapping):
        yield from pa.table(dict(frame)).to_batches(BATCH_ROWS)
    elif isinstance(frame, pa.Table):
        yield from frame.to_batches(BATCH_ROWS)
    else:
        yield from pa.RecordBatchReader.from_stream(frame)


def _from_pandas(frame: Any) -> Iterator["pa.RecordBatch"]:  # noqa: ANN401 - a pandas frame; pandas is not imported here
    import pyarrow as pa

    is_plain_range = type(frame.index).__name__ == "RangeIndex" and frame.index.name is None
    schema = None
    for start in range(0, len(frame), BATCH_ROWS):
        piece = frame.iloc[start : start + BATCH_ROWS].reset_index(drop=is_plain_range)
        _check_names([str(name) for name in piece.columns])
        batch = pa.RecordBatch.from_pandas(piece, schema=schema, preserve_index=False)
        schema = schema or batch.schema
        yield batch
