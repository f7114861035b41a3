"""run.json: which units are finished, with what key, and whether their files still are what they were."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seawall.errors import ConfigError, FormatError, ResumeError
from seawall.stores.atomic import file_checksum, write_json

RUN_FORMAT = "seawall-run/1"


class RunManifest:
    """Records of finished units, written after each.

    Parameters
    ----------
    folder
        Run folder, which exists.
    name
        Name of the run, kept for the report.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._path = folder / "run.json"
        self._record: dict[str, Any] = {"format": RUN_FORMAT, "name": name, "units": {}}
        if self._path.exists():
            self._record = read_run_record(folder) | {"name": name}

    @property
    def units(self) -> dict[str, dict[str, Any]]:
        """Unit records by name."""
        units: dict[str, dict[str, Any]] = self._record["units"]
        return units

    def is_done(self, unit: str, key: str) -> bool:
        """Tell whether a unit finished with this key and all its files still have their checksums; reads them once."""
        record = self.units.get(unit)
        if record is None or record["key"] != key:
            return False
        return all(self._matches(output) for output in record["outputs"])

    def _matches(self, output: dict[str, Any]) -> bool:
        path = self.folder / output["path"]
        if not path.is_file() or path.stat().st_size != output["bytes"]:
            return False
        return file_checksum(path) == str(output["xxh3_64"])

    def finish(self, unit: str, record: dict[str, Any]) -> None:
        """Add the record of a finished unit and write the manifest."""
        self.units[unit] = record
        write_json(self._path, self._record)

    def forget(self, unit: str) -> None:
        """Drop the record of a unit that no longer belongs to the run."""
        if self.units.pop(unit, None) is not None:
            write_json(self._path, self._record)

    def checksums(self, unit: str, *, ending: str = "") -> list[str]:
        """List the checksums of a finished unit's outputs whose path has the ending, in order of path."""
        outputs = sorted(self.units[unit]["outputs"], key=lambda output: output["path"])
        return [output["xxh3_64"] for output in outputs if output["path"].endswith(ending)]


def read_run_record(folder: Path) -> dict[str, Any]:
    """Read run.json.

    Raises
    ------
    FormatError
        Where it is missing, damaged or of another format.
    """
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(str(path), "not the record of a run", found=str(error), do="Check the run folder.") from error
    if not isinstance(record, dict) or record.get("format") != RUN_FORMAT or not isinstance(record.get("units"), dict):
        raise FormatError(str(path), "unknown format", allowed=RUN_FORMAT)
    return record


def open_folder(folder: Path) -> None:
    """Make the run folder, or refuse a folder that cannot be written.

    Raises
    ------
    ConfigError
        Saying why.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        found = error.strerror or str(error)
        raise ConfigError(
            f"output {folder}", "the folder cannot be written", found=found, do="Choose another output."
        ) from error


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; a second run on it is refused with the owner's pid.

    Raises
    ------
    ResumeError
        Where another process holds it.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ResumeError(
                f"run folder {folder}",
                "another run is using it",
                found=f"process {owner}",
                do="Wait for it, or choose another output.",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def lock_owner(folder: Path) -> int | None:
    """Give the process that holds the run folder now, or None."""
    path = folder / ".lock"
    if not path.exists():
        return None
    with path.open("r", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            text = file.read().strip()
            return int(text) if text.isdigit() else None
        return None
