"""The process that copies one panel to a node: from a path, or through pyarrow's file systems and fsspec's."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import xxhash

from seawall.errors import BudgetError, ConfigError, DataError, SeawallError
from seawall.pipeline.cluster.panels import make_room
from seawall.stores.atomic import DirtyWindow, flush
from seawall.stores.shape import read_manifest

COPY_BYTES = 1024 * 1024

ARROW_SCHEMES = ("file", "s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")
"""Kinds of addresses that pyarrow's own file systems read; every other one is fsspec's."""

Opener = Callable[[str], IO[bytes]]
"""Opens a file of the source by its name below it."""


def main() -> int:
    """Copy what the order on the command line names; an error goes to standard output."""
    order = json.loads(sys.argv[1])
    try:
        copy_panel(order, opener(order["source"]))
    except SeawallError as error:
        print(json.dumps(error.record()))  # noqa: T201 - read by the process that has started this one
        return error.exit_code
    return 0


def opener(source: str) -> Opener:
    """Give what opens files below a path or an address.

    Raises
    ------
    ConfigError
        For an address of a kind that no installed library knows, or one that it cannot read.
    DataError
        Where the storage does not answer.
    """
    scheme, is_address, _ = source.partition("://")
    if not is_address:
        return lambda name: Path(source, name).open("rb")
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem

    try:
        system, folder = FileSystem.from_uri(source) if scheme in ARROW_SCHEMES else _fsspec_system(source)
    except (ArrowInvalid, NotImplementedError, ValueError, ImportError) as error:
        raise ConfigError(f"cluster.panels {source}", "cannot be read", found=str(error)[:300]) from error
    except OSError as error:
        raise DataError(f"panel {source}", "its storage does not answer", found=str(error)[:300]) from error
    return lambda name: system.open_input_stream(f"{folder.rstrip('/')}/{name}")


def _fsspec_system(source: str) -> tuple[Any, str]:
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    try:
        fsspec = import_module("fsspec")
    except ImportError:
        what, do = "needs a library for its kind of address", "Install it: pip install 'seawall[remote]'."
        raise ConfigError(f"cluster.panels {source}", what, found="no fsspec", do=do) from None
    system, folder = fsspec.core.url_to_fs(source)
    return PyFileSystem(FSSpecHandler(system)), folder


def copy_panel(order: dict[str, Any], open_file: Opener) -> None:
    """Copy every file of a panel, check each against the manifest, and publish the copy by a rename.

    Memory is one piece of 1 MiB. Where the process is killed, the next one removes what it has left.

    Raises
    ------
    DataError
        Where the source is another panel, cannot be read, or a file is not as written.
    BudgetError
        Where there is no room.
    """
    target, source = Path(order["target"]), str(order["source"])
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _copy_file(open_file, "panel.json", partial, source)
        manifest = read_manifest(partial)
        if manifest.get("content_key") != order["content_key"]:
            do = "Copy the run's panel there, or name the right address."
            raise DataError(f"panel {source}", "another panel than the run's", do=do)
        sizes = {name: int(record["bytes"]) for name, record in manifest["files"].items()}
        make_room(target.parent, sum(sizes.values()), int(order["limit_bytes"]))
        _require_disk(target.parent, sum(sizes.values()))
        for name, record in sorted(manifest["files"].items()):
            checksum = _copy_file(open_file, name, partial, source)
            if checksum != record["xxh3_64"]:
                raise DataError(
                    f"panel {source}", f"{name} is not as written", found=checksum, allowed=record["xxh3_64"]
                )
        flush(partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy_file(open_file: Opener, name: str, folder: Path, source: str) -> str:
    path, digest = folder / name, xxhash.xxh3_64()
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"panel {source}", "names a file outside itself", found=repr(name)[:200])
    path.parent.mkdir(parents=True, exist_ok=True)
    window = None
    try:
        with open_file(name) as file, path.open("wb") as copy:
            window = DirtyWindow(path)
            while piece := file.read(COPY_BYTES):
                copy.write(piece)
                digest.update(piece)
                window.note()
        flush(path)
    except OSError as error:
        raise DataError(
            f"panel {source}", f"{name} cannot be copied", found=error.strerror or str(error)[:300]
        ) from error
    return digest.hexdigest()


def _require_disk(folder: Path, needed_bytes: int) -> None:
    free_bytes = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    if free_bytes < needed_bytes:
        found = f"{free_bytes:,} bytes free, {needed_bytes:,} needed"
        raise BudgetError(f"cache {folder}", "its disk has no room for a panel", found=found)


if __name__ == "__main__":
    raise SystemExit(main())
