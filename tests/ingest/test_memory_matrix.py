"""Claims of ingest against what a child really holds: sizes, widths and formats; one long entity, and very many."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from seawall.arrays import AnyArray
from seawall.stores.panel import Panel
from seawall.units import MIB
from tests.ingest.test_memory import measured

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="private bytes are read from /proc"),
]


def write_gzip(table: pa.Table, path: Path) -> None:
    with pa.output_stream(path, compression="gzip") as stream:
        pacsv.write_csv(table, stream)


WRITE: dict[str, Callable[[pa.Table, Path], Any]] = {
    "csv": pacsv.write_csv,
    "csv.gz": write_gzip,
    "parquet": lambda table, path: pq.write_table(table, path, row_group_size=50_000),
    "feather": lambda table, path: feather.write_feather(table, path, chunksize=20_000),
}


def table_of(entity: AnyArray, place: AnyArray, num_columns: int, unit: Literal["D", "s"] = "D") -> pa.Table:
    """Rows of numbers by (entity, time), as wide as wanted; times are days or seconds apart."""
    pool = np.random.default_rng(0).standard_normal(len(entity) + num_columns).round(4)
    numbers = {f"x{column}": pool[column : column + len(entity)] for column in range(num_columns)}
    names = pa.DictionaryArray.from_arrays(
        pa.array(entity.astype(np.int32)), pa.array([f"E{number:07d}" for number in range(int(entity.max()) + 1)])
    )
    return pa.table({"symbol": names.cast(pa.string()), "date": np.datetime64("1990-01-01", unit) + place, **numbers})


def config_of(source: Path, num_columns: int, **changes: object) -> dict[str, Any]:
    columns = [f"x{place}" for place in range(num_columns)]
    features = {name: name for name in columns}
    return {
        "sources": [str(source)],
        "entity": "symbol",
        "time": "date",
        "values": columns,
        "features": features,
        **changes,
    }


def hold(config: dict[str, Any], output: Path, budget_bytes: int, label: str) -> None:
    peak, projected = measured(config, output, budget_bytes)
    print(f"  {label:<44} measured {peak / MIB:6.1f} MiB, projected {projected / MIB:6.1f} MiB")
    assert peak <= projected, f"{label}: {peak / MIB:.0f} of {projected / MIB:.0f} MiB"
    assert projected <= 1.5 * peak + 32 * MIB, f"{label}: {projected / MIB:.0f} claimed for {peak / MIB:.0f} MiB"


@pytest.mark.parametrize("suffix", list(WRITE))
@pytest.mark.parametrize(
    ("num_rows", "num_columns"), [(20_000, 4), (600_000, 4), (30_000, 60), (200_000, 60), (8_000, 600)]
)
def test_claims_are_two_sided_over_rows_columns_and_formats(
    tmp_path: Path, suffix: str, num_rows: int, num_columns: int
) -> None:
    row = np.arange(num_rows)
    source = tmp_path / f"m.{suffix}"
    WRITE[suffix](table_of(row % 500, row // 500, num_columns), source)
    sql = {
        "features": {f"x{place}": f"x{place}" for place in range(num_columns)}
        | {"m": "avg(x0) OVER (entity ROWS 9 PRECEDING)"}
    }
    least = 416 * MIB if num_columns == 600 and suffix in ("parquet", "feather") else 256 * MIB  # pages of each column
    for label, changes in (("plain", {}), ("with a window", sql)):
        for budget_bytes in (least, 1024 * MIB):
            name = f"{suffix} {num_rows:,} x {num_columns} {label}, {budget_bytes // MIB} MiB"
            hold(config_of(source, num_columns, **changes), tmp_path / "m.panel", budget_bytes, name)


def test_sixty_percent_of_the_rows_in_one_entity_stay_under_the_plan(tmp_path: Path) -> None:
    row = np.random.default_rng(1).permutation(1_000_000)
    entity = np.where(row < 600_000, 0, 1 + row % 400)
    day = np.where(row < 600_000, row, row // 400)
    WRITE["csv"](table_of(entity, day, 12, "s"), tmp_path / "m.csv")
    window = {f"x{place}": f"x{place}" for place in range(12)} | {"m": "avg(x0) OVER (entity ROWS 99 PRECEDING)"}
    for budget_bytes in (288 * MIB, 1024 * MIB):
        name = f"60 % in one entity, {budget_bytes // MIB} MiB"
        hold(config_of(tmp_path / "m.csv", 12, features=window), tmp_path / "m.panel", budget_bytes, name)
    shape = Panel(tmp_path / "m.panel").shape
    assert (shape.num_rows, shape.num_entities, shape.max_rows_per_entity) == (1_000_000, 401, 600_000)


def test_two_hundred_thousand_entities_stay_under_the_plan(tmp_path: Path) -> None:
    row = np.arange(1_200_000)
    WRITE["csv"](table_of(row % 200_000, row // 200_000, 5), tmp_path / "m.csv")
    for budget_bytes in (320 * MIB, 1024 * MIB):
        name = f"200,000 entities, {budget_bytes // MIB} MiB"
        hold(config_of(tmp_path / "m.csv", 5), tmp_path / "m.panel", budget_bytes, name)
    panel = Panel(tmp_path / "m.panel")
    assert (panel.shape.num_rows, panel.shape.num_entities) == (1_200_000, 200_000)
    assert (np.diff(panel.offsets) == 6).all()
