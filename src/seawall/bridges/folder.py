"""A folder that appears whole: written under another name beside its place, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seawall.errors import ConfigError
from seawall.stores.atomic import flush


@contextmanager
def appearing(output: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``output`` on success; what a kill has left of it is begun anew.

    Raises
    ------
    ConfigError
        Where something is at ``output`` already: files of an older export would be read among the new ones.
    """
    where = f"output {str(output)[:200]}"
    if output.is_symlink() or (output.exists() and (not output.is_dir() or any(output.iterdir()))):
        found = "a folder that is not empty" if output.is_dir() else "a file"
        raise ConfigError(where, "is there already", found=found, do="Name a folder that does not exist yet.")
    temporary = output.with_name(f".{output.name}.export")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        found = error.strerror or str(error)
        raise ConfigError(where, "the folder cannot be written", found=found, do="Choose another output.") from error
    try:
        yield temporary
        os.sync()  # thousands of small files: one wait for all of them
        if output.is_dir():
            output.rmdir()
        temporary.rename(output)
        flush(output.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
