"""Numbers in words. An undefined number is written ``undefined``, never 0."""

from seawall.units import format_bytes, format_seconds

UNDEFINED = "undefined"


def decimal(value: float | None, digits: int = 4) -> str:
    """Write a number with fixed digits and a true minus sign."""
    return UNDEFINED if value is None else f"{value:,.{digits}f}".replace("-", "−")


def significant(value: float | None, digits: int = 4) -> str:
    """Write a number of unknown size with so many significant digits."""
    return UNDEFINED if value is None else f"{value:,.{digits}g}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """Write a fraction as per cent."""
    return UNDEFINED if value is None else f"{100 * value:,.{digits}f} %".replace("-", "−")


def whole(value: float | None) -> str:
    """Write a count."""
    return UNDEFINED if value is None else f"{int(value):,}".replace("-", "−")


def size(value: float | None) -> str:
    """Write bytes in binary units."""
    return UNDEFINED if value is None else format_bytes(value)


def duration(value: float | None) -> str:
    """Write seconds the way people say them."""
    return UNDEFINED if value is None else format_seconds(value)


def probability(value: float | None) -> str:
    """Write a p value; tiny ones as a bound."""
    if value is None:
        return UNDEFINED
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def when(value: str | int | None) -> str:
    """Write a time: midnight as a date alone, an integer step as it is."""
    if value is None:
        return UNDEFINED
    text = str(value)
    day, _, clock = text.partition("T")
    return day if not clock.strip("0:.Z+") else text


def times(count: int, noun: str) -> str:
    """Write a count with its noun, in the plural where it must be: ``1 fold``, ``4 folds``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"
