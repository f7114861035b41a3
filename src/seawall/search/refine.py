"""Phase 3 off the grid: line searches along one coordinate at a time, from several starts. Every point is a trial."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seawall.search.evaluate import Evaluation, Evaluator, Part, Selection
from seawall.search.levels import OFF, Exit, ExitLevels

COORDINATES = ("take_profit", "stop_loss", "trail", "activation", "holding")
MAX_LINE = 64
"""Levels of a grid axis that a line looks at, evenly thinned."""

LOCAL_STEP = 1.1
"""Neighbours of an off-grid point: 10 % up and down in take-profit, stop-loss and holding."""


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """Where a start ended."""

    selection: Selection
    exit: Exit
    total: float
    plateau: float
    num_points: int


class Refiner:
    """Line searches on one part of the entries; keeps the sums of everything it tried."""

    def __init__(
        self, evaluator: Evaluator, part: Part, grid: ExitLevels, max_rounds: int, max_points: int | None = None
    ) -> None:
        self._evaluator, self._part, self._grid, self._max_rounds = evaluator, part, grid, max_rounds
        self._max_points = max_points or sys.maxsize
        self.tried: list[Evaluation] = []

    def run(self, selection: Selection, start: Exit) -> Refined:
        """Search from a start until a round over all coordinates brings nothing.

        The first round tries the levels of the grid, later ones step off it by less and less. A holding never exceeds
        the longest of the grid, so the entries stay the same; a trail never falls below the tightest of the grid. No
        more than the most combinations of a start are tried, the start among them.
        """
        here, best = start, self.totals(selection, [start])[0]
        points = 1
        for number in range(self._max_rounds):
            before = best
            for coordinate in COORDINATES:
                line = _thinned(self._line(here, coordinate, number), self._max_points - points)
                if not line:
                    continue
                totals = self.totals(selection, line)
                points += len(line)
                place = int(np.argmax(totals))
                if totals[place] > best:
                    here, best = line[place], totals[place]
            if number > 0 and best <= before:
                break
        flat = self.plateau(selection, here)
        return Refined(selection, here, best, flat, points)

    def totals(self, selection: Selection, exits: Sequence[Exit]) -> list[float]:
        """Give the total of each exit; exits that differ in one coordinate share their tables."""
        evaluation = self._evaluator.evaluate(_levels(exits), selection, self._part)
        self.tried.append(evaluation)
        totals = evaluation.totals()
        found = {evaluation.levels.at(i): float(totals[i]) for i in range(len(totals))}
        return [found[_shown(exit_)] for exit_ in exits]

    def plateau(self, selection: Selection, exit_: Exit) -> float:
        """Give the mean total over the point and its neighbours, 10 % away in each distance and the holding."""
        levels = ExitLevels(
            np.array(self._around(exit_.take_profit)),
            np.array(self._around(exit_.stop_loss)),
            np.array([exit_.activation]),
            np.array([exit_.trail]),
            np.array(sorted({self._hold(exit_.holding * f) for f in (1 / LOCAL_STEP, 1.0, LOCAL_STEP)}), np.int64),
        )
        evaluation = self._evaluator.evaluate(levels, selection, self._part)
        self.tried.append(evaluation)
        return float(evaluation.totals().mean())

    def _around(self, value: float) -> list[float]:
        return [OFF] if value == OFF else [value / LOCAL_STEP, value, value * LOCAL_STEP]

    def _hold(self, value: float) -> int:
        return int(min(max(1, round(value)), int(self._grid.holding[-1])))

    def _line(self, here: Exit, coordinate: str, number: int) -> list[Exit]:
        if coordinate == "activation" and here.trail == OFF:
            return []
        current = getattr(here, coordinate)
        if number == 0:
            axis = np.unique(getattr(self._grid, coordinate))
            values = axis[np.unique(np.linspace(0, len(axis) - 1, min(len(axis), MAX_LINE)).astype(int))].tolist()
        elif current in (OFF, 0.0):
            return []
        else:
            width = 1.0 + 0.5 / 2**number
            values = [current / width**2, current / width, current * width, current * width**2]
        if coordinate == "holding":
            values = sorted({self._hold(value) for value in values})
        if coordinate == "trail":
            tightest = float(self._grid.trail.min())
            values = [value for value in values if value >= tightest]
        moved = [replace(here, **{coordinate: value}) for value in values if value != current]
        return [_shown(exit_) for exit_ in moved]


def _thinned(line: list[Exit], room: int) -> list[Exit]:
    """Leave out points evenly where a start may try no more than ``room``."""
    return [line[i * len(line) // room] for i in range(room)] if len(line) > room else line


def _shown(exit_: Exit) -> Exit:
    """Give an exit in one form: without a trail there is no activation."""
    return replace(exit_, activation=0.0) if exit_.trail == OFF else exit_


def _levels(exits: Sequence[Exit]) -> ExitLevels:
    """Make the levels of exits that differ in one coordinate, which makes a line and not a product."""
    pairs = list(dict.fromkeys((exit_.activation, exit_.trail) for exit_ in map(_shown, exits)))
    return ExitLevels(
        np.array(sorted({exit_.take_profit for exit_ in exits})),
        np.array(sorted({exit_.stop_loss for exit_ in exits})),
        np.array([pair[0] for pair in pairs]),
        np.array([pair[1] for pair in pairs]),
        np.array(sorted({exit_.holding for exit_ in exits}), np.int64),
    )
