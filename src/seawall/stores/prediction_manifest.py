"""The JSON beside each prediction file: what is in it, and whether it is whole."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seawall.errors import FormatError

PREDICTIONS_FORMAT = "seawall-predictions/1"


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of a fold, and check that its file holds as many rows.

    Raises
    ------
    FormatError
        Where it is damaged, or the file is not what it says.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(str(path), "cannot be read", found=str(error), do="Run the predict stage again.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != PREDICTIONS_FORMAT:
        found = repr(manifest.get("format")) if isinstance(manifest, dict) else type(manifest).__name__
        raise FormatError(str(path), "unknown format", found=found, allowed=PREDICTIONS_FORMAT)
    wrong = [key for key in ("fold", "num_rows") if not isinstance(manifest.get(key), int)]
    parts = manifest.get("paths", [])
    if parts and not _are_paths(parts, manifest.get("num_rows")):
        wrong.append("paths")
    wrong += [key for key in ("target", "panel_key") if not isinstance(manifest.get(key), str)]
    targets = manifest.get("targets", [manifest.get("target")])
    if (
        not isinstance(targets, list)
        or targets[:1] != [manifest.get("target")]
        or len(set(map(str, targets))) < len(targets)
    ):
        wrong.append("targets")
    beside, seeds = manifest.get("beside", []), manifest.get("seeds", [])
    if not isinstance(beside, list) or not all(isinstance(name, str) for name in beside):
        wrong.append("beside")
    if not isinstance(seeds, list) or not all(isinstance(seed, int) for seed in seeds):
        wrong.append("seeds")
    if wrong:
        raise FormatError(str(path), "damaged manifest", found=f"{wrong[0]} = {manifest.get(wrong[0])!r}")
    table = path.with_suffix(".parquet")
    try:
        num_rows = pq.read_metadata(table).num_rows
    except (OSError, pa.ArrowException) as error:
        raise FormatError(
            str(table), "cannot be read as a prediction file", found=str(error).splitlines()[0]
        ) from error
    if num_rows != manifest["num_rows"]:
        raise FormatError(str(table), "wrong number of rows", found=str(num_rows), allowed=str(manifest["num_rows"]))
    return manifest


def _are_paths(parts: object, num_rows: object) -> bool:
    """Tell whether a manifest's list of paths is one, and counts every row."""
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return False
    if not all(isinstance(part.get(name), int) for part in parts for name in ("path", "num_rows")):
        return False
    return num_rows == sum(int(part["num_rows"]) for part in parts)
