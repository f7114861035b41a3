"""Sizes with units: parsed from what users write, printed the same way everywhere. Binary units only."""

import re

from seawall.errors import ConfigError

KIB = 1024
MIB = 1024**2
GIB = 1024**3
TIB = 1024**4

_SUFFIX_BYTES = {"": 1, "B": 1, "KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": TIB}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")

_SPAN_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SPAN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(s|min|h|d|w)\s*")


def parse_bytes(text: str | int, *, where: str = "memory") -> int:
    """Read a size such as ``"2GiB"`` or ``"512 MiB"`` as a number of bytes.

    Raises
    ------
    ConfigError
        For anything without a binary unit: ``2GB`` is ambiguous (2.0 or 1.86 GiB) and is refused, not guessed.
    """
    if isinstance(text, int):
        return _positive(text, str(text), where)
    match = _SIZE.fullmatch(text)
    unit = match.group(2).upper() if match else None
    if match is None or unit not in _SUFFIX_BYTES:
        raise ConfigError(
            where,
            "not a size",
            found=repr(text),
            allowed="a number with KiB, MiB, GiB or TiB",
            do="Write for example 2GiB.",
        )
    return _positive(int(float(match.group(1)) * _SUFFIX_BYTES[unit or ""]), text, where)


def _positive(size_bytes: int, text: str, where: str) -> int:
    if size_bytes <= 0:
        raise ConfigError(where, "a size must be greater than zero", found=repr(text), do="Write for example 2GiB.")
    return size_bytes


def parse_seconds(text: str, *, where: str) -> float:
    """Read a span of time such as ``"7d"``, ``"12h"`` or ``"90 min"`` as seconds.

    Raises
    ------
    ConfigError
        For anything without a unit: ``7`` could be days or seconds and is not guessed at.
    """
    match = _SPAN.fullmatch(text.lower())
    if match is None:
        allowed, do = "a number with s, min, h, d or w", "Write for example 7d."
        raise ConfigError(where, "not a span of time", found=repr(text), allowed=allowed, do=do)
    return float(match.group(1)) * _SPAN_SECONDS[match.group(2)]


def format_bytes(size_bytes: int | float) -> str:
    """Print a size in the largest binary unit that keeps it at or above one: ``1.5 GiB``, ``312 MiB``."""
    for unit, unit_bytes in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(size_bytes) >= unit_bytes:
            value = size_bytes / unit_bytes
            return f"{value:.0f} {unit}" if abs(value) >= 100 else f"{value:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def format_apart(first_bytes: int, second_bytes: int) -> tuple[str, str]:
    """Print two sizes with as many digits as it takes to see which is larger: ``205 MiB`` and ``203 MiB``."""
    sizes = (first_bytes, second_bytes)
    pairs = [tuple(format_bytes(size) for size in sizes)]
    pairs += [tuple(f"{size / MIB:,.{digits}f} MiB" for size in sizes) for digits in (0, 1, 2)]
    first, second = next((pair for pair in pairs if pair[0] != pair[1]), tuple(f"{size:,} bytes" for size in sizes))
    return first, second


def format_seconds(seconds: float) -> str:
    """Print a duration the way people say it: ``0.4 s``, ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    if minutes < 2 * 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // (24 * 60)} days"
