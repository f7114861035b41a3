"""Phase 3 on the grid: the best combinations in a heap, and the plateau, the mean over a combination's neighbours."""

import heapq

import numpy as np

from seawall.arrays import Float64
from seawall.search.evaluate import Evaluation
from seawall.search.levels import OFF, ExitLevels

CHUNK_COMBINATIONS = 65_536


def top(evaluation: Evaluation, number: int) -> list[tuple[float, int]]:
    """Give (total, combination) of the best, best first, from one pass with a heap of ``number``; ties to the first."""
    heap: list[tuple[float, int]] = []
    for start in range(0, len(evaluation.blocks), CHUNK_COMBINATIONS):
        totals = np.asarray(evaluation.blocks[start : start + CHUNK_COMBINATIONS]).sum(axis=1)
        order = np.argsort(-totals, kind="stable")[:number]
        for place in order.tolist():
            item = (float(totals[place]), -(start + place))
            if len(heap) < number:
                heapq.heappush(heap, item)
            elif item > heap[0]:
                heapq.heapreplace(heap, item)
    return [(total, -place) for total, place in sorted(heap, reverse=True)]


def plateau(totals: Float64, levels: ExitLevels) -> Float64:
    """Give the mean total of each combination and its grid neighbours [C].

    Neighbours are one level away in any of take-profit, stop-loss, trail activation, trail distance and holding. Off is
    a choice of its own and neighbours nothing. Memory: a few times combinations x 8 B.
    """
    a, s, r, h = levels.shape
    grid = totals.reshape(a, s, r, h)
    smooth = _smooth(_smooth(grid, 0, _num_on(levels.take_profit)), 1, _num_on(levels.stop_loss))
    smooth = _smooth(smooth, 3, h)
    armed = np.flatnonzero(levels.trail != OFF)
    num_activations = len(np.unique(levels.activation[armed]))
    if num_activations:
        pairs = smooth[:, :, armed].reshape(a, s, num_activations, -1, h)
        pairs = _smooth(_smooth(pairs, 2, pairs.shape[2]), 3, pairs.shape[3])
        smooth = smooth.copy()
        smooth[:, :, armed] = pairs.reshape(a, s, len(armed), h)
    return np.asarray(smooth.reshape(-1))


def _num_on(axis: Float64) -> int:
    return int(np.isfinite(axis).sum())


def _smooth(values: Float64, axis: int, num_on: int) -> Float64:
    """Average each level with the one before and after along an axis; levels from ``num_on`` on are left alone."""
    moved = np.moveaxis(values, axis, 0)
    result = moved.copy()
    on = moved[:num_on]
    if num_on > 1:
        counts = np.full(num_on, 3.0)
        counts[[0, -1]] = 2.0
        total = on.copy()
        total[1:] += on[:-1]
        total[:-1] += on[1:]
        result[:num_on] = total / counts.reshape(-1, *([1] * (moved.ndim - 1)))
    return np.moveaxis(result, 0, axis)
