"""Spans of time as people write them: ``2d``, ``12h``, or plain steps."""

import re

from seawall.errors import ConfigError

_UNITS_NS = {
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
    "w": 7 * 86_400 * 10**9,
}
_SPAN = re.compile(r"(\d{1,9})\s*(s|min|h|d|w)?", re.ASCII)


def span_of(text: str, calendar_kind: str, where: str) -> int:
    """Read a span: nanoseconds on a calendar of times, steps on a calendar of integers; 0 needs no unit.

    Raises
    ------
    ConfigError
        Where it is no span, or has a unit that the calendar has not.
    """
    match = _SPAN.fullmatch(text.strip())
    number, unit = (int(match.group(1)), match.group(2)) if match else (0, None)
    is_steps = calendar_kind == "step"
    if match is None or (unit is not None if is_steps else unit is None and number > 0):
        allowed = "a number of steps" if is_steps else "a number with s, min, h, d or w, such as 45d"
        raise ConfigError(where, "not a span of this calendar", found=repr(text), allowed=allowed)
    return number * (_UNITS_NS[unit] if unit else 1)
