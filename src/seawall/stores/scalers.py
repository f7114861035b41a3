"""Z-score scalers: fitted in one streaming pass over train rows, kept beside the model they belong to."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.errors import DataError, FormatError
from seawall.stores.atomic import write_json

SCALER_FORMAT = "seawall-scaler/1"

CHUNK_BYTES = 1024 * 1024
"""Rows are taken together until their float64 copy is this large. Fixed: it decides how sums are rounded."""


@dataclass(frozen=True, slots=True)
class ColumnScale:
    """Mean and spread of one column over the train rows. ``std`` is 1 where all values are alike."""

    name: str
    mean: float
    std: float
    num_values: int
    num_missing: int
    num_infinite: int


@dataclass(frozen=True, slots=True)
class Scaler:
    """What a fold's model was taught to see: z-scores of features and of targets, and where they are clipped."""

    features: tuple[ColumnScale, ...]
    target: ColumnScale
    feature_clip_sigmas: float
    target_clip_sigmas: float | None
    more_targets: tuple[ColumnScale, ...] = ()
    """Of a model of several targets, all but the first."""

    @property
    def targets(self) -> tuple[ColumnScale, ...]:
        """Scales of all targets, in order of the model's outputs."""
        return (self.target, *self.more_targets)

    def record(self) -> dict[str, Any]:
        """Give the scaler as plain JSON values; floats are kept to the last bit."""
        record = {"format": SCALER_FORMAT, **asdict(self)}
        if not self.more_targets:
            del record["more_targets"]
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Scaler":
        """Read what :meth:`record` gave; KeyError, TypeError or ValueError where it did not."""
        return cls(
            tuple(ColumnScale(**column) for column in record["features"]),
            ColumnScale(**record["target"]),
            float(record["feature_clip_sigmas"]),
            None if record["target_clip_sigmas"] is None else float(record["target_clip_sigmas"]),
            tuple(ColumnScale(**column) for column in record.get("more_targets", [])),
        )

    def save(self, path: Path) -> None:
        """Write ``scaler.json`` atomically."""
        write_json(path, self.record())


def load_scaler(path: Path) -> Scaler:
    """Read ``scaler.json``.

    Raises
    ------
    FormatError
        Where it is missing or not a scaler of this version.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != SCALER_FORMAT:
            raise FormatError(str(path), "unknown format", found=repr(record["format"]), allowed=SCALER_FORMAT)
        return Scaler.from_record(record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(str(path), "not a scaler", found=str(error), do="Train the fold again.") from error


def fit_columns(
    values: AnyArray, row_blocks: Iterable[Int64], columns: Sequence[int], names: Sequence[str]
) -> tuple[ColumnScale, ...]:
    """Fit mean and population standard deviation of columns over some rows, in float64.

    NaN is left out and counted, and so are infinite values: neither measures anything. The result depends on the chosen
    rows alone, to the last bit: rows are regrouped into chunks of a fixed size, and chunks are merged by the formula of
    Chan, Golub and LeVeque (1983).

    Parameters
    ----------
    values
        [N, F], mapped.
    row_blocks
        Row ids in ascending order, in blocks of any size.

    Returns
    -------
    tuple of ColumnScale
        Memory is four chunks of ``CHUNK_BYTES``, whatever the number of rows.

    Raises
    ------
    DataError
        Naming the first column without a single finite value.
    """
    moments = _Moments(len(columns))
    chosen = list(columns)
    for rows in _regrouped(row_blocks, max(1, CHUNK_BYTES // (8 * max(1, len(columns))))):
        moments.update(np.asarray(values[rows])[:, chosen].astype(np.float64))
    for name, count in zip(names, moments.count.tolist(), strict=True):
        if count == 0:
            what = f"column {name!r} has no value in the train rows"
            raise DataError(
                "scaler", what, found=f"{moments.num_rows:,} rows", do="Leave the column out, or train on later dates."
            )
    return tuple(moments.column(number, name) for number, name in enumerate(names))


class _Moments:
    """Count, mean and centred sum of squares per column."""

    def __init__(self, num_columns: int) -> None:
        self.num_rows = 0
        self.count = np.zeros(num_columns, np.int64)
        self.num_missing = np.zeros(num_columns, np.int64)
        self.mean: Float64 = np.zeros(num_columns)
        self.squares: Float64 = np.zeros(num_columns)

    def update(self, block: Float64) -> None:
        finite = np.isfinite(block)
        self.num_rows += len(block)
        self.num_missing += np.isnan(block).sum(axis=0)
        count = finite.sum(axis=0)
        block[~finite] = 0.0
        mean = block.sum(axis=0) / np.maximum(count, 1)
        block -= mean
        block[~finite] = 0.0
        squares = np.square(block, out=block).sum(axis=0)
        total = np.maximum(self.count + count, 1)
        shift = np.where(count > 0, mean - self.mean, 0.0)
        self.mean += shift * count / total
        self.squares += squares + shift * shift * self.count * count / total
        self.count += count

    def column(self, number: int, name: str) -> ColumnScale:
        count = int(self.count[number])
        spread = float(np.sqrt(self.squares[number] / count))
        num_missing = int(self.num_missing[number])
        num_infinite = self.num_rows - count - num_missing
        return ColumnScale(name, float(self.mean[number]), spread or 1.0, count, num_missing, num_infinite)


def _regrouped(blocks: Iterable[Int64], size: int) -> Iterator[Int64]:
    """Cut a stream of blocks into chunks of exactly ``size`` (the last may be short)."""
    held = np.empty(0, np.int64)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= size:
            yield held[:size]
            held = held[size:]
    if len(held):
        yield held
