"""Folds drawn as text: one line a fold, one mark a stretch of the calendar; light to import, ``seawall plan`` draws."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

WIDTH = 74
"""Marks of a line; with the number of the fold 79 characters."""

LEGEND = "t train, v valid, T test, x purged, e embargo, . unused"

Ranges: TypeAlias = Iterable[tuple[int, int]]


def picture_line(number: int, num_dates: int, layers: Sequence[tuple[str, Ranges]]) -> str:
    """Draw a fold: each layer is a mark and the calendar ranges it covers, later layers over earlier ones.

    A range is at least one mark wide; one that is narrower may be covered by its neighbour.
    """
    marks = ["."] * WIDTH
    for mark, ranges in layers:
        for start, stop in ranges:
            first = min(start * WIDTH // max(num_dates, 1), WIDTH - 1)
            last = min(max(first + 1, stop * WIDTH // max(num_dates, 1)), WIDTH)
            marks[first:last] = mark * (last - first)
    return f"{number:>4} {''.join(marks)}"


def record_lines(records: Sequence[dict[str, Any]], num_dates: int) -> list[str]:
    """Draw all folds of ``folds.json``."""
    return [picture_line(int(record["fold"]), num_dates, _layers(record)) for record in records]


def _layers(record: dict[str, Any]) -> list[tuple[str, Ranges]]:
    layers: list[tuple[str, Ranges]] = [("t", _ranges(record["train"]))]
    layers += [
        (mark, [_range(part) for part in record.get(name, [])]) for mark, name in (("x", "purged"), ("e", "embargo"))
    ]
    return [*layers, ("v", _ranges(record["valid"])), ("T", _ranges(record["test"]))]


def _ranges(segment: dict[str, Any]) -> Ranges:
    return [_range(part) for part in segment.get("ranges") or [segment]]


def _range(part: dict[str, Any]) -> tuple[int, int]:
    return int(part["start"]), int(part["stop"])
