"""What a check says: clean, worth a look, a leak, or not run and why."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["ok", "check", "leak", "not run"]

_ORDER: tuple[Verdict, ...] = ("not run", "ok", "check", "leak")


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check.

    ``leak`` is certain: a later value was seen to matter. ``check`` is a pattern that leaks have and honest
    data seldom: a person must look.
    """

    name: str
    verdict: Verdict
    why: str
    evidence: tuple[str, ...] = ()
    """Columns, folds, rows: the first ones, as text."""

    def record(self) -> dict[str, Any]:
        """Give the check as plain JSON values."""
        return {**asdict(self), "evidence": list(self.evidence)}


def not_run(name: str, why: str) -> Check:
    """Say that a check could not be made, and why."""
    return Check(name, "not run", why)


def judged(name: str, clean: str, *, leaks: Iterable[str] = (), checks: Iterable[str] = ()) -> Check:
    """Make a check of what was found: any leak decides, then anything worth a look, else it is clean."""
    certain, doubtful = tuple(leaks), tuple(checks)
    for verdict, found in (("leak", certain), ("check", doubtful)):
        if found:
            shown = found[0] if len(found) == 1 else f"{found[0]}; and {len(found) - 1:,} more"
            return Check(name, "leak" if verdict == "leak" else "check", shown, (certain + doubtful)[:20])
    return Check(name, "ok", clean)


def worst(verdicts: Iterable[str]) -> Verdict:
    """Give the gravest of several verdicts.

    >>> worst(["ok", "check", "not run"])
    'check'
    """
    found = set(verdicts)
    return next((verdict for verdict in reversed(_ORDER) if verdict in found), "not run")
