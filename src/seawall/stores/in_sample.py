"""How a fold's model scores on what it learnt from: IC and Rank IC of each date of train, and moments of all rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Float64
from seawall.errors import FormatError
from seawall.stores.atomic import replacing

IN_SAMPLE_FORMAT = "seawall-in-sample/1"


@dataclass(frozen=True, slots=True)
class InSample:
    """Numbers of one target over the train segment of one fold."""

    target: str
    ic: Float64
    """float64 [T], NaN where undefined."""
    rank_ic: Float64
    moments: Mapping[str, Any]
    """State of the moments of predictions and targets over all train rows (seawall.metrics)."""


def in_sample_file(predictions: Path, fold: int) -> Path:
    """Give the place of a fold's file, beside the predictions."""
    return predictions / "in_sample" / f"fold_{fold:02d}.parquet"


def write_in_sample(path: Path, key: str, targets: Sequence[InSample]) -> None:
    """Write the numbers of all targets (FORMAT.md section 3), atomically."""
    head = {"format": IN_SAMPLE_FORMAT, "key": key, "targets": {one.target: one.moments for one in targets}}
    columns: dict[str, Any] = {}
    for number, one in enumerate(targets):
        columns |= {f"ic_{number}": one.ic, f"rank_ic_{number}": one.rank_ic}
    table = pa.table(columns).replace_schema_metadata({"seawall": json.dumps(head)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", use_dictionary=False)


def in_sample_key(path: Path) -> str | None:
    """Read what a file was computed from; None where there is none that can be read."""
    try:
        return str(_head(pq.read_schema(path))["key"])
    except (OSError, pa.ArrowException, ValueError, LookupError):
        return None


def read_in_sample(path: Path, target: str) -> InSample:
    """Read the numbers of one target.

    Raises
    ------
    FormatError
        Where the file is missing or damaged.
    """
    try:
        table = pq.ParquetFile(path).read()
        moments = _head(table.schema)["targets"]
        number = [*moments].index(target)
        ic, rank_ic = (table[f"{name}_{number}"].to_numpy() for name in ("ic", "rank_ic"))
        return InSample(target, ic, rank_ic, moments[target])
    except (OSError, pa.ArrowException, ValueError, LookupError) as error:
        do = "Predict again: seawall run CONFIG --from predict."
        raise FormatError(str(path), "cannot be read", found=str(error).splitlines()[0], do=do) from error


def _head(schema: pa.Schema) -> dict[str, Any]:
    head: dict[str, Any] = json.loads((schema.metadata or {})[b"seawall"])
    if head["format"] != IN_SAMPLE_FORMAT:
        raise ValueError(f"format {head['format']}")
    return head
