"""The torchmetrics twin gives our numbers: by update, by forward, merged from two processes, and where theirs fail."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch

torchmetrics = pytest.importorskip("torchmetrics")

from seawall.bridges.torchmetrics_twin import NAMES, PointwiseMetric  # noqa: E402 - after the skip
from seawall.metrics import PointwiseMoments  # noqa: E402


def _world(n: int, *, offset: float = 0.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    target = rng.standard_normal(n)
    prediction = 0.3 * target + rng.standard_normal(n)
    pair = (torch.from_numpy((offset + values).astype(np.float32)) for values in (prediction, target))
    return next(pair), next(pair)


def _ours(prediction: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    moments = PointwiseMoments()
    moments.update(prediction.numpy(), target.numpy())
    both = [moments.result(), moments.agreement()]
    return {name: next(getattr(part, name) for part in both if hasattr(part, name)) for name in NAMES}


def _assert_same(found: dict[str, torch.Tensor], expected: dict[str, float]) -> None:
    for name, value in expected.items():
        assert found[name].dtype == torch.float64
        assert float(found[name]) == pytest.approx(value, rel=1e-12, abs=1e-13), name


def test_updates_in_batches_give_our_numbers() -> None:
    prediction, target = _world(5000)
    metric = PointwiseMetric()
    for p, t in zip(prediction.chunk(9), target.chunk(9), strict=True):
        metric.update(p, t)
    _assert_same(metric.compute(), _ours(prediction, target))


def test_two_processes_merge_to_the_numbers_of_one() -> None:
    prediction, target = _world(5000, offset=1000.0)
    first, second = PointwiseMetric(), PointwiseMetric()
    first.update(prediction[:1800], target[:1800])
    second.update(prediction[1800:], target[1800:])
    # What a distributed sync does: gather the states of all ranks, stack them, reduce.
    reduce: Any = first._reductions["moments"]
    together = PointwiseMetric()
    together.moments = reduce(torch.stack([first.moments, second.moments]))
    together.update(prediction[:0], target[:0])
    _assert_same(together.compute(), _ours(prediction, target))
    first.merge_state(second)
    _assert_same(first.compute(), _ours(prediction, target))


def test_forward_gives_the_batch_and_keeps_the_whole() -> None:
    prediction, target = _world(900)
    metric = PointwiseMetric()
    for p, t in zip(prediction.chunk(3), target.chunk(3), strict=True):
        _assert_same(metric(p, t), _ours(p, t))
    _assert_same(metric.compute(), _ours(prediction, target))
    metric.reset()
    metric.update(prediction[:10], target[:10])
    _assert_same(metric.compute(), _ours(prediction[:10], target[:10]))


def test_at_mean_1000_ours_is_right_where_float32_sums_are_not() -> None:
    prediction, target = _world(200_000, offset=1000.0)
    metric = PointwiseMetric()
    theirs = torchmetrics.R2Score()
    for p, t in zip(prediction.chunk(49), target.chunk(49), strict=True):
        metric.update(p, t)
        theirs.update(p, t)
    wide_p, wide_t = prediction.double(), target.double()
    exact = 1 - float(((wide_p - wide_t) ** 2).sum() / ((wide_t - wide_t.mean()) ** 2).sum())
    assert float(metric.compute()["r2"]) == pytest.approx(exact, abs=1e-12)
    assert abs(float(theirs.compute()) - exact) > 1e-4


def test_in_float64_torchmetrics_agrees() -> None:
    prediction, target = (values.double() for values in _world(3000, offset=2.0))
    metric = PointwiseMetric()
    metric.update(prediction, target)
    found = metric.compute()
    pairs = {
        "mse": torchmetrics.MeanSquaredError(),
        "mae": torchmetrics.MeanAbsoluteError(),
        "pearson": torchmetrics.PearsonCorrCoef(),
        "ccc": torchmetrics.ConcordanceCorrCoef(),
        "r2": torchmetrics.R2Score(),
    }
    for name, other in pairs.items():
        other.set_dtype(torch.float64)
        other.update(prediction, target)
        # Their concordance takes sample variances beside the population mean: 1 / n apart.
        tolerance = 1e-3 if name == "ccc" else 1e-9
        assert float(found[name]) == pytest.approx(float(other.compute()), rel=tolerance), name


def test_half_precision_and_nan_are_taken() -> None:
    prediction, target = _world(64)
    prediction[3] = torch.nan
    metric = PointwiseMetric()
    metric.update(prediction.bfloat16(), target.bfloat16())
    expected = _ours(prediction.bfloat16().float(), target.bfloat16().float())
    _assert_same(metric.compute(), expected)
    with pytest.raises(ValueError, match="must be equal"):
        metric.update(prediction[:3], target)


def test_a_metric_survives_being_sent_to_another_process() -> None:
    prediction, target = _world(100)
    metric = PointwiseMetric()
    metric.update(prediction, target)
    again = pickle.loads(pickle.dumps(metric))  # noqa: S301 - our own bytes
    _assert_same(again.compute(), _ours(prediction, target))
