"""The folder of a panel store: which parts of it are ours, which are published, and what may be written where."""

import json
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from seawall.errors import ConfigError
from seawall.stores.atomic import file_checksum

_SEGMENT = re.compile(r"seg-(\d{6})|\.seg-\d{6}\.tmp", re.ASCII)
"""Folders of a panel store that belong to us and may be removed; nothing else ever is."""


def check_output(path: Path, *, continues: bool = False) -> None:
    """Check that a panel store may be written here: nothing yet, an empty folder, or a panel store to replace.

    Parameters
    ----------
    continues
        The present store is added to, not replaced.

    Raises
    ------
    ConfigError
        Where the path is a file, a folder that holds anything else, or a store that rows were appended to and that
        would be replaced.
    """
    where, do = f"output {str(path)[:200]}", "Name a folder that does not exist yet, for example market.panel."
    try:
        is_folder, is_store, exists = path.is_dir(), (path / "panel.json").exists(), path.exists()
    except OSError as error:
        raise ConfigError(where, "not a place for a panel store", found=error.strerror or str(error), do=do) from error
    if not path.name or (exists and not is_folder):
        raise ConfigError(where, "not a place for a panel store", found="a file" if path.name else "no name", do=do)
    if is_store and not continues:
        _refuse_loss(path)
    if not is_folder or is_store:
        return
    foreign = sorted(p.name for p in path.iterdir() if not _SEGMENT.fullmatch(p.name) and p.name != ".panel.json.tmp")
    if foreign:
        raise ConfigError(where, "the folder is not a panel store and not empty", found=repr(foreign[0]), do=do)


def _refuse_loss(path: Path) -> None:
    """Refuse to replace a store that rows were appended to: the sources of an ingest need not hold them."""
    try:
        history = json.loads((path / "panel.json").read_text(encoding="utf-8"))["history"]
    except (OSError, ValueError, LookupError, TypeError):
        return
    if isinstance(history, list) and len(history) > 1:
        raise ConfigError(
            f"output {path}",
            "rows were appended to this store, and this ingest would replace them",
            found=f"{len(history) - 1} appends",
            do="To work on with it, name it as panel and leave the ingest out; to start anew, remove the folder.",
        )


def next_segment(path: Path) -> str:
    """Name the next segment: one higher than every folder there is."""
    matches = [_SEGMENT.fullmatch(p.name) for p in path.iterdir()]
    return f"seg-{max((int(m[1]) for m in matches if m and m[1]), default=-1) + 1:06d}"


def published_segments(path: Path) -> list[str]:
    """List the segments the manifest names, oldest first; none where there is no readable manifest."""
    try:
        segments = json.loads((path / "panel.json").read_text(encoding="utf-8"))["segments"]
        return [str(segment["name"]) for segment in segments]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def same_segment(path: Path, files: dict[str, dict[str, Any]]) -> str:
    """Give the one published segment if it holds these very files, whole; a continued ingest then keeps its name."""
    published = published_segments(path)
    if len(published) != 1 or not _SEGMENT.fullmatch(published[0]):
        return ""
    for file, record in files.items():
        present = path / published[0] / file
        if not present.is_file() or file_checksum(present) != record["xxh3_64"]:
            return ""
    return published[0]


def remove_segments(path: Path, *, keep: Collection[str]) -> None:
    """Remove every segment folder, finished or not, but those named."""
    for folder in path.iterdir():
        if _SEGMENT.fullmatch(folder.name) and folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def unused_segments(path: Path) -> list[Path]:
    """List the segment folders that no manifest names; of a store without a readable manifest only unfinished ones."""
    published = published_segments(path)
    ours = [folder for folder in sorted(path.iterdir()) if _SEGMENT.fullmatch(folder.name)]
    return [folder for folder in ours if folder.name not in published and (published or folder.name.startswith("."))]
