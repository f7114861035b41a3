"""One entity longer than a bucket: computed in pieces, equal to the whole bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seawall.errors import BudgetError
from seawall.ingest import memory, pieces
from seawall.ingest.pieces import rows_around
from seawall.ingest.reach import features_back
from seawall.ingest.run import ingest
from seawall.stores.panel import Panel
from seawall.stores.segments import ARRAYS
from seawall.stores.shape import PanelShape
from seawall.units import MIB
from tests.ingest.world import ingested, settings

FEATURES = {
    "ret_1": "ret",
    "mean_5": "avg(adj_close) OVER (entity ROWS 4 PRECEDING)",
    "std_50": "stddev_samp(ret) OVER (entity ROWS 49 PRECEDING)",
    "far": "lag(volume, 300) OVER entity",
    "volume": "volume",
    "close": "close",
}


def long_market(path: Path, *, num_rows: int = 20_000) -> Path:
    """One entity of nearly all rows, with gaps, breaks of scale and a jump, and two short ones; rows in no order."""
    rng = np.random.default_rng(0)
    frames = []
    for name, count in (("A", 40), ("LONG", num_rows), ("Z", 40)):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
        for place in (count // 3, count // 3 + 4096, 2 * count // 3):
            close[place:] *= 3.0 if name == "LONG" else 1.0
        step = np.sort(rng.choice(count + count // 10, count, replace=False))
        prices = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
        frames.append(pd.DataFrame({"symbol": name, "date": step, **prices, "volume": rng.integers(0, 9, count)}))
    pd.concat(frames).sample(frac=1, random_state=1).to_csv(path, index=False)
    return path


def arrays_of(panel: Panel) -> dict[str, Any]:
    return {name: np.array(getattr(panel, name)) for name in ARRAYS}


CHANGES: dict[str, Any] = {
    "features": FEATURES,
    "universe": "count(*) OVER (entity ROWS 9 PRECEDING) = 10",
    "adjustment": {"detect": True, "declared": [{"entity": "LONG", "time": "9000", "factor": 0.5}]},
}


ROLES: dict[str, Any] = CHANGES | {
    "adjustment": {"column": "low", "column_is": "multiplier"},
    "weights": "open",
    "splits": "volume",
    "dividends": "low",
}
"""A factor that moves on every row, and roles beside it."""


SETS: dict[str, Any] = CHANGES | {
    "feature_sets": [{"name": "bars_basic", "prefix": "b_"}, {"name": "alpha158", "align": "rows", "vwap": "open"}],
    "targets": {
        "scaled": {"forward_return": {"column": "close", "horizon_periods": 3}, "volatility_periods": 30},
        "brought": {"column": {"name": "volume", "horizon_periods": 2}},
        "sql": {"expression": {"sql": "lead(adj_close, 5) OVER entity / adj_close - 1", "horizon_periods": 5}},
    },
}
DATED: dict[str, Any] = SETS | {"feature_sets": [{"name": "alpha158", "vwap": "open"}]}
"""Windows that count dates of the calendar, on which this entity has gaps."""


@pytest.mark.parametrize(
    ("bucket_rows", "changes"),
    [(700, CHANGES), (5_000, CHANGES), (900, ROLES), (600, SETS), (600, DATED)],
)
def test_an_entity_computed_in_pieces_equals_the_whole_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket_rows: int, changes: dict[str, Any]
) -> None:
    source = long_market(tmp_path / "m.csv")
    whole, report = ingested(tmp_path / "whole.panel", source, **changes)
    record_bytes = memory.bucket_sizes(settings(source, **changes)).record_bytes
    monkeypatch.setattr(memory, "BUCKET_BYTES", bucket_rows * record_bytes)
    monkeypatch.setattr(memory, "BUCKET_BYTES_MIN", bucket_rows * record_bytes)
    monkeypatch.setattr(pieces, "ALIGNED_ROWS", 256 if bucket_rows <= 700 else pieces.ALIGNED_ROWS)
    split, again = ingested(tmp_path / "split.panel", source, **changes)
    for name, array in arrays_of(whole).items():
        np.testing.assert_array_equal(arrays_of(split)[name], array, err_msg=name)
    assert split.content_key == whole.content_key
    assert again == report
    assert len(report["scale_breaks"]) == (0 if changes is ROLES else 4)


@pytest.mark.parametrize(
    ("changes", "around"),
    [
        ({}, (300, 4)),
        ({"features": {"total": "sum(volume) OVER entity"}}, None),
        ({"features": {"volume": "volume"}, "universe": None, "derived": {}}, (1, 4)),
        ({"features": {}, "feature_sets": [{"name": "bars_basic"}]}, (320, 4)),
    ],
)
def test_an_entity_is_split_only_where_every_value_reads_a_bounded_number_of_rows(
    changes: dict[str, Any], around: tuple[int, int] | None
) -> None:
    config = settings(Path("m.csv"), **(CHANGES | changes))
    found = rows_around(config, features_back(config))
    assert (None if found is None else (found.back, found.ahead)) == around


def test_a_frame_without_bound_is_named_where_the_entity_does_not_fit(tmp_path: Path) -> None:
    source = long_market(tmp_path / "m.csv", num_rows=2_000)
    changed = settings(source, **CHANGES | {"features": {"total": "sum(volume) OVER entity"}})
    with pytest.raises(BudgetError, match=r"'total' may read all earlier rows of an entity, .* \(2,000 rows\).* bound"):
        ingest(changed, tmp_path / "m.panel", budget_bytes=100 * MIB)
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


def test_the_plan_of_one_long_entity_stays_flat_where_it_can_be_split(tmp_path: Path) -> None:
    config = settings(tmp_path / "m.csv", **CHANGES)
    around = rows_around(config, features_back(config))
    assert around is not None
    plans = [
        memory.plan(config, shape_of(num_rows, around.num_rows), 2**29).projected_private_bytes
        for num_rows in (10**6, 10**7)
    ]
    assert plans[1] <= 1.05 * plans[0] + 40 * 10**7
    assert memory.plan(config, shape_of(10**7, None), 2**29).projected_private_bytes > plans[1]


def shape_of(num_rows: int, rows_around: int | None) -> PanelShape:
    return PanelShape(
        num_rows=num_rows,
        num_entities=1,
        num_dates=num_rows,
        num_features=6,
        num_targets=2,
        num_prices=4,
        max_rows_per_entity=num_rows,
        max_rows_per_date=1,
        rows_around=rows_around,
    )
