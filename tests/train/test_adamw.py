"""Our AdamW takes the steps of torch's."""

import copy

import pytest
import torch

from seawall.train.adamw import AdamW

WITHOUT_LIMIT = 1e9


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("largest_norm", [0.01, WITHOUT_LIMIT])
def test_thirty_steps_agree_with_torch(weight_decay: float, largest_norm: float) -> None:
    torch.manual_seed(0)
    ours = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    theirs = copy.deepcopy(ours)
    our_optimizer = AdamW(ours.parameters(), learning_rate=0.01, weight_decay=weight_decay)
    their_optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=weight_decay)

    for _ in range(30):
        x = torch.randn(16, 4)
        torch.autograd.backward(ours(x).square().mean())
        our_optimizer.step(largest_norm=largest_norm)
        their_optimizer.zero_grad()
        torch.autograd.backward(theirs(x).square().mean())
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), largest_norm)
        their_optimizer.step()

    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
