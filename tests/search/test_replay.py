"""Money with limits: slots, one position per entity, leverage; and a curve over decades of nanoseconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from seawall.search.config import ReplayConfig
from seawall.search.costs import Costs
from seawall.search.entry_columns import Entries
from seawall.search.evaluate import Evaluator, Part, Selection
from seawall.search.levels import OFF, Exit
from seawall.search.opportunities import Opportunities
from seawall.search.replay import NUM_POINTS, Book, replay
from tests.search.worlds import NO_COSTS, random_bars, random_entries

DAY = 86_400 * 10**9


def test_slots_busy_entities_and_money_limit_what_is_taken() -> None:
    book = Book(num_slots=2, leverage=3.0)
    book.enter(0, time=0, exit_time=9, net=0.1, point=0)
    book.enter(0, time=1, exit_time=3, net=0.5, point=1)  # the entity is busy
    book.enter(1, time=2, exit_time=5, net=-0.2, point=2)
    book.enter(2, time=3, exit_time=6, net=0.5, point=3)  # no slot is free
    book.enter(2, time=6, exit_time=7, net=0.0, point=4)  # the second slot is free again
    book.settle(100)

    assert (book.num_taken, book.num_entity_busy, book.num_no_slot) == (3, 1, 1)
    assert book.equity == 1 - 0.5 * 3 * 0.2 + 0.5 * 3 * 0.1
    assert abs(book.max_drawdown - 0.3) < 1e-12


def test_the_curve_goes_on_to_the_end_over_decades_of_nanoseconds(tmp_path: Path) -> None:
    bars = random_bars(2, num_bars=9000, missing=0.0)
    bars = replace(bars, time=bars.time * DAY, period=DAY)
    rows, sides = random_entries(bars, 2, num_entries=3000, max_holding=10)
    entries = Entries(rows, bars.time[rows], sides, np.empty((len(rows), 0)))
    part = Part("all", 0, len(rows), np.array([0, int(bars.time[-1])]))
    evaluator = Evaluator(bars, entries, Costs.of(NO_COSTS), Opportunities(0.0, 0.0), 10, tmp_path, "key")
    book = replay(evaluator, Selection(), Exit(OFF, OFF, 0.0, OFF, 10), part, ReplayConfig(num_slots=5), 1.0)

    assert min(book.points) == 0
    assert max(book.points) == NUM_POINTS
    assert len(book.points) > 0.95 * NUM_POINTS, "entries are spread over all of the time"
    assert book.num_taken + book.num_no_slot + book.num_entity_busy == len(rows)
