"""A commented YAML config: each key with the reason it was guessed so, above it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Guess:
    """One key of the config, its value, and why."""

    place: str
    """Dotted place, such as ``ingest.entity``."""
    value: object
    """Plain YAML values."""
    why: str
    otherwise: str = ""
    """What else it could be."""

    @property
    def section(self) -> str:
        """The section it stands in; empty for the top."""
        return self.place.rpartition(".")[0]

    @property
    def key(self) -> str:
        """Its name there."""
        return self.place.rpartition(".")[2]

    def record(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {"place": self.place, "value": self.value, "why": self.why, "otherwise": self.otherwise}


def values_of(guesses: Sequence[Guess]) -> dict[str, Any]:
    """Put the guesses together as the config they are."""
    config: dict[str, Any] = {}
    for guess in guesses:
        into = config.setdefault(guess.section, {}) if guess.section else config
        into[guess.key] = guess.value
    return config


def config_lines(guesses: Sequence[Guess], header: Sequence[str]) -> str:
    """Write the config, its comments filled to 80 characters."""
    lines = [line for text in header for line in _comment(text, "")]
    section = ""
    for guess in guesses:
        if guess.section != section:
            section = guess.section
            lines += ["", f"{section}:"]
        elif not section:
            lines.append("")
        indent = "  " if section else ""
        lines += _comment(guess.why, indent)
        if guess.otherwise:
            lines += _comment(f"Else: {guess.otherwise}", indent)
        lines += textwrap.indent(_yaml(guess.key, guess.value), indent).splitlines()
    return "\n".join(lines) + "\n"


def _yaml(key: str, value: object) -> str:
    flat = isinstance(value, list) or (isinstance(value, dict) and len(str(value)) < WIDTH and _is_shallow(value))
    shown = yaml.safe_dump(value, default_flow_style=flat, sort_keys=False, allow_unicode=False, width=10**9)
    shown = shown.removesuffix("...\n").rstrip("\n")
    if isinstance(value, dict) and not flat:
        return f"{key}:\n" + textwrap.indent(shown, "  ")
    return f"{key}: {shown}"


def _is_shallow(value: dict[str, Any]) -> bool:
    return not any(isinstance(part, dict | str) and len(str(part)) > 30 for part in value.values())


def _comment(text: str, indent: str) -> list[str]:
    """Fill a comment; a name of the data cannot end it: what does not print is shown as a question mark."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in text)
    start = f"{indent}# "
    return textwrap.wrap(clean, WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False) or [start]
