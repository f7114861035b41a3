"""Our exact pooled metrics as a ``torchmetrics.Metric``, for Lightning and for collections; needs torchmetrics.

The sums are float64 and centred (:mod:`seawall.metrics.pointwise`), so they keep their digits where torchmetrics' own
float32 sums lose them, in one process or in several.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from seawall.metrics import PointwiseMoments

_EMPTY = PointwiseMoments().state()

_PAIRS = tuple(name for name, value in _EMPTY.items() if isinstance(value, list))
"""Sums kept as a pair of floats; the other two numbers are counts."""

NAMES = ("mse", "rmse", "mae", "r2", "bias", "pearson", "ccc", "nse", "kge")


class PointwiseMetric(Metric):
    """MSE, RMSE, MAE, R2, bias, Pearson, CCC, NSE and KGE over all pairs of all processes, exact to 1e-12.

    ``metric(preds, target)`` and ``metric.update(preds, target)`` take tensors of one shape and any float dtype; a pair
    with a NaN is left out. ``compute()`` gives a dictionary of float64 tensors, NaN where undefined. The state is one
    float64 tensor of 16 numbers, merged between processes by Chan's formula. Updates run on the CPU: a tensor on a GPU
    is copied there.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    moments: Tensor

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - torchmetrics' own settings, checked by it
        super().__init__(**settings)
        self.add_state("moments", _packed(PointwiseMoments()), dist_reduce_fx=_merged)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in pairs.

        Raises
        ------
        ValueError
            Where the shapes differ.
        """
        own = _unpacked(self.moments)
        own.update(*(tensor.detach().to("cpu", torch.float64).numpy() for tensor in (preds, target)))
        self.moments = _packed(own).to(self.moments.device)

    def compute(self) -> dict[str, Tensor]:
        """Compute the numbers over everything seen since the last reset."""
        moments = _unpacked(self.moments)
        result, agreement = moments.result(), moments.agreement()
        values = {name: getattr(result if hasattr(result, name) else agreement, name) for name in NAMES}
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def _packed(moments: PointwiseMoments) -> Tensor:
    state = moments.state()
    sums = [value for name in _PAIRS for value in state[name]]
    return torch.tensor([state["num_pairs"], state["num_left_out"], *sums], dtype=torch.float64)


def _unpacked(packed: Tensor) -> PointwiseMoments:
    values = packed.detach().to("cpu", torch.float64).tolist()
    pairs = {name: values[2 + 2 * place : 4 + 2 * place] for place, name in enumerate(_PAIRS)}
    return PointwiseMoments.from_state({"num_pairs": int(values[0]), "num_left_out": int(values[1]), **pairs})


def _merged(stacked: Tensor) -> Tensor:
    """Merge the states of several processes, [processes, 16], in order of their rank."""
    whole = _unpacked(stacked[0])
    for packed in stacked[1:]:
        whole.merge(_unpacked(packed))
    return _packed(whole).to(stacked.device)
