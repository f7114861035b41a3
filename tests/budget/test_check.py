"""Refusals before any work: what does not fit, by how much, and what would."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.budget import check
from seawall.budget.check import (
    check_plans,
    check_temporary_folder,
    projected_disk_bytes,
    size_to_declare,
    smallest_budget_bytes,
)
from seawall.budget.claims import Claim, StagePlan
from seawall.errors import BudgetError
from seawall.units import GIB, MIB, parse_bytes

PARENT_BYTES = 32 * MIB


def plan(stage: str, private: int, *, cache: int = 0, disk: int = 0, temporary: int = 0) -> StagePlan:
    return StagePlan(
        stage=stage,
        private=(
            Claim("libraries", private // 3, "import floor"),
            Claim("activations", private - private // 3, "batch x lookback x hidden x 4 bytes"),
        ),
        cache=(Claim("library text", cache, "code pages"),),
        disk=(Claim("store", disk, "rows x columns"), Claim("spill", temporary, "twice the input", temporary=True)),
        semantic={"batch_size": 512, "seed": 7},
    )


def test_plans_that_fit_to_the_byte_are_accepted() -> None:
    plans = [plan("ingest", 100 * MIB, cache=50 * MIB), plan("train fold 2", 300 * MIB)]

    check_plans(plans, 332 * MIB, parent_bytes=PARENT_BYTES)


def test_one_byte_less_is_refused_with_figures_that_differ() -> None:
    with pytest.raises(BudgetError, match=r"needs 348,127,232 bytes .* found a budget of 348,127,231 bytes"):
        check_plans([plan("train fold 2", 300 * MIB)], 332 * MIB - 1, parent_bytes=PARENT_BYTES)


def test_a_refusal_names_stage_claim_smallest_budget_and_knob() -> None:
    with pytest.raises(BudgetError) as refused:
        check_plans([plan("train fold 2", 1400 * MIB)], 1 * GIB, parent_bytes=PARENT_BYTES)

    assert str(refused.value) == (
        "train fold 2: needs 1.4 GiB (32.0 MiB of it for the waiting parent), found a budget of 1.0 GiB."
        " The largest claim is activations (933 MiB: batch x lookback x hidden x 4 bytes)."
        " Declare --memory 1.4GiB or lower train.batch_size."
    )
    assert refused.value.exit_code == 3


def test_the_worst_stage_comes_first_and_the_others_are_named() -> None:
    plans = [plan("ingest", 600 * MIB), plan("train fold 0", 900 * MIB), plan("report", 100 * MIB)]

    with pytest.raises(BudgetError) as refused:
        check_plans(plans, 512 * MIB, parent_bytes=PARENT_BYTES)

    assert str(refused.value).startswith("train fold 0: ")
    assert "Declare --memory 932MiB" in str(refused.value)
    assert str(refused.value).endswith("Also too large: ingest (632 MiB).")


def test_file_pages_count_against_the_budget() -> None:
    with pytest.raises(BudgetError, match="The largest claim is library text"):
        check_plans([plan("join", 10 * MIB, cache=200 * MIB)], 128 * MIB, parent_bytes=PARENT_BYTES)


@given(st.lists(st.integers(1, 1 << 45), min_size=1), st.integers(0, 1 << 30))
def test_what_a_refusal_tells_to_declare_is_enough(sizes: list[int], parent_bytes: int) -> None:
    plans = [plan(f"stage {number}", size) for number, size in enumerate(sizes)]
    needed = smallest_budget_bytes(plans, parent_bytes=parent_bytes)

    declared = parse_bytes(size_to_declare(needed))

    check_plans(plans, declared, parent_bytes=parent_bytes)
    assert declared - needed <= max(GIB // 10, MIB) + 1


def test_disk_counts_what_earlier_stages_leave_and_temporary_files_only_while_they_last() -> None:
    plans = [plan("a", 1, disk=10, temporary=100), plan("b", 1, disk=20, temporary=50), plan("c", 1, disk=5)]

    assert projected_disk_bytes(plans) == 110
    assert projected_disk_bytes(plans[1:]) == 70
    assert projected_disk_bytes([*plans, plan("d", 1, disk=200)]) == 235


def test_a_run_that_does_not_fit_its_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "free_disk_bytes", lambda folder: 3 * GIB)
    folder = tmp_path / "not/yet/made"
    check_plans([plan("ingest", 1, disk=3 * GIB)], GIB, parent_bytes=0, folder=folder)

    with pytest.raises(
        BudgetError, match=r"the run needs 4.0 GiB of disk, found 3.0 GiB free. The largest claim is store"
    ):
        check_plans([plan("ingest", 1, disk=4 * GIB)], GIB, parent_bytes=0, folder=folder)


def test_free_bytes_are_those_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    assert check.free_disk_bytes(tmp_path / "a/b/c") > 0


def test_a_temporary_folder_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "is_memory_filesystem", lambda path: path == tmp_path)

    check_temporary_folder(tmp_path.parent)
    with pytest.raises(BudgetError, match="temporary files would lie in memory"):
        check_temporary_folder(tmp_path / "spill")
