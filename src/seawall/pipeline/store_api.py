"""The calls of the Python surface that keep a panel store: each does its work in a child."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seawall.bridges.memory import KINDS
from seawall.budget.limits import find_budget
from seawall.errors import ConfigError, nearest
from seawall.pipeline import upkeep
from seawall.pipeline.progress import listener_of
from seawall.pipeline.upkeep import Upkeep

if TYPE_CHECKING:
    from seawall.stores.panel import Panel


def append(
    panel: str | Path,
    sources: str | Path | Sequence[str | Path],
    *,
    memory: str | None = None,
    progress: bool | None = None,
) -> "Panel":
    """Add new dates, new entities and late rows to a panel store.

    Parameters
    ----------
    panel
        A ``NAME.panel`` folder that an ingest made.
    sources
        Files, folders or globs like those of the ingest; files that are in the panel already are passed by.
    memory
        Budget of the work and this process together, for example ``"2GiB"``; what the machine offers where missing.
    progress
        Show how far it is, with memory against the budget: by default in a notebook only.

    Returns
    -------
    Panel
        The store with the new rows, mapped read-only.

    Raises
    ------
    SeawallError
        With file, line and what to do; the store is untouched.

    Notes
    -----
    Memory is one parsed block and the ends of some entities with their halo; it does not grow with rows. A feature that
    looks ahead was refused by the ingest, and earlier rows keep their values; only targets become known.
    """
    listed = [sources] if isinstance(sources, str | Path) else list(sources)
    upkeep.append(_work("append", panel, memory, progress), [str(source) for source in listed])
    return _opened(panel)


def compact(panel: str | Path, *, memory: str | None = None, progress: bool | None = None) -> "Panel":
    """Make one segment of several: the same rows, read faster.

    Parameters
    ----------
    panel
        A ``NAME.panel`` folder.
    memory
        Budget of the work and this process together, for example ``"2GiB"``; what the machine offers where missing.
    progress
        Show how far it is, with memory against the budget: by default in a notebook only.

    Returns
    -------
    Panel
        The store, mapped read-only.

    Raises
    ------
    SeawallError
        BudgetError where memory or disk do not suffice, FormatError for a damaged store; it is untouched.

    Notes
    -----
    Memory is one block of rows and some bytes for each entity and segment; it does not grow with rows.
    """
    upkeep.compact(_work("compact", panel, memory, progress))
    return _opened(panel)


def export(
    panel: str | Path, output: str | Path, *, to: str, memory: str | None = None, progress: bool | None = None
) -> Path:
    """Write a panel store, or a run folder, for other programs.

    Of both: ``parquet``, ``qlib``, ``zipline``, ``backtrader``; of a run also ``qlib-pred``, ``alphalens`` and
    ``vectorbt``. Missing values stay missing.

    Parameters
    ----------
    panel
        A ``NAME.panel`` folder, or a run folder.
    output
        The folder to write.
    to
        One of the kinds above.
    memory
        Budget of the work and this process together, for example ``"2GiB"``; what the machine offers where missing.
    progress
        Show how far it is, with memory against the budget: by default in a notebook only.

    Returns
    -------
    Path
        The folder, which must not have existed.

    Raises
    ------
    ConfigError
        For an unknown kind, or an output that is there already.

    Notes
    -----
    Memory is one block of rows; it does not grow with rows.
    """
    if to not in KINDS:
        raise ConfigError("to", "unknown kind", found=repr(to), do=nearest(to, KINDS))
    store, predictions = upkeep.source_of(Path(panel), to)
    upkeep.export(_work("export", store, memory, progress), to, Path(output), predictions)
    return Path(output)


def _work(stage: str, panel: str | Path, memory: str | None, progress: bool | None) -> Upkeep:
    return Upkeep(stage, Path(panel), find_budget(memory), listener_of(progress), "the same call")


def _opened(panel: str | Path) -> "Panel":
    from seawall.stores.panel import Panel

    return Panel(panel)
