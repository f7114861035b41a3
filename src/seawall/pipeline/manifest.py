"""run.json: which units are finished, with what key, and whether their files still are what they were."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from seawall.errors import ConfigError, FormatError
from seawall.stores.atomic import file_checksum, write_json

RUN_FORMAT = "seawall-run/1"

_UNIT_FIELDS: dict[str, type] = {
    "stage": str,
    "key": str,
    "outputs": list,
    "summary": dict,
    "projected_private_bytes": int,
    "measured_private_bytes": int,
    "declared_bytes": int,
    "wall_seconds": float,
}
"""What every reader of a unit record relies on."""

_OUTPUT_FIELDS = {"path", "bytes", "xxh3_64"}


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

    def begin(self) -> None:
        """Write the manifest before the first unit, so that a kill in it leaves a folder that is known as a run."""
        if not self._path.exists():
            write_json(self._path, self._record)

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

    def still_has(self, unit: str, ending: str) -> bool:
        """Tell whether the outputs of a unit whose path has the ending are what it wrote; True where it has none."""
        outputs = self.units.get(unit, {}).get("outputs", ())
        return all(self._matches(output) for output in outputs if output["path"].endswith(ending))

    def _matches(self, output: dict[str, Any]) -> bool:
        path = self.folder / output["path"]
        if not path.is_file() or path.stat().st_size != output["bytes"]:
            return False
        return file_checksum(path) == str(output["xxh3_64"])

    def finish(self, unit: str, record: dict[str, Any]) -> None:
        """Add the record of a finished unit and write the manifest."""
        self.units[unit] = record
        write_json(self._path, self._record)

    def forget(self, units: Collection[str]) -> None:
        """Drop the records of units that no longer belong to the run, or are to be done anew."""
        known = [unit for unit in units if unit in self.units]
        for unit in known:
            del self.units[unit]
        if known:
            write_json(self._path, self._record)

    def checksums(self, unit: str, *, ending: str = "") -> list[str]:
        """List the checksums of a unit's outputs whose path has the ending, in order of path; none if not finished."""
        outputs = sorted(self.units.get(unit, {}).get("outputs", ()), key=lambda output: str(output["path"]))
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
    damaged = [name for name, unit in record["units"].items() if not _is_unit(unit)]
    if damaged or not isinstance(record.get("name"), str):
        found = f"the record of {damaged[0]}" if damaged else "no name"
        raise FormatError(str(path), "damaged", found=found, do="Delete it: every unit is then done again.")
    return record


def _is_unit(unit: object) -> bool:
    if not isinstance(unit, dict) or not all(isinstance(unit.get(name), kind) for name, kind in _UNIT_FIELDS.items()):
        return False
    return all(isinstance(output, dict) and output.keys() >= _OUTPUT_FIELDS for output in unit["outputs"])


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
        probe.unlink(missing_ok=True)  # another run may have probed at the same moment
    except OSError as error:
        found = error.strerror or str(error)
        raise ConfigError(
            f"output {folder}", "the folder cannot be written", found=found, do="Choose another output."
        ) from error


def shown_path(path: Path, folder: Path) -> str:
    """Write a path as seen from the run folder where it lies in it, so that the folder may be moved."""
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path.absolute())
