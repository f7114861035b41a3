"""How far an ingest has come, on disk, so that the same command goes on after a kill instead of beginning again."""

import json
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import AnyArray
from seawall.errors import ConfigError
from seawall.ingest.config import STAGE_VERSION, IngestConfig
from seawall.ingest.disorder import Disorder
from seawall.ingest.quality import Quality
from seawall.ingest.scatter import SPILL_NAME, ScatterState, Tally
from seawall.ingest.spill import Mark, Written
from seawall.stores.atomic import text_key, write_text
from seawall.stores.sealed import read_sealed, write_sealed
from seawall.tables.pieces import Position
from seawall.tables.read import BadRow
from seawall.tables.sources import SourceFile

CHECKPOINT_VERSION = 1
"""Raised when the rows set aside, or what is written about them, change."""

KEY_NAME = "key"
CHECKPOINT_NAME = "checkpoint.npz"
BUILT_NAME = "built.npz"
DATES_NAME = "dates.npz"

_KEPT = (KEY_NAME, CHECKPOINT_NAME, BUILT_NAME, DATES_NAME, SPILL_NAME)

END_SECONDS = 10.0
"""At the end of a table so much work is worth keeping: there the place is known without reading."""

_COUNTS = ("missing", "infinite", "lossy", "lowest", "highest")
_Arrays = dict[str, AnyArray]


def resume_key(config: IngestConfig, fingerprints: list[SourceFile]) -> str:
    """Compute what must be the same for an ingest to be gone on with: the versions, the config and the sources."""
    part = config.model_dump_json(exclude={"checkpoint_seconds"})
    sources = [json.dumps(file.record()) for file in fingerprints]
    return text_key(str(CHECKPOINT_VERSION), str(STAGE_VERSION), part, *sources)


def open_work(folder: Path, key: str) -> None:
    """Make the temporary folder of an ingest, or keep the one that a killed ingest of the same key has left.

    Of that one the checkpoints stay and the rows they count; whatever else is in it goes, and all of another key.

    Raises
    ------
    ConfigError
        Where the folder cannot be made.
    """
    try:
        if folder.is_symlink() or _read_key(folder) != key:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_text(folder / KEY_NAME, key)
            return
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_file() and path.name not in _KEPT:
                path.unlink()
    except OSError as error:
        raise ConfigError(
            f"output {folder.parent}",
            "the folder cannot be written",
            found=error.strerror or str(error),
            do="Choose another output.",
        ) from error


def has_checkpoint(folder: Path) -> bool:
    """Tell whether an ingest can be gone on with from what is in its temporary folder."""
    return any((folder / name).exists() for name in (CHECKPOINT_NAME, BUILT_NAME))


def _read_key(folder: Path) -> str:
    try:
        return (folder / KEY_NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a first pass stands: the next table, where in it, and how things were when it began."""

    table: int = 0
    position: Position | None = None
    marked: tuple[Tally, Mark] | None = None
    """None between two tables."""
    time_format: tuple[str, str] | None = None
    """Name and zone of the format in use, which need not be the first one that was inferred."""


class Checkpoint:
    """The state of one first pass beside its spill file, replaced as a whole every ``every_seconds`` at most.

    Memory while it is written: the names of the entities twice, and 16 MiB at most of a longer calendar.
    """

    def __init__(self, folder: Path, every_seconds: float) -> None:
        self._folder, self._path, self._every_seconds = folder, folder / CHECKPOINT_NAME, every_seconds
        self._saved_seconds = time.monotonic()

    def is_due(self, *, at_end: bool = False) -> bool:
        """Tell whether enough has been done since the last time."""
        wanted = min(self._every_seconds, END_SECONDS) if at_end else self._every_seconds
        return time.monotonic() - self._saved_seconds >= wanted

    def save(self, state: ScatterState, place: Place) -> None:
        """Write state and place; the rows they count must be on disk."""
        names = "\0".join(state.names).encode()
        record, arrays = _pack("now", state.tally)
        arrays |= {"names": np.frombuffer(names, np.uint8), "starts": np.array(state.written.starts, np.int64)}
        arrays |= {f"run-{number}": ends for number, ends in enumerate(state.written.runs)}
        told: dict[str, Any] = {
            "now": record,
            "num_names": len(state.names),
            "splits": [split.decode() for split in state.splits],
            "calendar_kind": state.calendar_kind,
            "num_bytes": state.written.num_bytes,
            "table": place.table,
            "position": None if place.position is None else asdict(place.position),
            "time_format": place.time_format,
        }
        if place.marked is not None:
            record, more = _pack("marked", place.marked[0])
            told |= {"marked": record, "mark": asdict(place.marked[1])}
            arrays |= more
        arrays["record"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
        write_sealed(self._path, arrays)
        self._saved_seconds = time.monotonic()

    def load(self) -> tuple[ScatterState, Place] | None:
        """Read what a killed pass has left; None where there is nothing, or it is damaged."""
        arrays = read_sealed(self._path)
        if arrays is None:
            return None
        state, place = _unpack(arrays)
        try:
            is_whole = (self._folder / SPILL_NAME).stat().st_size >= state.written.num_bytes
        except OSError:
            return None
        return (state, place) if is_whole else None

    def forget(self) -> None:
        """Remove it: the rows it counts are about to be overwritten."""
        self._path.unlink(missing_ok=True)
        self._saved_seconds = time.monotonic()


def _pack(name: str, tally: Tally) -> tuple[dict[str, Any], _Arrays]:
    record = {
        "rows_read": tally.rows_read,
        "rows_kept": tally.rows_kept,
        "bad_rows": tally.bad_rows,
        "dropped_rows": tally.dropped_rows,
        "first_bad": [asdict(bad) for bad in tally.first_bad],
        "narrow": tally.narrow.feature_names,
        "out_of_order": tally.disorder.num_rows,
    }
    arrays: _Arrays = {f"{name}-calendar": tally.calendar, f"{name}-counts": tally.rows_per_code}
    arrays[f"{name}-last"] = tally.disorder.last_times
    return record, arrays | {f"{name}-{kind}": getattr(tally.narrow, kind) for kind in _COUNTS}


def _tally(name: str, record: dict[str, Any], arrays: _Arrays) -> Tally:
    narrow = Quality(record["narrow"])
    for kind in _COUNTS:
        setattr(narrow, kind, arrays[f"{name}-{kind}"])
    return Tally(
        rows_read=record["rows_read"],
        rows_kept=record["rows_kept"],
        bad_rows=Counter(record["bad_rows"]),
        dropped_rows=Counter(record["dropped_rows"]),
        calendar=arrays[f"{name}-calendar"],
        rows_per_code=arrays[f"{name}-counts"],
        first_bad=[BadRow(**bad) for bad in record["first_bad"]],
        narrow=narrow,
        disorder=Disorder(record["out_of_order"], arrays[f"{name}-last"]),
    )


def _unpack(arrays: _Arrays) -> tuple[ScatterState, Place]:
    told = json.loads(arrays["record"].tobytes())
    starts = arrays["starts"].tolist()
    written = Written(told["num_bytes"], starts, [arrays[f"run-{number}"] for number in range(len(starts))])
    state = ScatterState(
        tally=_tally("now", told["now"], arrays),
        names=arrays["names"].tobytes().decode().split("\0") if told["num_names"] else [],
        calendar_kind=told["calendar_kind"],
        splits=[split.encode() for split in told["splits"]],
        written=written,
    )
    marked = None
    if "marked" in told:
        marked = _tally("marked", told["marked"], arrays), Mark(**told["mark"])
    position = None if told["position"] is None else Position(**told["position"])
    time_format = None if told["time_format"] is None else (told["time_format"][0], told["time_format"][1])
    return state, Place(told["table"], position, marked, time_format)
