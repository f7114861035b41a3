"""Phase 2: weights of the score components and thresholds of the score, all thresholds at once.

Every weight set shares the net returns of one base exit. Entries below each threshold are summed by (threshold, block),
and the sums of all thresholds follow by adding from the top.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from seawall.arrays import Float64
from seawall.search.config import WeightsConfig
from seawall.search.evaluate import CHUNK_ENTRIES, Evaluator, Part, Selection
from seawall.search.levels import OFF, Exit, ExitLevels
from seawall.search.resolve import resolve


@dataclass(frozen=True, slots=True, eq=False)
class WeightTrials:
    """Profit by block of every (weight set, threshold) [C, B], and what each of them is."""

    blocks: Float64
    selections: tuple[Selection, ...]
    num_trades: tuple[int, ...]

    def best(self, number: int) -> list[int]:
        """Give the numbers of the most profitable ones, best first; ties go to the first."""
        totals = self.blocks.sum(axis=1)
        return [int(place) for place in np.argsort(-totals, kind="stable")[:number]]


def weight_sets(num_components: int, config: WeightsConfig) -> list[tuple[float, ...]]:
    """List all weights that are multiples of ``step`` and sum to 1, at most ``max_sets``."""
    if num_components == 0:
        return [()]
    levels = round(1 / config.step)
    found = (
        tuple(part / levels for part in parts)
        for parts in product(range(levels + 1), repeat=num_components)
        if sum(parts) == levels
    )
    return [weights for weights, _ in zip(found, range(config.max_sets), strict=False)]


def base_exit(levels: ExitLevels) -> Exit:
    """Give the middle of the grid, without a trail where that is a level: the exit that weights are compared by."""
    trail = 0 if levels.trail[0] == OFF else len(levels.trail) // 2
    return Exit(
        _middle(levels.take_profit),
        _middle(levels.stop_loss),
        float(levels.activation[trail]),
        float(levels.trail[trail]),
        int(levels.holding[len(levels.holding) // 2]),
    )


def _middle(axis: Float64) -> float:
    on = axis[np.isfinite(axis)]
    return float(on[len(on) // 2]) if len(on) else OFF


def try_weights(evaluator: Evaluator, part: Part, base: Exit, config: WeightsConfig) -> WeightTrials:
    """Sum every weight set and threshold over the entries of a part.

    Memory: sets x thresholds x blocks x 8 B; net returns and scores of entries are mapped scratch files. A threshold is
    a quantile of the scores of this part alone.
    """
    num_components = evaluator.entries.scores.shape[1]
    nets_path, scores_path = (evaluator.folder / f"{part.name}.{name}" for name in ("nets", "scores"))
    nets = _nets(evaluator, part, base, nets_path)
    sets = weight_sets(num_components, config)
    quantiles = sorted(set(config.quantiles)) if num_components else [0.0]
    blocks = np.zeros((len(sets) * len(quantiles), part.num_blocks))
    selections, trades = [], []
    for number, weights in enumerate(sets):
        thresholds = _thresholds(evaluator, part, weights, quantiles, scores_path)
        own, counts = _sums(evaluator, part, weights, thresholds, nets)
        blocks[number * len(quantiles) : (number + 1) * len(quantiles)] = own
        selections += [Selection(weights, float(threshold)) for threshold in thresholds]
        trades += counts
        evaluator.num_evaluations += len(nets) * len(quantiles)
        evaluator.beat("weights", number + 1, len(sets))
    del nets
    nets_path.unlink()
    scores_path.unlink(missing_ok=True)
    return WeightTrials(blocks, tuple(selections), tuple(trades))


def _nets(evaluator: Evaluator, part: Part, base: Exit, path: Path) -> Float64:
    """Compute the net return of each entry under the base exit into a mapped file, weighted where entries are a sample.

    Entries that are not looked at (tuning on opportunities only) count 0.
    """
    levels = ExitLevels.single(base)
    nets = np.memmap(path, np.float64, "w+", shape=(part.stop - part.start,))
    for upcoming, places, _, tables in evaluator.chunks(part, Selection(), levels):
        net = resolve(tables, levels, 0, evaluator.costs).net
        nets[places - part.start] = net if evaluator.weights is None else net * evaluator.weights[places]
        evaluator.beat("base exit", upcoming, len(nets))
    return nets


def _pieces(evaluator: Evaluator, part: Part) -> Iterator[tuple[slice, Float64]]:
    for start in range(part.start, part.stop, CHUNK_ENTRIES):
        stop = min(start + CHUNK_ENTRIES, part.stop)
        yield slice(start - part.start, stop - part.start), np.asarray(evaluator.entries.scores[start:stop])


def _thresholds(
    evaluator: Evaluator, part: Part, weights: tuple[float, ...], quantiles: list[float], path: Path
) -> Float64:  # fmt: skip
    """Give the score at each quantile, from scores sorted in place in a mapped file; -inf for quantile 0."""
    if not weights or quantiles == [0.0]:
        return np.full(len(quantiles), -np.inf)
    scores = np.memmap(path, np.float64, "w+", shape=(part.stop - part.start,))
    for place, components in _pieces(evaluator, part):
        scores[place] = Selection(weights).scores(components)
    scores.sort()
    return np.array(
        [-np.inf if q == 0 else float(scores[min(len(scores) - 1, int(q * len(scores)))]) for q in quantiles]
    )


def _sums(
    evaluator: Evaluator, part: Part, weights: tuple[float, ...], thresholds: Float64, nets: Float64
) -> tuple[Float64, list[int]]:  # fmt: skip
    num_levels, num_blocks = len(thresholds), part.num_blocks
    sums, counts = np.zeros((num_levels + 1, num_blocks)), np.zeros(num_levels + 1, np.int64)
    for place, components in _pieces(evaluator, part):
        level = np.searchsorted(thresholds, Selection(weights).scores(components), side="right")
        times = np.asarray(evaluator.entries.times[place.start + part.start : place.stop + part.start])
        cell = level * num_blocks + part.blocks(times)
        sums += np.bincount(cell, np.asarray(nets[place]), sums.size).reshape(sums.shape)
        counts += np.bincount(level, minlength=num_levels + 1)
    passed = np.cumsum(sums[:0:-1], axis=0)[::-1]
    return passed, np.cumsum(counts[:0:-1])[::-1].tolist()
