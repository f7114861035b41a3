"""The claims of join: light to compute, above what is measured, and not far above."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.backtest import memory as backtest_memory
from seawall.join import memory
from seawall.join.config import JoinConfig
from seawall.stores.predictions import ROW_GROUP_ROWS
from seawall.stores.shape import PanelShape
from seawall.stores.table_parts import GROUPS_PER_PART
from seawall.units import GIB, MIB
from tests.evaluate.worlds import predict, private_peak_bytes
from tests.support import make_panel

SHAPE = PanelShape(
    num_rows=10_000_000,
    num_entities=4000,
    num_dates=2500,
    num_features=20,
    num_targets=1,
    num_prices=5,
    max_rows_per_entity=2500,
    max_rows_per_date=4000,
)


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")
@pytest.mark.parametrize(("num_entities", "num_dates"), [(12, 100), (1000, 200)])
def test_measured_is_below_projected_and_projected_is_not_idle(
    tmp_path: Path, num_entities: int, num_dates: int
) -> None:
    panel = make_panel(tmp_path, num_entities=num_entities, num_dates=num_dates, num_features=1)
    predictions = predict(panel, tmp_path)

    measured = private_peak_bytes("join", panel.path, predictions, tmp_path / "out")

    projected = memory.plan(JoinConfig(), panel.shape, GIB).projected_private_bytes
    assert measured <= projected <= 1.5 * measured + 32 * MIB


def test_ten_million_predictions_of_four_thousand_names_fit_256_mebibytes_of_container() -> None:
    assert memory.plan(JoinConfig(), SHAPE, GIB).projected_cgroup_bytes < 256 * MIB


def test_a_container_has_room_for_a_page_of_every_entity_and_file() -> None:
    (pages,) = (claim for claim in memory.plan(JoinConfig(), SHAPE, GIB).cache if claim.purpose == "panel pages")
    (few,) = (
        claim
        for claim in memory.plan(JoinConfig(), replace(SHAPE, num_rows=4000), GIB).cache
        if claim.purpose == "panel pages"
    )

    assert pages.bytes == 4 * 4000 * 4096
    assert few.bytes == 4000 * (4 + 8 + 8 + 5 * 8)


def test_the_claim_grows_with_the_columns_of_a_row_group_and_not_with_rows() -> None:
    claimed = memory.plan(JoinConfig(), SHAPE, GIB).projected_private_bytes
    wider = memory.plan(JoinConfig(), replace(SHAPE, num_prices=6), GIB).projected_private_bytes
    longer = memory.plan(JoinConfig(), replace(SHAPE, num_rows=2 * SHAPE.num_rows), GIB).projected_private_bytes

    assert wider - claimed == 3 * 8 * ROW_GROUP_ROWS + memory.PART_GROUPS * memory.FOOTER_CHUNK_BYTES
    assert longer == claimed


def test_planning_imports_nothing_heavy() -> None:
    heavy = {"numpy", "pyarrow", "scipy", "torch"}
    code = f"import sys, seawall.join.memory; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_row_group_of_the_plan_is_the_row_group_of_the_store() -> None:
    assert memory.ROW_GROUP_ROWS == ROW_GROUP_ROWS
    assert memory.PART_GROUPS == backtest_memory.PART_GROUPS == GROUPS_PER_PART
