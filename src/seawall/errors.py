"""What can go wrong, sorted by what the user can do about it.

SeawallError
    ConfigError     wrong usage or config: change the command or the file        (exit code 2)
    BudgetError     the plan does not fit the declared memory or disk            (exit code 3)
    DataError       the input tables hold something that must not be guessed at  (exit code 4)
    FormatError     a store of ours is damaged or from another version           (exit code 4)
    StageError      a stage was killed or failed; the same command continues     (exit code 5)
    ResumeError     finished work does not belong to what is asked now           (exit code 5)
    Interrupted     the user stopped it; the same command continues              (exit code 130)
"""

import difflib
import textwrap
from collections.abc import Iterable
from typing import Self

SCREEN_COLUMNS = 110
"""Width of an explanation in a notebook, which does not tell its own."""


class SeawallError(Exception):
    """Base of every error a user may see.

    The text has one form: ``where: what is wrong, found ..., allowed ... . What to do.``
    """

    exit_code = 5

    def __init__(self, where: str, what: str, *, found: str = "", allowed: str = "", do: str = "") -> None:
        self.where, self.what, self.found, self.allowed, self.do = where, what, found, allowed, do
        self.headline, self.cause = "", ""
        self.rows: tuple[tuple[str, str], ...] = ()
        super().__init__(self._text())

    def tell(self, headline: str, rows: Iterable[tuple[str, str]], *, cause: str = "") -> Self:
        """Add what is shown in place of the one-line text: a headline, and rows of a name and a text each."""
        self.headline, self.rows, self.cause = headline, tuple(rows), cause or self.cause
        return self

    def _text(self) -> str:
        facts = [self.what]
        if self.found:
            facts.append(f"found {self.found}")
        if self.allowed:
            facts.append(f"allowed: {self.allowed}")
        text = f"{self.where}: {', '.join(facts)}."
        return f"{text} {self.do[0].upper()}{self.do[1:]}" if self.do else text

    def _render_traceback_(self) -> list[str]:
        """Give the lines a notebook shows in place of a traceback (a hook of IPython)."""
        width = max((len(name) for name, _ in self.rows), default=0)
        lines = [f"{type(self).__name__}: {self.headline or self}"]
        for name, text in self.rows:
            filled = textwrap.wrap(text, SCREEN_COLUMNS - width - 4, break_on_hyphens=False) or [""]
            names = [name] + [""] * (len(filled) - 1)
            lines += [f"  {first:<{width}}  {part}" for first, part in zip(names, filled, strict=True)]
        return lines

    def record(self) -> dict[str, str]:
        """Give the error as plain strings, to cross a process boundary."""
        return {
            "kind": type(self).__name__,
            "where": self.where,
            "what": self.what,
            "found": self.found,
            "allowed": self.allowed,
            "do": self.do,
        }


class ConfigError(SeawallError):
    """Wrong usage or config: change the command or the file."""

    exit_code = 2


class BudgetError(SeawallError):
    """The plan does not fit the declared memory or disk."""

    exit_code = 3


class DataError(SeawallError):
    """The input tables hold something that must not be guessed at."""

    exit_code = 4


class FormatError(SeawallError):
    """A file of ours is damaged, truncated or from another version."""

    exit_code = 4


class StageError(SeawallError):
    """A stage was killed or failed; what was finished is kept and the same command continues."""

    exit_code = 5


class ResumeError(SeawallError):
    """Finished work does not belong to what is asked now."""

    exit_code = 5


class Interrupted(SeawallError):
    """The user stopped the run; what was finished is kept and the same command continues."""

    exit_code = 130


def ends_for_good(kind: type[BaseException]) -> bool:
    """Tell whether the same command would end in the same way again: what it left half done is of no use then."""
    return issubclass(kind, SeawallError) and not issubclass(kind, StageError | Interrupted)


_KINDS: dict[str, type[SeawallError]] = {
    kind.__name__: kind
    for kind in (ConfigError, BudgetError, DataError, FormatError, StageError, ResumeError, Interrupted)
}


def from_record(record: dict[str, str]) -> SeawallError:
    """Rebuild an error that another process wrote with :meth:`SeawallError.record`."""
    kind = _KINDS.get(record.get("kind", ""), StageError)
    return kind(record["where"], record["what"], found=record["found"], allowed=record["allowed"], do=record["do"])


def nearest(name: str, candidates: Iterable[str], *, count: int = 3) -> str:
    """Name the known names nearest to an unknown one, as a sentence part.

    Returns
    -------
    str
        ``"did you mean 'close'?"`` with up to ``count`` names, or the list of known names when none is near.
    """
    known = list(candidates)
    if not known:
        return "there are no names to choose from"
    close = difflib.get_close_matches(name, known, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(repr(k) for k in known[:12])
    return f"known names: {shown}{', ...' if len(known) > 12 else ''}"
