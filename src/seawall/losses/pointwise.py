"""Losses of single predictions, masked where the target is missing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seawall.losses.config import HuberConfig, MseConfig


@dataclass(frozen=True, slots=True)
class LossSum:
    """Loss summed over a batch, and the weight of the targets it is the sum of: their number where none has a weight.

    ``total`` is connected to the graph also where ``count`` is 0: its gradient is then 0.
    """

    total: Tensor
    count: float


def summed_loss(
    config: MseConfig | HuberConfig, prediction_BK: Tensor, target_BK: Tensor, weight_B: Tensor | None = None
) -> LossSum:
    """Sum the loss over the targets that are there, each times the weight of its sample.

    Parameters
    ----------
    prediction_BK, target_BK
        float32 [B, K]. NaN in the target masks it: no loss, no gradient. NaN in the prediction is not masked.
    weight_B
        float32 [B], 0 or more; a weight of 0 leaves the sample out, a weight of 1 changes no bit.

    Returns
    -------
    LossSum
        ``total`` is accumulated in float64.
    """
    present = ~torch.isnan(target_BK)
    # Both branches of a select are differentiated: the masked difference must be a plain 0, not NaN times 0.
    difference = torch.where(present, prediction_BK - torch.nan_to_num(target_BK), 0.0)
    if isinstance(config, MseConfig):
        each = difference.square()
    else:
        size, delta = difference.abs(), config.delta_sigmas
        each = torch.where(size <= delta, 0.5 * difference.square(), delta * (size - 0.5 * delta))
    if weight_B is None:
        return LossSum(each.sum(dtype=torch.float64), int(present.sum()))
    weighed = (present * weight_B[:, None]).sum(dtype=torch.float64)
    return LossSum((each * weight_B[:, None]).sum(dtype=torch.float64), float(weighed))
