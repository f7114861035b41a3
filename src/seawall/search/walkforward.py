"""Anchored walk-forward on the sums by block: choose on everything before, earn in what comes after."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seawall.search.trials import Trials


@dataclass(frozen=True, slots=True)
class WalkStep:
    """One step: blocks [0, train_stop) chose, blocks [test_start, test_stop) were earned."""

    train_stop: int
    test_start: int
    test_stop: int
    trial: int
    train_profit: float
    test_profit: float


def walk_forward(trials: Trials, num_folds: int, embargo_blocks: int) -> list[WalkStep]:
    """Choose the best trial before each test span, at least ``embargo_blocks`` earlier, and note what it earned there.

    Steps whose embargo leaves nothing to choose on are left out. The embargo keeps trades that are still open out of
    both sides: it must cover the longest holding. Memory: one number a step; trials are read once.
    """
    cuts = [round((i + 1) * trials.num_blocks / (num_folds + 1)) for i in range(num_folds + 1)]
    spans = [(cut - embargo_blocks, cut, end) for cut, end in pairwise(cuts) if end > cut > embargo_blocks]
    best = [(-np.inf, 0, 0.0)] * len(spans)
    for first, rows in trials.chunks():
        for i, (train_stop, start, stop) in enumerate(spans):
            profits = rows[:, :train_stop].sum(axis=1)
            place = int(profits.argmax())
            if profits[place] > best[i][0]:
                best[i] = (float(profits[place]), first + place, float(rows[place, start:stop].sum()))
    return [
        WalkStep(*span, trial, train, test) for span, (train, trial, test) in zip(spans, best, strict=True)
    ] if trials.num_trials else []  # fmt: skip
