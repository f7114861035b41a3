"""Sorted runs that a killed command has left: used again where source files, columns and names are the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from seawall.budget.heartbeat import Beat
from seawall.tables.keyed import KeyedSource, KeyedTable, spill
from seawall.tables.keys import EntityCodes, TimeReader
from seawall.tables.sources import fingerprint
from seawall.tables.times import TimeFormat

RECORD = "table.json"


def kept_or_spilled(source: KeyedSource, codes: EntityCodes, folder: Path, buffer_rows: int, beat: Beat) -> KeyedTable:
    """Take the runs an earlier command has finished, or read the table anew; raises what :func:`spill` raises.

    A table counts as finished once its record is there, written last. It is used again only for the same files (size,
    time of change, edges), columns and names coded before it.
    """
    key = _key(source, codes)
    found = _read(folder / RECORD)
    if found.get("key") == key:
        return _restored(found, source, codes, folder, buffer_rows)
    shutil.rmtree(folder, ignore_errors=True)
    table = spill(source, codes, folder, buffer_rows, beat)
    record = {
        "key": key,
        "num_rows": table.num_rows,
        "span": [table.first_time, table.last_time],
        "paths": [path.name for path in table.paths],
        "seen": np.flatnonzero(table.seen).tolist(),
        "names": codes.names,
        "labels": table.labels,
        "times": {
            "format": table.times.format.name if table.times.format else None,
            "kind": table.times.kind,
            "has_offsets": table.times.has_offsets,
            "examples": table.times.examples,
        },
    }
    temporary = folder / f".{RECORD}.tmp"
    temporary.write_text(json.dumps(record), encoding="utf-8")
    temporary.replace(folder / RECORD)
    return table


def _restored(
    found: dict[str, Any], source: KeyedSource, codes: EntityCodes, folder: Path, buffer_rows: int
) -> KeyedTable:
    codes.restore(found["names"])
    seen = np.zeros(len(codes), bool)
    seen[found["seen"]] = True
    kept = found["times"]
    held_to = TimeFormat(kept["format"]) if kept["format"] else None
    times = TimeReader(source.name, held_to, kept["kind"], kept["has_offsets"], kept["examples"])
    paths = [folder / name for name in found["paths"]]
    first_time, last_time = found["span"]
    labels = found["labels"]
    return KeyedTable(source, found["num_rows"], times, first_time, last_time, seen, paths, buffer_rows, labels)


def _key(source: KeyedSource, codes: EntityCodes) -> str:
    files = [fingerprint(file).record() for file in source.files]
    columns = [source.entity, source.time, *source.values, source.time_format, source.label]
    return xxhash.xxh3_128_hexdigest(json.dumps([files, columns, codes.names]).encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
