"""Streaming moments against long double over the whole arrays: any chunking, any merge order, hard data."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import AnyArray
from seawall.metrics import PointwiseMoments, PointwiseResult
from seawall.metrics.pointwise import BLOCK_VALUES

TOLERANCE = 1e-12


def exact(prediction: AnyArray, target: AnyArray) -> PointwiseResult:
    """Two passes over everything in long double: the judge."""
    p, t = prediction.astype(np.longdouble), target.astype(np.longdouble)
    dp, dt = p - p.mean(), t - t.mean()
    squared_error = ((p - t) ** 2).sum()
    return PointwiseResult(
        n=len(p),
        mse=float(squared_error / len(p)),
        rmse=float(np.sqrt(squared_error / len(p))),
        mae=float(np.abs(p - t).mean()),
        r2=float(1 - squared_error / (dt**2).sum()),
        bias=float(p.mean() - t.mean()),
        pearson=float((dp * dt).sum() / np.sqrt((dp**2).sum() * (dt**2).sum())),
    )


def assert_exact(moments: PointwiseMoments, prediction: AnyArray, target: AnyArray) -> None:
    found, judge = moments.result(), exact(prediction, target)
    assert found.n == judge.n
    for name in ("mse", "rmse", "mae"):
        assert getattr(found, name) == pytest.approx(getattr(judge, name), rel=TOLERANCE, abs=0), name
    assert abs(found.r2 - judge.r2) <= TOLERANCE * max(1.0, abs(judge.r2))
    assert abs(found.pearson - judge.pearson) <= TOLERANCE
    assert abs(found.bias - judge.bias) <= TOLERANCE * float(np.abs(target).mean())


def world(n: int, *, offset: float, spread: float, seed: int) -> tuple[AnyArray, AnyArray]:
    rng = np.random.default_rng(seed)
    target = rng.standard_normal(n)
    prediction = 0.3 * target + rng.standard_normal(n)
    return offset + spread * prediction, offset + spread * target


def in_chunks(prediction: AnyArray, target: AnyArray, cuts: Sequence[int]) -> list[PointwiseMoments]:
    chunks = []
    for p, t in zip(np.split(prediction, cuts), np.split(target, cuts), strict=True):
        chunks.append(PointwiseMoments())
        chunks[-1].update(p, t)
    return chunks


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(3, 300),
    offset=st.sampled_from([0.0, 1.0, 1e6, -1e6]),
    spread=st.sampled_from([1.0, 1e-3, 1e4]),
    data=st.data(),
)
def test_any_chunking_and_any_merge_order_give_the_exact_numbers(
    n: int, offset: float, spread: float, data: st.DataObject
) -> None:
    prediction, target = world(n, offset=offset, spread=spread, seed=data.draw(st.integers(0, 2**32 - 1)))
    chunks = in_chunks(prediction, target, sorted(data.draw(st.lists(st.integers(0, n), max_size=12))))

    while len(chunks) > 1:
        taken = chunks.pop(data.draw(st.integers(0, len(chunks) - 1)))
        chunks[data.draw(st.integers(0, len(chunks) - 1))].merge(taken)

    assert_exact(chunks[0], prediction, target)


def test_ten_thousand_single_pairs_far_from_zero_give_the_exact_numbers() -> None:
    prediction, target = world(10_000, offset=1e6, spread=1.0, seed=1)
    moments = PointwiseMoments()

    for p, t in zip(prediction, target, strict=True):
        moments.update([p], [t])

    assert_exact(moments, prediction, target)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_blocks_in_one_update_give_the_exact_numbers(dtype: str) -> None:
    prediction, target = (a.astype(dtype) for a in world(5 * BLOCK_VALUES + 17, offset=1000.0, spread=1.0, seed=2))
    moments = PointwiseMoments()

    moments.update(prediction, target)

    assert_exact(moments, prediction, target)


def test_a_level_that_jumps_between_chunks_keeps_every_digit() -> None:
    levels = np.repeat([0.0, 1e6, -3e5, 1e6], 500)
    prediction, target = (levels + part for part in world(2000, offset=0.0, spread=1.0, seed=3))

    moments, *others = in_chunks(prediction, target, [500, 1000, 1500])
    for other in others:
        moments.merge(other)
    in_order = PointwiseMoments()
    for p, t in zip(np.split(prediction, 4), np.split(target, 4), strict=True):
        in_order.update(p, t)

    assert_exact(moments, prediction, target)
    assert_exact(in_order, prediction, target)


def test_a_first_value_far_from_the_others_keeps_every_digit() -> None:
    prediction, target = world(5000, offset=0.0, spread=1.0, seed=4)
    prediction[0], target[0] = 1e5, -1e5
    moments = PointwiseMoments()

    moments.update(prediction, target)

    assert_exact(moments, prediction, target)


def test_pairs_with_a_nan_on_either_side_are_left_out_and_counted() -> None:
    prediction, target = world(100, offset=5.0, spread=1.0, seed=5)
    with_gaps, targets_with_gaps = prediction.copy(), target.copy()
    with_gaps[[0, 7]], targets_with_gaps[[7, 30, 99]] = np.nan, np.nan
    kept = ~np.isnan(with_gaps + targets_with_gaps)
    moments = PointwiseMoments()

    moments.update(with_gaps, targets_with_gaps)

    assert moments.num_left_out == 4
    assert_exact(moments, prediction[kept], target[kept])


def test_nothing_seen_is_undefined_and_never_zero() -> None:
    moments = PointwiseMoments()
    moments.update([math.nan, 1.0], [1.0, math.nan])

    result = moments.result()

    assert (result.n, moments.num_left_out) == (0, 2)
    numbers = (result.mse, result.rmse, result.mae, result.r2, result.bias, result.pearson)
    assert all(math.isnan(number) for number in numbers)


def test_one_pair_has_errors_but_no_correlation() -> None:
    moments = PointwiseMoments()
    moments.update([3.0], [1.0])

    result = moments.result()

    assert (result.n, result.mse, result.rmse, result.mae, result.bias) == (1, 4.0, 2.0, 2.0, 2.0)
    assert math.isnan(result.r2)
    assert math.isnan(result.pearson)


@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1, -1 / 3])
def test_values_all_alike_have_no_variance_whatever_the_chunks(value: float) -> None:
    prediction, alike = np.random.default_rng(6).standard_normal(10_007), np.full(10_007, value)
    constant_target, constant_prediction = PointwiseMoments(), PointwiseMoments()

    for cut in range(0, 10_007, 333):
        constant_target.update(prediction[cut : cut + 333], alike[cut : cut + 333])
        constant_prediction.update(alike[cut : cut + 333], prediction[cut : cut + 333])

    assert math.isnan(constant_target.result().r2)
    assert math.isnan(constant_target.result().pearson)
    assert math.isnan(constant_prediction.result().pearson)
    assert constant_prediction.result().r2 < 0


def test_an_infinite_value_makes_the_numbers_undefined_and_does_not_raise() -> None:
    moments = PointwiseMoments()
    moments.update([math.inf, 1.0, 2.0], [1.0, 2.0, math.inf])
    moments.update([1.0, 2.0], [2.0, 1.0])

    result = moments.result()

    assert result.n == 5
    assert not math.isfinite(result.mse)
    assert math.isnan(result.pearson)


def test_the_state_survives_json_bit_for_bit() -> None:
    prediction, target = world(1000, offset=1e6, spread=1.0, seed=7)
    whole, first = PointwiseMoments(), PointwiseMoments()
    first.update(prediction[:400], target[:400])

    restored = PointwiseMoments.from_state(json.loads(json.dumps(first.state())))
    restored.update(prediction[400:], target[400:])
    whole.update(prediction[:400], target[:400])
    whole.update(prediction[400:], target[400:])

    assert restored.state() == whole.state()
    assert restored.result() == whole.result()


def test_merging_leaves_the_other_one_as_it_was() -> None:
    prediction, target = world(50, offset=0.0, spread=1.0, seed=8)
    first, second = in_chunks(prediction, target, [20])
    before = second.state()

    first.merge(second)

    assert second.state() == before


def test_shapes_that_differ_are_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(3,\).*\(1,\)"):
        PointwiseMoments().update([1.0, 2.0, 3.0], [1.0])
