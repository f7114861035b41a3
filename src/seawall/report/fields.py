"""Read values out of a JSON object whose keys may be missing: a number, a count, a text, a part, or None."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.errors import FormatError


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object read with care: a missing key, null, NaN or a value of another type reads as undefined."""

    values: Mapping[str, Any]

    def __bool__(self) -> bool:
        return bool(self.values)

    def number(self, key: str) -> float | None:
        """Give a finite number."""
        return as_number(self.values.get(key))

    def count(self, key: str) -> int | None:
        """Give a whole number."""
        value = self.number(key)
        return None if value is None else int(value)

    def text(self, key: str) -> str | None:
        """Give a text; numbers are written out (a time may be an integer step)."""
        value = self.values.get(key)
        if isinstance(value, str):
            return value
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def part(self, key: str) -> "Fields":
        """Give an object, empty where there is none."""
        value = self.values.get(key)
        return Fields(value if isinstance(value, dict) else {})

    def parts(self, key: str) -> tuple["Fields", ...]:
        """Give the objects of a list."""
        return tuple(Fields(item) for item in self.items(key) if isinstance(item, dict))

    def items(self, key: str) -> tuple[Any, ...]:
        """Give a list, empty where there is none."""
        value = self.values.get(key)
        return tuple(value) if isinstance(value, list) else ()

    def texts(self, key: str) -> tuple[str, ...]:
        """Give the texts of a list; one text reads as a list of it."""
        value = self.values.get(key)
        found = [value] if isinstance(value, str) else self.items(key)
        return tuple(item for item in found if isinstance(item, str))

    def numbers(self, key: str) -> dict[str, float]:
        """Give an object's numbers by name."""
        pairs = ((name, as_number(value)) for name, value in self.part(key).values.items())
        return {name: value for name, value in pairs if value is not None}

    def counts(self, key: str) -> dict[str, int]:
        """Give an object's whole numbers by name."""
        return {name: int(value) for name, value in self.numbers(key).items()}


def as_number(value: object) -> float | None:
    """Give a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def read_fields(path: Path) -> Fields:
    """Read a JSON object from a file; an empty one where there is no file.

    Raises
    ------
    FormatError
        For a file that is not a JSON object.
    """
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Fields({})
    except (OSError, ValueError) as error:
        raise FormatError(
            str(path), "cannot be read as JSON", found=str(error), do="Run the same command again to write it anew."
        ) from error
    if not isinstance(loaded, dict):
        raise FormatError(
            str(path),
            "not a JSON object",
            found=type(loaded).__name__,
            do="Run the same command again to write it anew.",
        )
    return Fields(loaded)
