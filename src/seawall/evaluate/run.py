"""Evaluate, read like the algorithm: each date is judged as it comes by, then summarised per fold and overall."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import Bool
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import FormatError
from seawall.evaluate.blocks import pooled_block, quantile_block, series_block
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.daily import DailyTable
from seawall.evaluate.inputs import Inputs, open_inputs
from seawall.evaluate.leak import leak_warnings
from seawall.metrics import PointwiseMoments, summarise_series
from seawall.stores.atomic import write_json
from seawall.stores.predictions import PredictionBatch


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
    daily = DailyTable(inputs.panel.shape.num_dates, config)
    pooled = _judge(inputs, daily, beat)
    record = _record(inputs, config, daily, pooled)
    beat("write", 0, 1)
    output.mkdir(parents=True, exist_ok=True)
    daily.write(output / "daily.parquet", inputs.panel)
    write_json(output / "metrics.json", record)
    beat("write", 1, 1)
    return _summary(record)


def _judge(inputs: Inputs, daily: DailyTable, beat: Beat) -> dict[int, PointwiseMoments]:
    pooled = {int(manifest["fold"]): PointwiseMoments() for manifest in inputs.store.manifests}
    num_read, num_rows = 0, inputs.store.num_rows
    for date, names in inputs.store.dates(inputs.panel):
        fold = _fold_of(date, names, daily.last_date, inputs)
        targets = inputs.targets(names.row)
        daily.append(date, fold, names.prediction, targets)
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


def _record(
    inputs: Inputs, config: EvaluateConfig, daily: DailyTable, pooled: Mapping[int, PointwiseMoments]
) -> dict[str, Any]:
    overall = PointwiseMoments()
    for moments in pooled.values():
        overall.merge(moments)
    horizon = inputs.spec.horizon_periods
    every_date = np.ones(len(daily.ic), bool)
    folds = [
        {"fold": fold, **_block(moments, daily, daily.in_fold(fold), horizon)}
        for fold, moments in sorted(pooled.items())
    ]
    return {
        "target": inputs.spec.name,
        "horizon_periods": horizon,
        "min_names": config.min_names,
        "num_quantiles": config.num_quantiles,
        "overall": _block(overall, daily, every_date, horizon),
        "folds": folds,
        "warnings": leak_warnings(inputs.spec.kind, summarise_series(daily.ic, horizon), daily.num_names),
    }


def _block(pooled: PointwiseMoments, daily: DailyTable, dates: Bool, horizon_periods: int) -> dict[str, Any]:
    return {
        "pooled": pooled_block(pooled.result()),
        "ic": series_block(summarise_series(daily.ic[dates], horizon_periods)),
        "rank_ic": series_block(summarise_series(daily.rank_ic[dates], horizon_periods)),
        "quantiles": quantile_block(daily.quantiles[dates]),
    }


def _summary(record: Mapping[str, Any]) -> dict[str, Any]:
    overall = record["overall"]
    pooled = {name: overall["pooled"][name] for name in ("n", "mse", "mae", "r2", "pearson")}
    daily = {
        f"{series}_{name}": overall[series][name]
        for series in ("ic", "rank_ic")
        for name in ("mean", "icir", "share_positive", "t_plain", "t_hac", "p_hac")
    }
    counts = {name: overall["ic"][name] for name in ("num_dates", "num_undefined")}
    return {"target": record["target"], **pooled, **daily, **counts, "warnings": record["warnings"]}
