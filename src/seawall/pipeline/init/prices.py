"""Which columns are prices."""

from collections.abc import Sequence

from seawall.pipeline.init.names import CLOSE_ALSO, CLOSE_NAMES, HIGH_NAMES, LOW_NAMES, OPEN_NAMES, rank

CLOSES = (*CLOSE_NAMES, *CLOSE_ALSO)


def closing_price(names: Sequence[str]) -> str | None:
    """Name the column a return is best taken from: an adjusted close, then a close, then other prices."""
    ranked = sorted((place, name) for name in names if (place := rank(name, CLOSES)) is not None)
    return ranked[0][1] if ranked else None


def named(names: Sequence[str], known: tuple[str, ...]) -> str | None:
    """Name the first column called by one of the known names."""
    return next((name for name in names if rank(name, known) is not None), None)


def price_columns(names: Sequence[str]) -> list[str]:
    """List open, high, low and all closing prices, in the order of the file; nothing where there is no close."""
    if closing_price(names) is None:
        return []
    known = (*OPEN_NAMES, *HIGH_NAMES, *LOW_NAMES, *CLOSES)
    return [name for name in names if rank(name, known) is not None]
