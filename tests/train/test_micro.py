"""A batch in parts: what fits, what is cut, and what a GPU that is full is given instead."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import BudgetError, StageError
from seawall.models.shape import ModelShape
from seawall.train.config import FoldsConfig, TrainConfig
from seawall.train.gpu import fit_to_device, next_parts
from seawall.train.memory import gpu_bytes
from seawall.train.micro import GPU_CONTEXT_BYTES, MAX_PARTS, MicroBatches, fewest_parts, parts_of
from seawall.units import GIB, MIB

CONFIG = TrainConfig(target="fwd", folds=FoldsConfig(train=10, valid=2, test=2), batch_size=4096, lookback_periods=60)


@given(st.integers(1, 5000), st.integers(1, 64))
def test_parts_cover_a_batch_once_in_order_and_are_no_more_than_asked(num_samples: int, parts: int) -> None:
    covered = [index for part in parts_of(num_samples, parts) for index in range(num_samples)[part]]

    assert covered == list(range(num_samples))
    assert len(list(parts_of(num_samples, parts))) <= parts


def test_an_undivided_batch_is_one_part() -> None:
    assert list(parts_of(512, 1)) == [slice(0, 512)]
    assert MicroBatches().part_size(512) == 512
    assert MicroBatches(parts=4).part_size(510) == 128


@given(st.integers(1, 10**9), st.integers(10**6, 10**9))
def test_the_fewest_parts_that_fit_are_taken_or_it_is_refused(whole: int, room: int) -> None:
    def needed(parts: int) -> int:
        return 10**6 // 2 + whole // parts

    if needed(MAX_PARTS) > room:
        with pytest.raises(BudgetError, match="of GPU memory"):
            fewest_parts(needed, room, where="train")
        return
    parts = fewest_parts(needed, room, where="train")
    assert needed(parts) <= room
    assert parts == 1 or needed(parts // 2) > room


def test_gpu_claims_fall_with_the_parts_down_to_context_and_weights() -> None:
    claims = [gpu_bytes(CONFIG, ModelShape(num_features=12), parts) for parts in (1, 2, 4, 64)]

    assert claims == sorted(claims, reverse=True)
    assert GPU_CONTEXT_BYTES < claims[-1] < GPU_CONTEXT_BYTES + 64 * MIB
    assert claims[0] - GPU_CONTEXT_BYTES > 3.5 * (claims[2] - GPU_CONTEXT_BYTES) * 0.9


def test_a_full_gpu_gets_smaller_parts_until_there_are_none() -> None:
    assert [next_parts(parts, 512) for parts in (1, 2, 32)] == [2, 4, 64]
    with pytest.raises(StageError, match="does not fit the GPU, even with the batch in 64 parts"):
        next_parts(64, 512)
    with pytest.raises(StageError, match="in 2 parts"):
        next_parts(2, 3)


def test_a_cpu_takes_what_is_asked() -> None:
    asked = MicroBatches(2, 4 * GIB)

    assert fit_to_device(torch.device("cpu"), CONFIG, ModelShape(num_features=12), asked) == asked


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_small_gpu_budget_cuts_the_batch(tmp_path: Path) -> None:
    whole = gpu_bytes(CONFIG, ModelShape(num_features=12), 1)

    split = fit_to_device(
        torch.device("cuda"), CONFIG, ModelShape(num_features=12), MicroBatches(1, (whole + GPU_CONTEXT_BYTES) // 2)
    )

    assert split.parts > 1
