"""Panels on a node's own disk: copied once, every file checked, within a bound; those used longest ago make room."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seawall.errors import BudgetError, DataError, from_record
from seawall.pipeline.lock import try_hold
from seawall.units import format_bytes


@contextmanager
def held_panel(order: Mapping[str, Any]) -> Iterator[Path]:
    """Give the path of a panel on this node, copied where it is not there yet, and keep it there while it is used.

    Whoever copies holds the panel's lock alone; others wait and find it whole. A copy is published by a rename, after
    every file had the checksum that the store's manifest names. The copying is done in a process of its own, so that no
    library of a file system stays in this one.

    Parameters
    ----------
    order
        ``source`` (a path, or an address such as ``s3://``), ``content_key`` of the store that is asked for, ``folder``
        of the cache and its ``limit_bytes``.

    Raises
    ------
    DataError
        Where the source is another panel than the run's, or a copied file is damaged.
    BudgetError
        Where the panel is larger than the cache may be, or its disk is full.
    """
    folder, key = Path(order["folder"]), str(order["content_key"])
    target = folder / f"{key}.panel"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{key}.lock").open("a") as lock:
        while True:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if (target / "panel.json").is_file():
                break
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (target / "panel.json").is_file():
                _copy(order, target)
        os.utime(target)
        yield target


def _copy(order: Mapping[str, Any], target: Path) -> None:
    request = {**order, "target": str(target)}
    argv = [sys.executable, "-P", "-m", "seawall.pipeline.cluster.copying", json.dumps(request)]
    ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if ended.returncode == 0:
        return
    with suppress(ValueError):
        raise from_record(json.loads(ended.stdout))
    lines = ended.stderr.decode("utf-8", "replace").strip().splitlines() or ["no text"]
    raise DataError(f"panel {order['source']}", "cannot be copied to a node", found=lines[-1][:300])


def make_room(folder: Path, needed_bytes: int, limit_bytes: int) -> None:
    """Remove panels used longest ago until what is needed fits the bound; one that is being read is left alone.

    Raises
    ------
    BudgetError
        Where it does not fit.
    """
    if needed_bytes > limit_bytes:
        found, do = f"{format_bytes(needed_bytes)}", "Raise cluster.cache_budget."
        raise BudgetError(f"cache {folder}", "a panel is larger than it may be", found=found, do=do)
    kept = sorted(_kept(folder), key=lambda path: path.stat().st_mtime)
    held = {path: _size(path) for path in kept}
    for path in kept:
        if sum(held.values()) + needed_bytes <= limit_bytes:
            return
        with try_hold(folder / f"{path.stem}.lock") as is_free:
            if is_free:
                shutil.rmtree(path, ignore_errors=True)
                held.pop(path)
    if sum(held.values()) + needed_bytes > limit_bytes:
        found = f"{format_bytes(sum(held.values()))} of panels that are being read"
        raise BudgetError(f"cache {folder}", "has no room for a panel", found=found, do="Raise cluster.cache_budget.")


def _kept(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.panel") if path.is_dir() and not path.is_symlink()]


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
