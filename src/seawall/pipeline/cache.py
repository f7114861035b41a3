"""Tables handed to a loader are ingested once: the store is kept in a cache folder and found again by content."""

import fcntl
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.errors import ConfigError
from seawall.ingest.config import STAGE_VERSION
from seawall.ingest.sources import source_files
from seawall.pipeline.api import ingest as run_ingest
from seawall.pipeline.frames import is_frame, write_frame
from seawall.stores.atomic import file_checksum, text_key
from seawall.stores.shape import PANEL_FORMAT
from seawall.tables.sources import fingerprint
from seawall.units import GIB

if TYPE_CHECKING:
    from seawall.stores.panel import Panel

LARGEST_CACHE_BYTES = 20 * GIB
"""The panel used longest ago goes when a new one makes the cache larger than this."""


def cache_folder() -> Path:
    """Give the folder of cached panels: ``$XDG_CACHE_HOME/seawall``, else ``~/.cache/seawall``."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "seawall"


def open_panel(data: object, settings: Mapping[str, Any] | None = None, *, memory: str | int | None = None) -> "Panel":
    """Open what a loader is given: a panel, the path of one, or tables, which are ingested into the cache once.

    A cached panel is named after the contents of its sources and the ingest settings, so changed data make a new one.
    Two processes that ask at once wait for one another. The cache is kept below 20 GiB by removing the panels used
    longest ago.

    Parameters
    ----------
    data
        :class:`Panel`, path of a ``NAME.panel`` folder, paths of table files, or a table in memory (pandas, Polars,
        Arrow, or a mapping of columns), which is written to the cache 65,536 rows at a time while it is looked up.
    settings
        The ``ingest`` section for tables: ``entity``, ``time`` and any other key.

    Raises
    ------
    ConfigError
        Where tables come without ``entity`` and ``time``.
    """
    from seawall.stores.panel import Panel

    if isinstance(data, Panel):
        return data
    if isinstance(data, str | Path) and (str(data).endswith(".panel") or (Path(data) / "panel.json").exists()):
        return Panel(data)
    section = dict(settings or {})
    missing = [key for key in ("entity", "time") if key not in section]
    if missing:
        do = 'Write ingest={"entity": ..., "time": ...}, the names of these columns.'
        raise ConfigError(f"ingest.{missing[0]}", "needed to read tables", do=do)
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        written = folder / ".frame.arrow"
        try:
            if is_frame(data):
                write_frame(data, written)
                paths, contents = [str(written)], [file_checksum(written)]
            else:
                paths = _paths(data)
                contents = [json.dumps(fingerprint(file).record()) for file in source_files(tuple(paths))]
            path = folder / f"{_key(contents, section)}.panel"
            if not (path / "panel.json").exists():
                _ingest(paths, path, section, memory)
                _evict(folder, path)
        finally:
            written.unlink(missing_ok=True)
    os.utime(path)
    return Panel(path)


def _paths(data: object) -> list[str]:
    listed = [data] if isinstance(data, str | Path) else data
    if isinstance(listed, Sequence) and listed and all(isinstance(path, str | Path) for path in listed):
        return [str(path) for path in listed]
    raise ConfigError(
        "data", "not something to read windows from", found=type(data).__name__, allowed="panel, paths, frame"
    )


def _key(contents: list[str], section: dict[str, Any]) -> str:
    return text_key(PANEL_FORMAT, str(STAGE_VERSION), json.dumps(section, sort_keys=True, default=list), *contents)


def _ingest(paths: list[str], path: Path, section: dict[str, Any], memory: str | int | None) -> None:
    settings = {key: value for key, value in section.items() if key not in ("entity", "time", "features", "prices")}
    run_ingest(
        paths,
        path,
        entity=str(section["entity"]),
        time=str(section["time"]),
        features=section.get("features"),
        prices=section.get("prices", ()),
        memory=None if memory is None else str(memory),
        settings=settings,
    )


def _evict(folder: Path, keep: Path) -> None:
    """Remove the panels used longest ago until the cache is small enough; never the one just made."""
    panels = sorted(folder.glob("*.panel"), key=lambda panel: panel.stat().st_mtime)
    sizes = {panel: sum(file.stat().st_size for file in panel.rglob("*") if file.is_file()) for panel in panels}
    total_bytes = sum(sizes.values())
    for panel in panels:
        if total_bytes <= LARGEST_CACHE_BYTES:
            return
        if panel != keep:
            # A process that has it open keeps its mapped files until it ends.
            shutil.rmtree(panel, ignore_errors=True)
            total_bytes -= sizes[panel]
