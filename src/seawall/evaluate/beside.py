"""What is judged beside the predictions: each seed and each baseline on the same rows, paired date by date."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Float64
from seawall.budget.heartbeat import Beat
from seawall.errors import FormatError
from seawall.evaluate.blocks import mean_of, pooled_block, series_block
from seawall.evaluate.by_entity import judge_entities
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.inputs import Inputs, of_member
from seawall.metrics import PointwiseMoments, average_ranks, information_coefficient

SPREAD = "prediction_std"

SERIES = ("ic", "rank_ic", "squared_error")


def add_beside(record: dict[str, Any], inputs: Inputs, config: EvaluateConfig, beat: Beat) -> None:
    """Set ``beside`` in the record, and ``seeds`` where there are several; nothing where there is neither.

    A baseline may be undefined where the model is not: both are judged on the rows that both predict. ``less`` has the
    model's numbers of each date less those of the other: what is common to both, the market of a day, cancels. Of
    combinatorial folds a date's numbers are the mean of its paths. Memory is two row groups of predictions, two dates
    and 48 bytes a date; what is judged is judged one after another.
    """
    names = [name for name in inputs.store.beside if name != SPREAD]
    if not names:
        return
    horizon_periods = inputs.spec.horizon_periods
    found = [_judged(name, inputs, config, beat).record(horizon_periods) for name in names]
    record["beside"] = found
    seeds = [one for one in found if one["kind"] == "seed"]
    if seeds:
        record["seeds"] = {
            "seeds": list(inputs.store.seeds),
            **_spread(inputs),
            **{name: _over_seeds([one[name]["mean"] for one in seeds]) for name in ("ic", "rank_ic")},
        }


@dataclass(slots=True)
class _Pair:
    """The model and one other, date by date; arrays are [dates, 2], the model first."""

    name: str
    series: dict[str, Float64]
    counts: Float64
    pooled: tuple[PointwiseMoments, PointwiseMoments] = field(
        default_factory=lambda: (PointwiseMoments(), PointwiseMoments())
    )
    entities: dict[str, Any] = field(default_factory=dict)

    def update(self, place: int, predictions: tuple[AnyArray, AnyArray], target: AnyArray, min_names: int) -> None:
        """Judge one date of one path on the rows both predict."""
        both = ~(np.isnan(predictions[0]) | np.isnan(predictions[1]) | np.isnan(target))
        truth = target[both]
        if not len(truth):
            return
        ranks = average_ranks(truth)
        for side, prediction in enumerate(predictions):
            own = prediction[both].astype(np.float64)
            self.pooled[side].update(own, truth)
            numbers = (
                information_coefficient(own, truth, min_names=min_names),
                information_coefficient(average_ranks(own), ranks, min_names=min_names),
                float(np.mean((own - truth) ** 2)),
            )
            for series, number in zip(SERIES, numbers, strict=True):
                if math.isfinite(number):
                    self.series[series][place, side] += number
        self.counts[place] += [math.isfinite(number) for number in numbers]

    def record(self, horizon_periods: int) -> dict[str, Any]:
        """Summarise as plain JSON values; undefined is None."""
        kind, _, name = self.name.partition("_")
        with np.errstate(invalid="ignore", divide="ignore"):
            daily = {
                series: values / self.counts[:, [place]] for place, (series, values) in enumerate(self.series.items())
            }
        return {
            "name": self.name,
            "kind": kind,
            "of": name,
            "pooled": pooled_block(self.pooled[1].result()),
            "model_pooled": pooled_block(self.pooled[0].result()),
            "ic": series_block(daily["ic"][:, 1], horizon_periods),
            "rank_ic": series_block(daily["rank_ic"][:, 1], horizon_periods),
            "less": {name: series_block(both[:, 0] - both[:, 1], horizon_periods) for name, both in daily.items()},
            **({"by_entity": self.entities} if self.entities else {}),
        }


def _judged(name: str, inputs: Inputs, config: EvaluateConfig, beat: Beat) -> _Pair:
    other, num_dates = of_member(inputs, name), inputs.panel.shape.num_dates
    first, last = _dates_of(inputs)
    shape = (last - first + 1 if num_dates else 0, 2)
    pair = _Pair(name, {series: np.zeros(shape) for series in SERIES}, np.zeros((shape[0], len(SERIES))))
    num_read = 0
    for path in _paths(inputs):
        for (date, own), (_, theirs) in zip(
            inputs.store.dates(inputs.panel, path=path), other.store.dates(inputs.panel, path=path), strict=True
        ):
            if not np.array_equal(own.row, theirs.row):
                raise FormatError(str(inputs.store.folder), f"predictions and {name} are of other rows")
            predictions = own.prediction, theirs.prediction
            pair.update(date - first, predictions, inputs.targets(own.row), config.min_names)
            num_read += len(own.row)
            beat(name, num_read, inputs.store.num_rows)
    if config.by_entity:
        pair.entities = judge_entities(other, beat).summary()
    return pair


def _paths(inputs: Inputs) -> Iterator[int | None]:
    yield from range(inputs.store.num_paths) if inputs.store.num_paths else [None]


def _dates_of(inputs: Inputs) -> tuple[int, int]:
    """Give the calendar indices of the first and the last predicted date."""
    ends = [(fold["first_time"], fold["last_time"]) for fold in inputs.store.manifests if fold["num_rows"]]
    times = np.array(ends, np.int64).reshape(-1, 2)
    if not len(times):
        return 0, -1
    first, last = np.searchsorted(inputs.panel.calendar, [times[:, 0].min(), times[:, 1].max()])
    return int(first), int(last)


def _spread(inputs: Inputs) -> dict[str, float | None]:
    """Average the spread over all predictions, and set it beside how far predictions themselves lie apart."""
    total, num_rows, of_means = 0.0, 0, PointwiseMoments()
    spreads = of_member(inputs, SPREAD).store
    for path in _paths(inputs):
        for own, spread in zip(inputs.store.batches(path=path), spreads.batches(path=path), strict=True):
            total += float(spread.prediction.sum(dtype=np.float64))
            num_rows += len(spread.prediction)
            of_means.update(np.zeros(len(own.prediction)), own.prediction)
    mean = total / num_rows if num_rows else None
    result = of_means.result()
    variance = result.mse - result.bias**2
    deviation = math.sqrt(variance) if num_rows and variance > 0 else None
    return {"mean_spread": mean, "spread_share": mean / deviation if mean is not None and deviation else None}


def _over_seeds(means: list[float | None]) -> dict[str, float | None]:
    known = np.array([mean for mean in means if mean is not None])
    if not len(known):
        return dict.fromkeys(("mean", "std", "min", "max"))
    std = float(known.std(ddof=1)) if len(known) > 1 else None
    return {"mean": mean_of(known), "std": std, "min": float(known.min()), "max": float(known.max())}
