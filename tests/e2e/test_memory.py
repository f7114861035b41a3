"""The memory contract over all stages: two-sided, flat, and true in a container exactly as large as the plan.

``make test-memory`` runs the whole matrix; the default tests a seeded dose of it.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.stores.shape import read_shape
from seawall.units import MIB
from tests.e2e.matrix import MATRIX, STAGES, Case, peaks, random_case, run_case, wrong_claims

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")


def assert_two_sided(folder: Path, case: Case) -> None:
    records = run_case(folder, case)

    assert {record["stage"] for record in records.values()} == set(STAGES)
    assert not list(wrong_claims(records, str(case)))
    plan = json.loads((folder / "out" / "plan.json").read_text())["stages"]
    bounded = {stage for stage in STAGES if plan[stage]["reads"]}
    assert bounded == set(STAGES) - {"ingest", "folds", "report"}, "who reads at random says how much at most"


def test_claims_of_every_stage_are_two_sided_in_a_dose_of_the_matrix(tmp_path: Path) -> None:
    assert_two_sided(tmp_path, random_case(6))


@pytest.mark.slow
@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_claims_of_every_stage_are_two_sided(tmp_path: Path, case: Case) -> None:
    assert_two_sided(tmp_path, case)


LARGE = Case(
    num_entities=3000,
    num_columns=40,
    lookback_periods=5,
    hidden_size=4,
    budget_mib=420,
    base_dates=700,
    folds=(100, 20, 400),
    source="parquet",
    signal_share=0.01,
)
"""Even the smallest panel of this kind is larger than the budget."""


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_peak_of_every_stage_is_flat_over_ten_times_the_data(tmp_path: Path) -> None:
    found: dict[int, dict[str, int]] = {}
    for times in (1, 4, 10):
        case = replace(LARGE, times=times)
        found[times] = peaks(run_case(tmp_path, case))
        assert read_shape(tmp_path / "out" / "matrix.panel").store_bytes > LARGE.budget_mib * MIB
        print(case, {stage: f"{peak / MIB:.1f} MiB" for stage, peak in found[times].items()})
        shutil.rmtree(tmp_path / "out")

    for stage in STAGES:
        least, of_stage = found[1][stage], [found[times][stage] for times in found]
        assert max(of_stage) <= 1.05 * least, (stage, of_stage)


SLOPE_BYTES = 2560
"""Every stage needs less than this for one more entity; of it predict holds 9 bytes for each test row."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_peak_grows_little_with_entities(tmp_path: Path) -> None:
    few, many = (replace(LARGE, base_dates=400, folds=(100, 20, 200), num_entities=number) for number in (1000, 9000))
    slopes: dict[str, float] = {}
    before = peaks(run_case(tmp_path, few))
    shutil.rmtree(tmp_path / "out")
    for stage, peak in peaks(run_case(tmp_path, many)).items():
        slopes[stage] = (peak - before[stage]) / (many.num_entities - few.num_entities)

    print({stage: f"{slope:.0f} B an entity" for stage, slope in slopes.items()})
    assert max(slopes.values()) <= SLOPE_BYTES, slopes
