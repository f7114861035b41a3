"""The exact account of one combination: profit, bracket, capture rate, exits by reason."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from seawall.search.evaluate import Evaluator, Part, Selection
from seawall.search.levels import Exit, ExitLevels
from seawall.search.resolve import REASONS, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Sums over the trades of one combination; returns are fractions of the notional at entry."""

    num_trades: int
    total: float
    squares: float
    wins: int
    num_long: int
    optimistic_total: float
    num_ambiguous: int
    num_resolved: int
    """Ambiguous in their own bars, told by finer ones."""
    captured: int
    realised: float
    reasons: dict[str, int]
    bars_held: int
    num_opportunities: int
    """Of all entries of the part, taken or not."""
    ideal: float

    def record(self) -> dict[str, Any]:
        """Give sums and what follows from them; undefined is None."""
        n = self.num_trades
        mean = self.total / n if n else None
        variance = (self.squares - self.total**2 / n) / (n - 1) if n > 1 else 0.0
        return {
            "num_trades": n,
            "total_return": self.total,
            "mean_return": mean,
            "t": mean / math.sqrt(variance / n) if mean is not None and variance > 0 else None,
            "long_share": self.num_long / n if n else None,
            "win_rate": self.wins / n if n else None,
            "pessimistic_total": self.total,
            "optimistic_total": self.optimistic_total,
            "ambiguous_share": self.num_ambiguous / n if n else None,
            "resolved_share": self.num_resolved / n if n else None,
            "capture_rate_count": self.captured / self.num_opportunities if self.num_opportunities else None,
            "capture_rate_value": self.realised / self.ideal if self.ideal > 0 else None,
            "num_opportunities": self.num_opportunities,
            "ideal_total": self.ideal,
            "mean_bars_held": self.bars_held / n if n else None,
            "exits": dict(self.reasons),
        }


def account(evaluator: Evaluator, selection: Selection, exit_: Exit, part: Part) -> Account:
    """Follow every trade of one combination over a part of the entries; exact, one chunk at a time."""
    levels, everything = ExitLevels.single(exit_), Selection()
    sums, counts = np.zeros(4), np.zeros(7, np.int64)
    reasons = np.zeros(len(REASONS), np.int64)
    num_opportunities, ideal = 0, 0.0
    for _, places, sides, tables in evaluator.chunks(part, everything, levels, ideal=True):
        is_opportunity = evaluator.opportunities.mask(tables)
        num_opportunities += int(is_opportunity.sum())
        ideal += float(tables.ideal[is_opportunity].sum())
        taken = selection.mask(np.asarray(evaluator.entries.scores[places]))
        trades = resolve(tables, levels, 0, evaluator.costs)
        net = trades.net[taken]
        of_opportunities = net[is_opportunity[taken]]
        sums += net.sum(), (net * net).sum(), trades.optimistic[taken].sum(), of_opportunities.sum()
        hurdle = evaluator.opportunities.hurdle(tables)[taken]
        wins, held = int((net > 0).sum()), int(trades.bars_held[taken].sum())
        unclear, resolved = int(trades.is_ambiguous[taken].sum()), int(trades.is_resolved[taken].sum())
        counts += len(net), wins, unclear, resolved, int((net > hurdle).sum()), held, int((sides[taken] > 0).sum())
        reasons += np.bincount(trades.reason[taken], minlength=len(REASONS))
    total, squares, optimistic, realised = sums.tolist()
    num_trades, wins, ambiguous, resolved, captured, held, num_long = counts.tolist()
    return Account(
        num_trades=num_trades, total=total, squares=squares, wins=wins, num_long=num_long, optimistic_total=optimistic,
        num_ambiguous=ambiguous, num_resolved=resolved, captured=captured, realised=realised, bars_held=held,
        reasons=dict(zip(REASONS, reasons.tolist(), strict=True)), num_opportunities=num_opportunities, ideal=ideal,
    )  # fmt: skip
