"""folds.json: the segments of each fold, written once, read by everything that comes after."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from seawall.errors import ConfigError, FormatError
from seawall.stores.atomic import write_json
from seawall.stores.panel import Panel
from seawall.windows.folds import Fold
from seawall.windows.samples import Samples


def write_folds(path: Path, records: list[dict[str, Any]]) -> None:
    """Write the records of all folds, made by :func:`fold_record`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"folds": records})


def fold_record(panel: Panel, fold: Fold, samples: dict[str, Samples]) -> dict[str, Any]:
    """Describe the segments of a fold with their times and counts; ``samples`` by segment name.

    ``content_key`` stands for all that its model may see: rows and targets known before its test starts.
    """
    segments = {"train": fold.train, "valid": fold.valid, "test": fold.test}
    key = panel.content_key_before(fold.test[0])
    return {
        "fold": fold.index,
        "content_key": key,
        **{name: _segment(panel, segments[name], samples[name]) for name in segments},
    }


def read_fold(path: Path, number: int) -> Fold:
    """Read the segments of one fold.

    Raises
    ------
    FormatError
        Where the file cannot be read as folds.json.
    ConfigError
        For a fold that is not in it.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))["folds"]
        folds = [_fold(record) for record in records]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            str(path), "not a list of folds", found=str(error), do="Run the folds stage again."
        ) from error
    for fold in folds:
        if fold.index == number:
            return fold
    raise ConfigError("fold", "no such fold", found=str(number), allowed=f"0 to {len(folds) - 1}")


def _fold(record: dict[str, Any]) -> Fold:
    train, valid, test = (record[name] for name in ("train", "valid", "test"))
    trains, tests = (
        tuple((int(start), int(stop)) for start, stop in segment.get("ranges", [])) for segment in (train, test)
    )
    paths = tuple(int(path) for path in test.get("paths", []))
    return Fold(int(record["fold"]), _range(train), _range(valid), _range(test), trains, tests, paths)


def _range(segment: dict[str, Any]) -> tuple[int, int]:
    return int(segment["start"]), int(segment["stop"])


def _segment(panel: Panel, segment: tuple[int, int], samples: Samples) -> dict[str, Any]:
    start, stop = segment
    return {
        "start": start,
        "stop": stop,
        "first_time": _time(panel, start),
        "last_time": _time(panel, stop - 1),
        "num_samples": samples.num_samples,
        "num_purged": samples.num_purged,
    }


def _time(panel: Panel, index: int) -> str | int:
    value = panel.times_as_datetime()[index]
    return str(np.datetime_as_string(value, unit="auto")) if panel.calendar_kind == "timestamp" else int(value)
