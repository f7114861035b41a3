"""Sweep what killed runs have left; never what a live run uses, a finished one has published, or lies behind a link."""

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from seawall.errors import FormatError
from seawall.pipeline.litter import (
    EMPTY_CGROUP,
    Litter,
    is_inside,
    is_panel,
    litter_of_machine,
    litter_of_panel,
    litter_of_run,
)
from seawall.pipeline.lock import holders, try_hold


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanChoice:
    """What may stay."""

    older_than_seconds: float = 0.0
    """Anything younger stays."""
    limit_bytes: int = 0
    """As much as this stays, the newest first."""
    is_dry: bool = False
    """Look and tell, remove nothing."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What was found, and what became of it."""

    removed: list[Litter] = field(default_factory=list)
    """In a dry run: what would be removed."""
    kept: list[Litter] = field(default_factory=list)
    """Too young, or within the limit."""
    in_use: list[tuple[Path, str]] = field(default_factory=list)
    """Folders that were left alone, and the processes that hold them."""
    failed: list[tuple[Path, str]] = field(default_factory=list)
    """What could not be removed, and why."""


def clean(folders: Sequence[Path], choice: CleanChoice) -> Swept:
    """Sweep run folders, panel stores and what killed runs of this user have left on the machine.

    Each folder is locked while it is looked at and swept, so that no run starts in it meanwhile.

    Raises
    ------
    FormatError
        Where a folder holds neither a run nor a panel; nothing is removed then.
    """
    for folder in folders:
        _require_ours(folder)
    swept = Swept()
    with ExitStack() as held:
        found, free = litter_of_machine(), dict[Path, bool]()
        for folder in dict.fromkeys(folder.absolute() for folder in folders):
            found += _litter_of_free(folder, swept, held, free)
        go, stay = _choose(found, choice)
        swept.kept.extend(stay)
        for litter in go:
            problem = "" if choice.is_dry else _remove(litter)
            if problem:
                swept.failed.append((litter.path, problem))
            else:
                swept.removed.append(litter)
    return swept


def _require_ours(folder: Path) -> None:
    if not folder.is_dir() or not ((folder / "run.json").is_file() or is_panel(folder)):
        do = "Name a folder that seawall run wrote, or an X.panel."
        raise FormatError(str(folder), "neither a run folder nor a panel store", do=do)


def _litter_of_free(folder: Path, swept: Swept, held: ExitStack, free: dict[Path, bool]) -> list[Litter]:
    """List the litter of a folder that nobody uses; the lock stays held until everything is swept."""
    if is_panel(folder):
        return litter_of_panel(folder) if _is_free(folder, _panel_locks(folder), swept, held, free) else []
    if not _is_free(folder, [folder / ".lock"], swept, held, free):
        return []
    found = []
    for litter in litter_of_run(folder):
        panel = _panel_of(litter)
        if panel is None or _is_free(panel, _panel_locks(panel), swept, held, free):
            found.append(litter)
    return found


def _panel_of(litter: Litter) -> Path | None:
    """Give the panel a piece of litter lies in or beside."""
    inside = litter.path.relative_to(litter.root).parts[0]
    if inside.endswith(".panel"):
        return litter.root / inside
    beside = inside.removeprefix(".").rpartition(".")[0]
    return litter.root / beside if inside.startswith(".") and beside.endswith(".panel") else None


def _panel_locks(panel: Path) -> list[Path]:
    return [panel.with_name(f".{panel.name}.lock"), panel.with_name(f".{panel.name}.run") / ".lock"]


def _is_free(folder: Path, locks: Sequence[Path], swept: Swept, held: ExitStack, free: dict[Path, bool]) -> bool:
    """Take the locks of a folder, once; each is the kernel's and excludes a second one of this very process too."""
    if folder in free:
        return free[folder]
    free[folder] = True
    for lock in locks:
        if lock.is_symlink():
            continue
        if not held.enter_context(try_hold(lock)):
            swept.in_use.append((folder, holders(lock)))
            free[folder] = False
            break
    return free[folder]


def _choose(found: Sequence[Litter], choice: CleanChoice) -> tuple[list[Litter], list[Litter]]:
    """Part what goes from what stays: young things, and of the others the newest up to the limit."""
    now, kept_bytes = time.time(), 0
    go: list[Litter] = []
    stay: list[Litter] = []
    for litter in sorted(found, key=lambda one: one.modified_seconds, reverse=True):
        is_young = now - litter.modified_seconds < choice.older_than_seconds
        fits = bool(litter.bytes) and not go and kept_bytes + litter.bytes <= choice.limit_bytes
        if is_young or fits:
            kept_bytes += litter.bytes
            stay.append(litter)
        else:
            go.append(litter)
    return go, stay


def _remove(litter: Litter) -> str:
    """Remove one thing; give the reason where that fails. A link is removed itself, never followed."""
    if not is_inside(litter.path, litter.root):
        return "a folder on the way to it has become a link"
    try:
        if litter.kind == EMPTY_CGROUP:
            litter.path.rmdir()
        elif litter.path.is_dir() and not litter.path.is_symlink():
            shutil.rmtree(litter.path)
        else:
            litter.path.unlink(missing_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return ""
