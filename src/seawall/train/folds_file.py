"""folds.json: the segments of each fold, written once, read by everything that comes after."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from seawall.errors import ConfigError, FormatError
from seawall.stores.atomic import write_json
from seawall.stores.panel import Panel
from seawall.windows.folds import Fold
from seawall.windows.purge import Purge, left_out
from seawall.windows.samples import Samples


def write_folds(path: Path, records: list[dict[str, Any]], num_dates: int) -> None:
    """Write the records of all folds, made by :func:`fold_record`, with the dates of the calendar they lie on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"num_dates": num_dates, "folds": records})


def fold_record(panel: Panel, fold: Fold, samples: dict[str, Samples], purge: Purge) -> dict[str, Any]:
    """Describe the segments of a fold with their times and counts; ``samples`` by segment name.

    ``purged`` and ``embargo`` are the dates at the ends of train and valid that no sample is left on.
    """
    record = fold_layout(panel, fold)
    for name, chosen in samples.items():
        record[name] |= {"num_samples": chosen.num_samples, "num_purged": chosen.num_purged}
    last = panel.shape.num_dates - 1
    purged, embargo = left_out(panel, fold, purge, (samples["train"], samples["valid"]))
    return {
        **record,
        "content_key": content_key(panel, fold),
        "purged": [_span(panel, part) | {"until": _time(panel, min(part[1], last))} for part in purged],
        "embargo": [_span(panel, part) | {"until": _time(panel, min(part[1], last))} for part in embargo],
    }


def fold_layout(panel: Panel, fold: Fold) -> dict[str, Any]:
    """Describe where the segments of a fold lie."""
    train, valid, test = (_span(panel, segment) for segment in (fold.train, fold.valid, fold.test))
    if fold.paths:
        train["ranges"] = [_span(panel, part) for part in fold.train_ranges]
        test |= {"ranges": [_span(panel, part) for part in fold.test_ranges], "paths": fold.paths}
    return {"fold": fold.index, "train": train, "valid": valid, "test": test}


def content_key(panel: Panel, fold: Fold) -> str:
    """Stand for all that the model of a fold may see: what is known before its test, or, combinatorial, all."""
    return panel.content_key if fold.paths else panel.content_key_before(fold.test[0])


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
    trains, tests = (tuple(_range(part) for part in segment.get("ranges", [])) for segment in (train, test))
    paths = tuple(int(path) for path in test.get("paths", []))
    return Fold(int(record["fold"]), _range(train), _range(valid), _range(test), trains, tests, paths)


def _range(segment: dict[str, Any]) -> tuple[int, int]:
    return int(segment["start"]), int(segment["stop"])


def _span(panel: Panel, part: tuple[int, int]) -> dict[str, Any]:
    start, stop = part
    if start == stop:  # of a model that is judged by nothing later
        return {"start": start, "stop": stop, "first_time": None, "last_time": None}
    return {"start": start, "stop": stop, "first_time": _time(panel, start), "last_time": _time(panel, stop - 1)}


def _time(panel: Panel, index: int) -> str | int:
    value = panel.times_as_datetime()[index]
    return str(np.datetime_as_string(value, unit="auto")) if panel.calendar_kind == "timestamp" else int(value)
