"""Find what killed runs have left: files nobody publishes, continues or reads. Nothing is removed here."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seawall.budget.cgroup import own_group
from seawall.pipeline.journal import last_report
from seawall.pipeline.manifest import read_run_record
from seawall.pipeline.scratch import dead_folders
from seawall.stores.folder import unused_segments

_TEMPORARY = re.compile(r"\..+\.tmp|\.tmp-.+", re.DOTALL)
"""Names that files have while they are written (``stores/atomic.py``)."""

EMPTY_CGROUP = "empty cgroup"

_RUN_FOLDERS = ("", "models/*", "models/*/*", "predictions", "metrics", "backtest", "backtest/*")
"""Folders of a run that files are written to."""


@dataclass(frozen=True, slots=True)
class Litter:
    """One thing that may go."""

    path: Path
    kind: str
    bytes: int
    """What its removal frees on disk."""
    modified_seconds: float
    """When it, or the newest thing in it, was written (since 1970)."""
    root: Path
    """The folder it was found in; its removal never leaves it."""


def litter_of_machine() -> list[Litter]:
    """List what killed runs of this user left in the temporary folder and among the memory cgroups."""
    folders = [_litter(path, "scratch of a killed run", path.parent) for path in dead_folders()]
    groups = [Litter(path, EMPTY_CGROUP, 0, path.lstat().st_mtime, path.parent) for path in _dead_groups()]
    return [found for found in (*folders, *groups) if found is not None]


def _dead_groups() -> list[Path]:
    """List the cgroups of stages whose parent is gone and that hold no process any more."""
    around = own_group()
    folders = around.folder.glob("seawall-*-*") if around is not None else ()
    pids = ((folder, folder.name.split("-")[1]) for folder in folders)
    gone = (folder for folder, pid in pids if pid.isdigit() and not Path("/proc", pid).exists())
    return sorted(folder for folder in gone if not (folder / "cgroup.procs").read_text(encoding="ascii").split())


def litter_of_run(folder: Path) -> list[Litter]:
    """List what may go in a run folder that no run holds.

    Kept are published files, checkpoints and slot files of units that are not finished (a run continues from them), and
    what ``seawall status`` reads about the last end.

    Raises
    ------
    FormatError
        Where the folder is not a run's.
    """
    done = read_run_record(folder)["units"]
    found = [_litter(path, "half-written file", folder) for path in _half_written(folder)]
    found += [
        _litter(path, f"progress of {unit}, which is finished", folder)
        for unit, path in _progress(folder)
        if unit in done and unit != last_report(folder).get("unit")
    ]
    panels = {path for path in _inside(folder, "*.panel") if path.is_dir()}
    panels |= {folder / path.name[1:].rpartition(".")[0] for path in _inside(folder, ".*.panel.*")}
    published = {os.path.normpath(folder / path) for path in _published(done)}
    listed = [litter for litter in found if litter is not None and os.path.normpath(litter.path) not in published]
    return listed + [litter for panel in sorted(panels) for litter in litter_of_panel(panel, root=folder)]


def _progress(folder: Path) -> Iterator[tuple[str, Path]]:
    """Give what units keep while they run; the unit of the last report may be at it again with another config."""
    for path in _inside(folder, "predictions/fold_*.slots"):
        yield f"predict/{path.name.partition('.')[0]}", path
    for path in _inside(folder, "models/fold_*/checkpoint.pt"):
        yield f"train/{path.parent.name}", path
    for path in _inside(folder, "models/fold_*/trees_kept.json"):
        yield f"train/{path.parent.name}", path
    for path in _inside(folder, "models/fold_*/*/checkpoint.pt"):
        yield f"train/{path.parent.parent.name}/{path.parent.name}", path


def _published(units: dict[str, dict[str, object]]) -> Iterator[str]:
    for record in units.values():
        outputs = record["outputs"]
        if isinstance(outputs, list):
            yield from (str(output["path"]) for output in outputs)


def _half_written(folder: Path) -> Iterator[Path]:
    for place in _RUN_FOLDERS:
        parents = _inside(folder, place) if place else [folder]
        for parent in parents:
            if _is_real_folder(parent):
                yield from (path for path in parent.iterdir() if _TEMPORARY.fullmatch(path.name))


def litter_of_panel(panel: Path, *, root: Path | None = None) -> list[Litter]:
    """List what may go in and beside a panel store that no run holds: segments no manifest names, spilled rows."""
    root = root or panel.parent
    found = [
        _litter(panel.with_name(f".{panel.name}.ingest"), "rows a killed ingest would go on from", root),
        _litter(panel.with_name(f".{panel.name}.append"), "rows of a killed append", root),
        _litter(panel.with_name(f".{panel.name}.run"), "scratch of a killed ingest", root),
        _litter(panel.with_name(f".{panel.name}.lock"), "lock that nobody holds", root),
    ]
    if _is_real_folder(panel):
        found += [_litter(path, "segment no manifest names", root) for path in unused_segments(panel)]
        found.append(_litter(panel / ".panel.json.tmp", "half-written file", root))
    return [litter for litter in found if litter is not None]


def _inside(folder: Path, pattern: str) -> list[Path]:
    """Match a pattern below a folder, through real folders only."""
    return [path for path in sorted(folder.glob(pattern)) if is_inside(path, folder)]


def is_inside(path: Path, root: Path) -> bool:
    """Tell whether a path lies below a folder with no link on the way, the last name aside."""
    try:
        between = path.parent.relative_to(root).parts
    except ValueError:
        return False
    at = root
    for part in between:
        at = at / part
        if part == ".." or not _is_real_folder(at):
            return False
    return True


def _is_real_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _litter(path: Path, kind: str, root: Path) -> Litter | None:
    """Measure a file, a link (never what it points to) or a folder; None where it is gone or lies behind a link."""
    if not is_inside(path, root):
        return None
    try:
        status = path.lstat()
    except OSError:
        return None
    all_of_it = [status, *(_statuses(path) if stat.S_ISDIR(status.st_mode) else ())]
    newest = max(one.st_mtime for one in all_of_it)
    return Litter(path, kind, sum(one.st_blocks * 512 for one in all_of_it), newest, root)


def _statuses(folder: Path) -> Iterable[os.stat_result]:
    for parent, folders, files in os.walk(folder, followlinks=False):
        for name in (*folders, *files):
            try:
                yield (Path(parent) / name).lstat()
            except OSError:
                continue


def is_panel(path: Path) -> bool:
    """Tell whether a folder is, or was to become, a panel store."""
    return path.name.endswith(".panel") and not (path / "run.json").exists()
