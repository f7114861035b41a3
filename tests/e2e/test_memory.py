"""The memory contract over all stages: two-sided, flat, and true in a container exactly as large as the plan.

``make test-memory`` runs the whole matrix; the default tests a seeded dose of it.
"""

import sys
from pathlib import Path

import pytest

from tests.e2e.matrix import MATRIX, STAGES, Case, random_case, run_case, wrong_claims

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")


def assert_two_sided(folder: Path, case: Case) -> None:
    records = run_case(folder, case)

    assert {record["stage"] for record in records.values()} == set(STAGES)
    assert not list(wrong_claims(records, str(case)))


def test_claims_of_every_stage_are_two_sided_in_a_dose_of_the_matrix(tmp_path: Path) -> None:
    assert_two_sided(tmp_path, random_case(6))


@pytest.mark.slow
@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_claims_of_every_stage_are_two_sided(tmp_path: Path, case: Case) -> None:
    assert_two_sided(tmp_path, case)
