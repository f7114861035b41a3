"""Ten steps of every network on fixed data give the losses they gave when this was written."""

import pytest
import torch

from seawall.losses.config import HuberConfig
from seawall.losses.pointwise import summed_loss
from seawall.models.registry import build_model
from seawall.train.adamw import AdamW
from seawall.train.determinism import repeatable
from tests.models.networks import called, config_of, shape_of

TOLERANCE = 1e-4
"""Relative. The same build of torch gives the same bits; builds for other processors and releases sum in another order,
which ten steps of AdamW, dividing by the root of a gradient's square, enlarge from 1e-7."""

LOSSES: dict[tuple[str, str], list[float]] = {
    ("lstm", "last"): [
        2.504555472, 2.495834444, 2.487031883, 2.473601133, 2.462176372,
        2.453167336, 2.401910859, 2.378875838, 2.366110479, 2.312588768,
    ],
    ("lstm", "sequence"): [
        1.684991034, 1.675081562, 1.661969896, 1.649630899, 1.628789973,
        1.606750342, 1.580850018, 1.543288644, 1.514833180, 1.466460004,
    ],
    ("lstm_attention", "last"): [
        2.504555472, 2.488193388, 2.468030567, 2.445038450, 2.404835444,
        2.362493367, 2.320151913, 2.243497678, 2.175455634, 2.069928788,
    ],
    ("lstm_attention", "sequence"): [
        1.684991034, 1.666697453, 1.641838181, 1.612195779, 1.577979396,
        1.530066856, 1.473682901, 1.398740982, 1.328980334, 1.263791772,
    ],
    ("branch_lstm", "last"): [
        2.504555472, 2.489337017, 2.475010695, 2.439329866, 2.436516700,
        2.355579486, 2.326014400, 2.299822609, 2.172655111, 2.076903126,
    ],
    ("branch_lstm", "sequence"): [
        1.684991034, 1.659702857, 1.626060528, 1.579902757, 1.524670614,
        1.464491259, 1.396692578, 1.347038904, 1.266379408, 1.198995205,
    ],
    ("tcn_attention", "last"): [
        2.504555472, 2.501270385, 2.489145456, 2.463489557, 2.443739617,
        2.413686998, 2.366488952, 2.311803031, 2.266505380, 2.213809833,
    ],
    ("tcn_attention", "sequence"): [
        1.684991034, 1.676097379, 1.660635315, 1.642150355, 1.612009647,
        1.583587232, 1.547765994, 1.510573983, 1.458680857, 1.412067716,
    ],
}  # fmt: skip


def ten_losses(kind: str, output: str) -> list[float]:
    """Train on 32 samples of 8 steps whose target is a sum of features, dropout on."""
    with repeatable(torch.device("cpu"), threads=1, seed=3):
        built = build_model(config_of(kind, output=output, hidden_size=8), shape_of()).train()
        optimizer = AdamW(built.parameters(), learning_rate=0.01, weight_decay=1e-4)
        x_BLF, static_BS, entity_B = called(32, 8, seed=4)
        target = (x_BLF[:, :, :1] - 0.5 * x_BLF[:, :, 1:2]).cumsum(dim=1) + static_BS[:, None, :1]
        losses = []
        for _ in range(10):
            predicted = built(x_BLF, static_BS, entity_B).flatten(0, -2)
            wanted = (target if output == "sequence" else target[:, -1]).flatten(0, -2)
            summed = summed_loss(HuberConfig(), predicted, wanted)
            losses.append(float(summed.total.detach()) / summed.count)
            torch.autograd.backward(summed.total / summed.count)
            optimizer.step(largest_norm=1.0)
    return losses


@pytest.mark.parametrize(("kind", "output"), LOSSES)
def test_ten_steps_give_the_losses_they_always_gave(kind: str, output: str) -> None:
    assert ten_losses(kind, output) == pytest.approx(LOSSES[kind, output], rel=TOLERANCE)
