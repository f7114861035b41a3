"""Evaluate, read like the algorithm: each date is judged as it comes by, then summarised per fold and overall."""

from pathlib import Path
from typing import Any

import numpy as np

from seawall.budget.heartbeat import Beat, silent
from seawall.errors import FormatError
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.daily import DailyTable
from seawall.evaluate.inputs import Inputs, open_inputs
from seawall.evaluate.record import headline, judged_record
from seawall.metrics import PointwiseMoments
from seawall.stores.atomic import write_json
from seawall.stores.predictions import PredictionBatch, time_type


def evaluate(
    panel: Path, predictions: Path, output: Path, config: EvaluateConfig, *, beat: Beat = silent
) -> dict[str, Any]:
    """Judge all predictions of a run against the panel's own float64 targets.

    Writes ``metrics.json`` and ``daily.parquet`` (FORMAT.md section 5). Memory is one row group of predictions, the
    largest date, and one row of numbers per date. A date's row depends on that date's predictions and targets alone.

    Parameters
    ----------
    panel, predictions
        The ``NAME.panel`` and ``predictions/`` folders.
    output
        Folder of the two files, made where missing.
    beat
        Told how many predictions are judged.

    Returns
    -------
    dict
        Headline numbers, None where undefined, and ``warnings`` in words.

    Raises
    ------
    FormatError, ResumeError, ConfigError
        Where the inputs are damaged or do not belong together.
    """
    inputs = open_inputs(panel, predictions)
    daily = DailyTable(inputs.panel.shape.num_dates, config, is_dated=inputs.panel.calendar_kind == "timestamp")
    pooled = _judge(inputs, daily, beat)
    spec = inputs.spec
    record = judged_record(spec.name, spec.horizon_periods, config, daily, pooled, kind=spec.kind)
    beat("write", 0, 1)
    output.mkdir(parents=True, exist_ok=True)
    daily.write(output / "daily.parquet", time_type(inputs.panel))
    write_json(output / "metrics.json", record)
    beat("write", 1, 1)
    return headline(record)


def _judge(inputs: Inputs, daily: DailyTable, beat: Beat) -> dict[int, PointwiseMoments]:
    pooled = {int(manifest["fold"]): PointwiseMoments() for manifest in inputs.store.manifests}
    num_read, num_rows, last_date = 0, inputs.store.num_rows, -1
    for date, names in inputs.store.dates(inputs.panel):
        fold = _fold_of(date, names, last_date, inputs)
        last_date = date
        targets = inputs.targets(names.row)
        daily.append(
            int(inputs.panel.calendar[date]), fold, inputs.panel.entity_of(names.row), names.prediction, targets
        )
        pooled.setdefault(fold, PointwiseMoments()).update(names.prediction, targets)
        num_read += len(names.row)
        beat("dates", num_read, num_rows)
    if num_read != num_rows:
        where = str(inputs.store.folder)
        raise FormatError(where, "wrong number of predictions", found=f"{num_read:,}", allowed=f"{num_rows:,}")
    return pooled


def _fold_of(date: int, names: PredictionBatch, last_date: int, inputs: Inputs) -> int:
    """Give the fold of a date after checking what every number rests on: each (time, entity) once, in order."""
    fold = int(names.fold[0])
    if date <= last_date or (np.diff(names.row) <= 0).any() or (names.fold != fold).any():
        raise FormatError(
            str(inputs.store.folder),
            "predictions are out of order, repeated, or of two folds on one date",
            found=f"date {inputs.panel.times_as_datetime()[date]}",
            allowed="each (time, entity) once, sorted, test segments of folds disjoint",
            do="Predict again.",
        )
    return fold
