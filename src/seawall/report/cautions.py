"""What a careful reader must know before believing the numbers."""

from collections.abc import Iterator

from seawall.report.facts import exceeds_budget, exceeds_projection, num_unmatched
from seawall.report.records import RunRecords
from seawall.report.words import size, times

STRATEGY_GAPS = (
    ("num_rejected", "order", "not filled, for want of a price to trade at"),
    ("num_decisions_skipped", "decision", "skipped, because too few names had a prediction"),
    ("num_stale_positions", "position", "still held at the end at a price long out of date"),
)
"""Counts of a strategy's statistics that a reader must know where they are not zero, and how to say them."""


def warnings(run: RunRecords) -> tuple[str, ...]:
    """List what stages warned of and what the records show, each once."""
    return tuple(dict.fromkeys((*_recorded(run), *_memory(run), *_gaps(run))))


def _recorded(run: RunRecords) -> Iterator[str]:
    for fields in (run.metrics, *(unit.summary for unit in run.units), run.coverage):
        yield from fields.texts("warnings")


def _memory(run: RunRecords) -> Iterator[str]:
    for unit in run.units:
        if exceeds_projection(unit):
            used, allowed = size(unit.measured_private_bytes), size(unit.projected_private_bytes)
            yield f"{unit.name} used {used}, more than the {allowed} projected."
        if exceeds_budget(unit):
            used, allowed = size(unit.measured_total_bytes), size(unit.declared_bytes)
            yield f"{unit.name} and its parent used {used}, more than the {allowed} declared."


def _gaps(run: RunRecords) -> Iterator[str]:
    undefined = run.overall.rank_ic.count("num_undefined") if run.overall else None
    if undefined:
        dates = times(undefined, "test date")
        yield f"Rank IC is undefined on {dates} (too few names, or no variance): left out, not counted as 0."
    if unmatched := num_unmatched(run.coverage):
        rows = times(unmatched, "prediction")
        yield f"The forward return is undefined for {rows}: left out of the metrics, not counted as 0."
    for strategy in run.strategies:
        for key, noun, reason in STRATEGY_GAPS:
            if count := strategy.statistics.count(key):
                yield f"{strategy.name}: {times(count, noun)} {reason}."
