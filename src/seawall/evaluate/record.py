"""What ``metrics.json`` holds: the blocks of all dates and of each fold, and what should be looked at twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seawall.arrays import Bool, Int64
from seawall.evaluate.blocks import mean_of, monotonicity, pooled_block, series_block
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.daily import DailyTable
from seawall.evaluate.leak import leak_warnings
from seawall.metrics import PointwiseMoments, summarise_series


@dataclass(frozen=True, slots=True)
class Paths:
    """What was judged of combinatorial folds: the rows of all paths, the path of each, and moments by path."""

    daily: DailyTable
    numbers: Int64
    pooled: Mapping[int, PointwiseMoments]

    def block(self, number: int, horizon_periods: int) -> dict[str, Any]:
        """Summarise one path."""
        marks = self.numbers == number
        return {"path": number, **_block(self.pooled[number], self.daily, marks, horizon_periods)}


def judged_record(
    target: str,
    horizon_periods: int,
    config: EvaluateConfig,
    daily: DailyTable,
    pooled: Mapping[int, PointwiseMoments],
    *,
    kind: str,
    paths: Paths | None = None,
) -> dict[str, Any]:
    """Summarise what was judged, as plain JSON values; undefined is None.

    Parameters
    ----------
    target
        Name of what was predicted, and ``horizon_periods`` how far it looks ahead.
    pooled
        Moments of each fold.
    kind
        Kind of the target (FORMAT.md section 1); empty where it is not known.
    paths
        Of combinatorial folds, what was judged path by path; ``daily`` is then their mean, date by date.
    """
    overall = PointwiseMoments()
    for moments in pooled.values():
        overall.merge(moments)
    every_date = np.ones(len(daily.ic), bool)
    dates = daily if paths is None else paths.daily
    whole = _block(overall, daily, every_date, horizon_periods)
    folds = [
        # One fold is all dates: long tables of anybody have no others, and summarising takes as long as judging.
        {
            "fold": fold,
            **(whole if daily is dates and len(pooled) == 1 else _fold(fold, moments, dates, horizon_periods)),
        }
        for fold, moments in sorted(pooled.items())
    ]
    of_paths = [] if paths is None else [paths.block(number, horizon_periods) for number in sorted(paths.pooled)]
    return {
        "target": target,
        "horizon_periods": horizon_periods,
        "min_names": config.min_names,
        "num_quantiles": config.num_quantiles,
        "overall": {
            **whole,
            "decay": _decay(daily, config, horizon_periods),
            "horizons": _horizons(daily),
            "groups": _groups(daily, config, horizon_periods),
            **_periods(daily),
        },
        "folds": folds,
        **({"paths": of_paths} if of_paths else {}),
        "warnings": leak_warnings(kind, summarise_series(daily.ic, horizon_periods), daily.num_names),
    }


def _fold(fold: int, moments: PointwiseMoments, dates: DailyTable, horizon_periods: int) -> dict[str, Any]:
    return _block(moments, dates, dates.in_fold(fold), horizon_periods)


def _block(pooled: PointwiseMoments, daily: DailyTable, dates: Bool, horizon_periods: int) -> dict[str, Any]:
    # One number a date at a time: all quantiles together would be the largest piece of many dates.
    quantiles = [mean_of(column[dates]) for column in daily.quantiles.T]
    spread = daily.quantiles[:, -1][dates] - daily.quantiles[:, 0][dates]
    num_names, num_predictions = (int(daily.column(name)[dates].sum()) for name in ("num_names", "num_predictions"))
    series = {
        "ic": daily.ic,
        "rank_ic": daily.rank_ic,
        "top_ic": daily.column("top_ic"),
        "bottom_ic": daily.column("bottom_ic"),
    }
    return {
        "pooled": pooled_block(pooled.result()),
        **{name: series_block(values[dates], horizon_periods) for name, values in series.items()},
        "quantiles": quantiles,
        "spread": series_block(spread, horizon_periods),
        "monotonicity": monotonicity(quantiles),
        "autocorrelation": mean_of(daily.column("autocorrelation")[dates]),
        "turnover": mean_of(daily.column("turnover")[dates]),
        "coverage": num_names / num_predictions if num_predictions else None,
    }


def _decay(daily: DailyTable, config: EvaluateConfig, horizon_periods: int) -> list[dict[str, Any]]:
    """Give the IC of predictions made some dates ago: beside today's, over the dates that have both."""
    return [
        {"lag": lag, **series_block(column, horizon_periods)}
        for lag, column in zip(config.decay_lags, daily.column("decay").T, strict=True)
    ]


def _horizons(daily: DailyTable) -> list[dict[str, Any]]:
    """Give the IC with what is earned over each horizon; its t knows that neighbouring dates share h - 1 periods."""
    columns = zip(daily.beside.horizons, daily.column("horizons").T, strict=True)
    return [{"horizon_periods": horizon, **series_block(column, horizon)} for horizon, column in columns]


def _groups(daily: DailyTable, config: EvaluateConfig, horizon_periods: int) -> list[dict[str, Any]]:
    """Give IC and Rank IC within each group of names."""
    return [
        {
            "group": label,
            "of": config.group,
            "ic": series_block(daily.column("groups")[:, number, 0], horizon_periods),
            "rank_ic": series_block(daily.column("groups")[:, number, 1], horizon_periods),
        }
        for number, label in enumerate(daily.beside.groups.labels)
    ]


def _periods(daily: DailyTable) -> dict[str, Any]:
    """Average IC and Rank IC by calendar month and year; nothing where times are plain steps."""
    if not daily.is_dated:
        return {"months": [], "years": []}
    days = daily.column("time").astype("datetime64[ns]")
    found: dict[str, Any] = {}
    for name, unit in (("months", "M"), ("years", "Y")):
        labels = days.astype(f"datetime64[{unit}]")
        found[name] = [
            {
                name[:-1]: str(label),
                "num_dates": int((labels == label).sum()),
                "ic": mean_of(daily.ic[labels == label]),
                "rank_ic": mean_of(daily.rank_ic[labels == label]),
            }
            for label in np.unique(labels)
        ]
    return found


def headline(record: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the numbers a reader asks for first, flat: ``ic_mean``, ``rank_ic_t_hac`` ..."""
    overall = record["overall"]
    pooled = {name: overall["pooled"][name] for name in ("n", "mse", "mae", "r2", "pearson")}
    daily = {
        f"{series}_{name}": overall[series][name]
        for series in ("ic", "rank_ic")
        for name in ("mean", "icir", "share_positive", "t_plain", "t_hac", "p_hac")
    }
    counts = {name: overall["ic"][name] for name in ("num_dates", "num_undefined")}
    found = {"target": record["target"], **pooled, **daily, **counts, "warnings": record["warnings"]}
    if "by_entity" in overall:
        found |= {f"median_{name}": overall["by_entity"][name]["median"] for name in ("nse", "kge")}
    if "beside" in record:
        found["beside"] = {
            one["name"]: {"rank_ic_mean": one["rank_ic"]["mean"], "mse": one["pooled"]["mse"]}
            for one in record["beside"]
        }
    others = [headline(other) for other in record.get("other_targets", [])]
    return {**found, "other_targets": others} if others else found
