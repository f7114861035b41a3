"""Names for Qlib: upper case in the list of instruments, lower case on disk, and none that a file cannot have."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_UNFIT = re.compile(r"[^\w.=^@+-]", re.ASCII)
"""Characters that separators, shells, or Qlib's own list could take for something else."""

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
"""Names Windows keeps for itself; Qlib puts a prefix before them on disk."""

MAX_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Instrument:
    """An entity under the name Qlib knows it by."""

    entity: str
    symbol: str

    @property
    def folder(self) -> str:
        """Name of its folder under ``features``."""
        return f"_qlib_{self.symbol.lower()}" if self.symbol.lower() in _RESERVED else self.symbol.lower()


def file_name(name: str) -> str:
    """Turn a column name into a field name: lower case, and ``_`` for what a file name or an expression cannot hold."""
    fitting = re.sub(r"\W", "_", name.lower(), flags=re.ASCII)[:MAX_LENGTH]
    return fitting or "_"


def instruments_of(entities: Sequence[str]) -> list[Instrument]:
    """Name every entity, in order; the first of those that would be one keeps the name, others get a number."""
    taken: set[str] = set()
    found = []
    for entity in entities:
        fitting = _UNFIT.sub("_", entity).upper()[:MAX_LENGTH].strip(".") or "_"
        symbol, number = fitting, 2
        while symbol.lower() in taken:
            symbol, number = f"{fitting}_{number}", number + 1
        taken.add(symbol.lower())
        found.append(Instrument(entity, symbol))
    return found
