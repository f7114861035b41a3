"""What a search writes: a summary for the report and machines, the grids, and parameters for a live program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from seawall.arrays import Float64
from seawall.search.account import Account
from seawall.search.config import SearchConfig, listed
from seawall.search.costs import BPS
from seawall.search.evaluate import Evaluation
from seawall.search.holding import entities_of, hold, wealth
from seawall.search.phases import Choice, Found, Search, Validated
from seawall.search.replay import NUM_POINTS, Book
from seawall.search.spans import Spans
from seawall.search.sweep import STATISTICS
from seawall.stores.atomic import replacing
from seawall.stores.npy import write_array

GRID_COLUMNS = ("total", "plateau", *STATISTICS)
"""Columns of ``grid.npy`` [C, 8]."""


@dataclass(frozen=True, slots=True)
class TypeRecord:
    """The record of one type, and apart from it what is not the same twice: time and memory."""

    values: dict[str, Any]
    cost: dict[str, float]

    def short(self) -> dict[str, Any]:
        """Give the record without curves and grids, for terminals and run.json."""
        left_out = ("heat", "equity", "walk_forward", "replays", "matrix", "starts", "marginals")
        return {key: value for key, value in self.values.items() if key not in left_out}


def type_record(
    search: Search, found: Found, checked: Validated, exact: Mapping[str, Account | None], live: Choice,
    books: Sequence[tuple[Choice, Book]], statement: dict[str, Any] | None, counts: dict[str, int],
) -> dict[str, Any]:  # fmt: skip
    """Put everything of one type into plain JSON values; undefined is None."""
    in_search = exact["search"]
    hindsight = search.type_config.tune_on == "opportunities"
    return {
        "entries": counts,
        "num_combinations": search.levels.num_combinations,
        "num_trials": found.trials.num_trials,
        "is_exhaustive": search.is_exhaustive,
        "spans": _spans(search.spans, search),
        "phase1": {
            "num_opportunities": in_search.num_opportunities if in_search else None,
            "ideal_total": in_search.ideal if in_search else None,
            "threshold_bps": search.type_config.opportunity_bps,
        },
        "phase2": _weights(found),
        "chosen": found.choice.record() | {"total_return": found.chosen_total, "plateau_total": found.chosen_plateau},
        "account": {name: own.record() if own is not None else None for name, own in exact.items()},
        "buy_and_hold": _held(search, exact),
        "starts": [
            {
                **start.exit.record(),
                "total_return": start.total,
                "plateau_total": start.plateau,
                "points": start.num_points,
            }
            for start in found.starts
        ],
        "matrix": [list(row) for row in found.matrix],
        "heat": _heat(search, found),
        "validation": _validation(checked),
        "walk_forward": [_step(search, step) for step in checked.walk],
        "live": live.record() | {"is_out_of_sample": False},
        "replays": [choice.record() | book.record() for choice, book in books],
        "equity": _equity(search.spans, search, books[0][1]),
        "sample": statement,
        "honesty": _honesty(found.chosen_total, in_search) if hindsight else None,
    }


def _honesty(promised: float, earned: Account | None) -> dict[str, Any]:
    """Say what tuning on opportunities promised, and what the same parameters make of all signals."""
    own = earned.total if earned is not None else 0.0
    return {
        "promised_total": promised,
        "earned_total": own,
        "sentence": (
            "Tuned on opportunities only: the entries that decided were chosen with hindsight. They promise"
            f" {promised / BPS:,.0f} bps in all before the hold-out; the same parameters make {own / BPS:,.0f} bps of"
            " all signals, which is what could have been traded. The gate does not pass such parameters."
        ),
    }


def _spans(spans: Spans, search: Search) -> dict[str, Any]:
    times, held = search.exact.entries.times, spans.holdout
    return {
        "first": int(times[0]),
        "last": int(times[len(times) - 1]),
        "num_search": spans.num_search,
        "num_purged": spans.num_purged,
        "num_holdout": held.stop - held.start if held else 0,
        "holdout_start": int(times[held.start]) if held else None,
        "num_blocks": spans.search.num_blocks,
        "embargo_blocks": spans.embargo_blocks,
    }


def _weights(found: Found) -> dict[str, Any]:
    ranked = found.weights.best(10)
    totals = found.weights.blocks.sum(axis=1)
    return {
        "num_trials": len(found.weights.selections),
        "base_exit": found.base.record(),
        "best": [
            {
                **found.weights.selections[place].record(),
                "total_return": float(totals[place]),
                "num_trades": found.weights.num_trades[place],
            }
            for place in ranked
        ],
    }


def _heat(search: Search, found: Found) -> dict[str, Any] | None:
    """Best plateau over the other axes, for take-profit against stop-loss and for trail against holding."""
    if found.plateau is None:
        return None
    grid = found.plateau.reshape(search.levels.shape)
    axes = search.type_config.grid
    trails = ["off" if pair is None else f"{pair[1]:g} from {pair[0]:g}" for pair in axes.trail.pairs()]
    return {
        "take_profit_bps": list(listed(axes.take_profit_bps)),
        "stop_loss_bps": list(listed(axes.stop_loss_bps)),
        "trails": trails,
        "holding_periods": list(axes.holds),
        "take_profit_by_stop": grid.max(axis=(2, 3)).tolist(),
        "trail_by_holding": grid.max(axis=(0, 1)).tolist(),
    }


def _validation(checked: Validated) -> dict[str, Any]:
    return {
        "reality_check_p": _known(checked.reality_p),
        "spa_p": _known(checked.spa_p),
        "pbo": _known(checked.pbo),
        "loss_probability": _known(checked.loss_probability),
        "deflated_sharpe": {name: _known(value) for name, value in checked.sharpe.items()},
        "overlap": checked.overlap,
        "walk_forward_total": sum(step.test_profit for step in checked.walk) if checked.walk else None,
        "gate": {
            "passed": checked.gate.passed,
            "conditions": [
                {"name": c.name, "value": c.value, "limit": c.limit, "passed": c.passed}
                for c in checked.gate.conditions
            ],
        },
    }


def _step(search: Search, step: Any) -> dict[str, Any]:  # noqa: ANN401 - a WalkStep
    edges = search.part.edges
    return {
        "train_until": int(edges[step.train_stop]),
        "test_from": int(edges[step.test_start]),
        "test_until": int(edges[step.test_stop]),
        "trial": step.trial,
        "train_total": step.train_profit,
        "test_total": step.test_profit,
    }


def _equity(spans: Spans, search: Search, book: Book) -> dict[str, list[Any]]:
    times = search.exact.entries.times
    first, last = int(times[0]), int(times[spans.everything.stop - 1])
    places = sorted(book.points)
    moments = [first + (last - first) * min(place, NUM_POINTS - 1) // (NUM_POINTS - 1) for place in places]
    bars, entities = search.exact.bars, entities_of(search.exact, spans.everything)
    return {
        "time": moments,
        "equity": [book.points[place] for place in places],
        "buy_and_hold": wealth(bars, entities, np.array(moments, np.int64)).tolist(),
    }


def _held(search: Search, exact: Mapping[str, Account | None]) -> dict[str, Any]:
    """Hold the same entities over each part, from its first entry to the end of its last longest holding."""
    bars, spans, times = search.exact.bars, search.spans, search.exact.entries.times
    entities = entities_of(search.exact, spans.everything)
    held: dict[str, Any] = {"num_entities": len(entities), "search": None, "holdout": None}
    for name, part in (("search", spans.search), ("holdout", spans.holdout)):
        own = exact[name]
        if part is None or own is None:
            continue
        last = search.exact.bars.ends(np.array([search.exact.entries.rows[part.stop - 1]]), search.exact.longest)
        found = hold(bars, entities, int(times[part.start]), int(last[0]))
        held[name] = found.record(own.bars_held / own.num_trades if own.num_trades else None)
    return held


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def write_grid(folder: Path, grid: Evaluation, plateau: Float64) -> None:
    """Write ``grid.npy`` [C, 8] with the columns ``GRID_COLUMNS``; combinations in the order of the levels."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = np.column_stack([grid.totals(), plateau, np.asarray(grid.statistics)])
    with replacing(folder / "grid.npy") as temporary:
        write_array(temporary, columns)


def best_parameters(config: SearchConfig, records: Mapping[str, TypeRecord]) -> str:
    """Write the parameters for a live program, with their verdict and the label of what they are not."""
    types = {}
    for name, record in records.items():
        values = record.values
        held = values["account"]["holdout"]
        types[name] = {
            "parameters": values["live"],
            "refit_on": "all data, hold-out included: these figures are not out of sample",
            "chosen_before_holdout": values["chosen"],
            "holdout": {key: held[key] for key in ("num_trades", "total_return", "mean_return", "t")} if held else None,
            "gate_passed": values["validation"]["gate"]["passed"],
            "gate": values["validation"]["gate"]["conditions"],
            "score_columns": list(config.entries.scores),
        }
    whole = {"format": "seawall-parameters/1", "costs": config.costs.model_dump(mode="json"), "types": types}
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
