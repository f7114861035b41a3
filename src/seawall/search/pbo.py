"""Probability of backtest overfitting by combinatorially symmetric cross-validation."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from seawall.arrays import Float64
from seawall.search.trials import Trials

NUM_GROUPS = 16
"""12,870 ways to take half of them."""

MAX_PRODUCTS = 4 * 10**8
"""Splits x trials; beyond it a seeded part of the splits is used."""

SPLITS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Overfitting:
    """What picking the best in one half of time meant for the other half."""

    pbo: float
    """Share of splits whose winner ends in the lower half of all trials."""
    loss_probability: float
    """Share of splits whose winner loses money: read it with ``pbo``, which is low where all trials lose alike."""
    num_splits: int


def overfitting(trials: Trials, *, num_groups: int = NUM_GROUPS, seed: int = 0) -> Overfitting:
    """Pick the best trial in every half of the blocks and rank it in the other half.

    Blocks are joined to ``num_groups`` groups of neighbours. Memory: splits x 40 B, and 1,024 splits x one chunk of
    trials; trials are read twice. Ties take average ranks.

    References
    ----------
    Bailey, Borwein, Lopez de Prado, Zhu (2015), The probability of backtest overfitting.
    """
    if trials.num_trials < 2:
        return Overfitting(float("nan"), float("nan"), 0)
    halves = _halves(num_groups, trials.num_trials, seed)
    best, out = np.full(len(halves), -np.inf), np.zeros(len(halves))
    for part, chosen, rest in _profits(trials, halves, num_groups):
        place = chosen.argmax(axis=1)
        lines = np.arange(len(chosen))
        better = chosen[lines, place] > best[part]
        best[part] = np.where(better, chosen[lines, place], best[part])
        out[part] = np.where(better, rest[lines, place], out[part])
    below, equal = np.zeros(len(halves)), np.zeros(len(halves))
    for part, _, rest in _profits(trials, halves, num_groups):
        below[part] += (rest < out[part][:, None]).sum(axis=1)
        equal[part] += (rest == out[part][:, None]).sum(axis=1)
    rank = below + (np.maximum(equal, 1) + 1) / 2
    return Overfitting(
        pbo=float(np.mean(rank <= (trials.num_trials + 1) / 2)),
        loss_probability=float(np.mean(out < 0)),
        num_splits=len(halves),
    )


def _halves(num_groups: int, num_trials: int, seed: int) -> Float64:
    every = list(combinations(range(num_groups), num_groups // 2))
    limit = max(256, MAX_PRODUCTS // num_trials)
    if len(every) > limit:
        kept = np.random.default_rng(seed).choice(len(every), limit, replace=False)
        every = [every[i] for i in np.sort(kept).tolist()]
    halves = np.zeros((len(every), num_groups))
    for line, groups in zip(halves, every, strict=True):
        line[list(groups)] = 1.0
    return halves


def _profits(trials: Trials, halves: Float64, num_groups: int) -> Iterator[tuple[slice, Float64, Float64]]:
    """Give (splits, profits in the chosen half, in the other half), each [splits, trials]."""
    for _, rows in trials.chunks():
        groups = rows.reshape(len(rows), num_groups, -1).sum(axis=2).T
        for start in range(0, len(halves), SPLITS_AT_ONCE):
            part = slice(start, min(start + SPLITS_AT_ONCE, len(halves)))
            yield part, halves[part] @ groups, (1.0 - halves[part]) @ groups
