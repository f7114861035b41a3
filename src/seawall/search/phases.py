"""The four phases of one signal type, in order; each reads like its description."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from seawall.arrays import Float64
from seawall.search import sampling
from seawall.search.account import Account, account
from seawall.search.bootstrap import draw_weights
from seawall.search.config import SearchConfig, TypeConfig
from seawall.search.deflated_sharpe import deflated_sharpe
from seawall.search.evaluate import Evaluation, Evaluator, Part, Selection
from seawall.search.gate import Gate, judge
from seawall.search.grid import plateau, top
from seawall.search.levels import Exit, ExitLevels
from seawall.search.pbo import NUM_GROUPS, overfitting
from seawall.search.reality_check import reality_check
from seawall.search.refine import Refined, Refiner
from seawall.search.replay import Book, replay
from seawall.search.resolve import resolve
from seawall.search.spa import superior_predictive_ability
from seawall.search.spans import Spans
from seawall.search.trials import Trials
from seawall.search.walkforward import WalkStep, walk_forward
from seawall.search.weights import WeightTrials, base_exit, try_weights


@dataclass(frozen=True, slots=True)
class Choice:
    """Parameters: which entries, and how they end."""

    selection: Selection
    exit: Exit

    def record(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        return {**self.selection.record(), **self.exit.record()}


@dataclass(slots=True)
class Search:
    """One signal type while it is searched."""

    config: SearchConfig
    type_config: TypeConfig
    evaluator: Evaluator
    """Of the entries that decide: all of them, or a sample."""
    exact: Evaluator
    """Of all entries."""
    part: Part
    """The entries of ``evaluator`` that may be looked at before the end."""
    spans: Spans
    levels: ExitLevels = field(init=False)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.levels = ExitLevels.of(self.type_config.grid)

    @property
    def is_exhaustive(self) -> bool:
        """Tell whether the whole grid is tried."""
        is_small = self.levels.num_combinations <= self.config.max_combinations
        return self.type_config.phase3 == "grid" and is_small

    def refiner(self, evaluator: Evaluator, part: Part) -> Refiner:
        """Make what searches lines on a part of the entries."""
        config = self.config
        return Refiner(evaluator, part, self.levels, config.max_rounds, config.combinations_per_start)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What Phases 2 and 3 found."""

    weights: WeightTrials
    base: Exit
    grid: Evaluation | None
    plateau: Float64 | None
    starts: tuple[Refined, ...]
    matrix: tuple[tuple[float, ...], ...]
    """Screening: total of each refined exit (columns) under each start's selection (rows)."""
    choice: Choice
    chosen_total: float
    chosen_plateau: float | None
    trials: Trials


def find(search: Search) -> Found:
    """Do Phases 2 and 3 on the part before the hold-out. Everything tried is a trial."""
    base = base_exit(search.levels)
    weights = try_weights(search.evaluator, search.part, base, search.config.weights)
    ranked = weights.best(search.config.num_starts)
    selections = [weights.selections[place] for place in ranked]
    if search.type_config.phase3 == "skip":
        total = float(weights.blocks[ranked[0]].sum())
        choice = Choice(selections[0], base)
        return Found(weights, base, None, None, (), (), choice, total, None, Trials([weights.blocks]))
    grid, flat, first = None, None, base
    if search.is_exhaustive:
        grid = search.evaluator.evaluate(search.levels, selections[0], search.part)
        flat = plateau(grid.totals(), search.levels)
        first = search.levels.at(int(np.argmax(flat)))
    refiner = search.refiner(search.evaluator, search.part)
    starts = tuple(
        refiner.run(selection, first if number == 0 else base) for number, selection in enumerate(selections)
    )
    matrix = tuple(tuple(refiner.totals(selection, [start.exit])[0] for start in starts) for selection in selections)
    choice, total, flatness = _choose(refiner, selections, starts, matrix, first if grid is not None else None)
    trials = Trials([weights.blocks, *([grid.blocks] if grid else []), *(tried.blocks for tried in refiner.tried)])
    return Found(weights, base, grid, flat, starts, matrix, choice, total, flatness, trials)


def _choose(
    refiner: Refiner, selections: list[Selection], starts: tuple[Refined, ...],
    matrix: tuple[tuple[float, ...], ...], grid_best: Exit | None,
) -> tuple[Choice, float, float]:  # fmt: skip
    """Take the candidate with the highest plateau: refined starts, the best of the matrix, the plateau of the grid."""
    row, column = np.unravel_index(int(np.argmax(np.array(matrix))), (len(selections), len(starts)))
    candidates = [Choice(start.selection, start.exit) for start in starts]
    candidates.append(Choice(selections[int(row)], starts[int(column)].exit))
    if grid_best is not None:
        candidates.append(Choice(selections[0], grid_best))
    flats = [refiner.plateau(candidate.selection, candidate.exit) for candidate in candidates]
    best = int(np.argmax(flats))
    total = refiner.totals(candidates[best].selection, [candidates[best].exit])[0]
    return candidates[best], total, flats[best]


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """What Phase 4 says."""

    reality_p: float
    spa_p: float
    pbo: float
    loss_probability: float
    sharpe: dict[str, float]
    walk: tuple[WalkStep, ...]
    gate: Gate
    overlap: str | None
    """Says where trades are so long that the halves of PBO share many of them."""


def _overlap(spans: Spans) -> str | None:
    num_blocks, group = spans.embargo_blocks, spans.search.num_blocks // NUM_GROUPS
    if 2 * num_blocks <= group:
        return None
    return (
        f"The longest holding covers {num_blocks} of {spans.search.num_blocks} blocks of time, and PBO and the"
        f" probability of a loss compare halves made of {group} blocks each time: trades across their borders make them"
        " look more alike than they are. Shorter holdings or a longer history help."
    )


def validate(search: Search, found: Found) -> Validated:
    """Test everything that was tried: could the best be luck, and what did choosing earn afterwards."""
    config, trials = search.config.validation, found.trials
    # Profits of neighbouring blocks share trades that last longer than a block: they are drawn together.
    run_length = max(config.mean_block, search.spans.embargo_blocks)
    draws = draw_weights(trials.num_blocks, config.num_draws, run_length, config.seed)
    reality = reality_check(trials, draws)
    halves = overfitting(trials, num_groups=NUM_GROUPS, seed=config.seed)
    walk = tuple(walk_forward(trials, config.num_folds, search.spans.embargo_blocks))
    totals = trials.totals()
    sharpe = deflated_sharpe(trials, trials.row(int(np.argmax(totals))))
    earned = sum(step.test_profit for step in walk) if walk else math.nan
    hindsight = search.type_config.tune_on == "opportunities"
    return Validated(
        reality_p=reality,
        spa_p=superior_predictive_ability(trials, draws),
        pbo=halves.pbo,
        loss_probability=halves.loss_probability,
        sharpe={
            "per_block": sharpe.sharpe_per_block,
            "effective_trials": sharpe.effective_trials,
            "deflated_effective": sharpe.deflated_effective,
            "deflated_all": sharpe.deflated_all,
        },
        walk=walk,
        gate=judge(reality, earned, halves.loss_probability, config, hindsight=hindsight),
        overlap=_overlap(search.spans),
    )


def refit(search: Search, found: Found) -> Choice:
    """Choose weights, threshold and exit again on all data, hold-out included: not out of sample, for live use.

    Takes all entries even where a sample decided; with hindsight it looks at opportunities alone, as the search did.
    """
    exact, everything = search.exact, search.spans.everything
    if search.type_config.tune_on == "opportunities":
        exact = replace(exact, folder=search.evaluator.folder, key=search.evaluator.key, only_opportunities=True)
    weights = try_weights(exact, everything, found.base, search.config.weights)
    selection = weights.selections[weights.best(1)[0]]
    if search.type_config.phase3 == "skip":
        return Choice(selection, found.base)
    first = found.choice.exit
    if search.is_exhaustive:
        grid = exact.evaluate(search.levels, selection, everything)
        first = search.levels.at(int(np.argmax(plateau(grid.totals(), search.levels))))
    refiner = search.refiner(exact, everything)
    candidates = [Choice(selection, exit_) for exit_ in (first, refiner.run(selection, first).exit, found.choice.exit)]
    candidates.append(found.choice)
    flats = [refiner.plateau(candidate.selection, candidate.exit) for candidate in candidates]
    return candidates[int(np.argmax(flats))]


def replays(search: Search, found: Found) -> list[tuple[Choice, Book]]:
    """Replay the choice over all time, then the best of the grid over the part before the hold-out."""
    leverage, config = search.config.costs.leverage or 1.0, search.config.replay
    first = replay(search.exact, found.choice.selection, found.choice.exit, search.spans.everything, config, leverage)
    books = [(found.choice, first)]
    if found.grid is not None:
        selection = _first_selection(found)
        for _, number in top(found.grid, config.top):
            choice = Choice(selection, search.levels.at(number))
            book = replay(search.exact, selection, choice.exit, search.spans.search, config, leverage)
            books.append((choice, book))
    return books


def _first_selection(found: Found) -> Selection:
    return found.weights.selections[found.weights.best(1)[0]]


def accounts(search: Search, choice: Choice) -> dict[str, Account | None]:
    """Account for a choice exactly, before the hold-out and in it."""
    held = search.spans.holdout
    return {
        "search": account(search.exact, choice.selection, choice.exit, search.spans.search),
        "holdout": account(search.exact, choice.selection, choice.exit, held) if held is not None else None,
    }


def sample_statement(search: Search, found: Found, drawn: sampling.Sample | None) -> dict[str, Any] | None:
    """Estimate the winner's total from the sample, with the interval its design allows."""
    if drawn is None:
        return None
    evaluator, levels = search.evaluator, ExitLevels.single(found.choice.exit)
    nets = np.zeros(len(drawn.places))
    plain = replace(search.part, name="statement")
    for _, places, _, tables in evaluator.chunks(plain, found.choice.selection, levels):
        nets[places] = resolve(tables, levels, 0, evaluator.costs).net
    interval = sampling.estimate_total(nets, drawn)
    return {
        "design": interval.design,
        "num_sampled": len(nets),
        "estimated_total": interval.estimate,
        "low": interval.low if interval.is_valid else None,
        "high": interval.high if interval.is_valid else None,
        "sentence": interval.sentence,
    }
