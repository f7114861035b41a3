"""The deflated Sharpe ratio: is the best Sharpe more than the best of so many tries would show by luck? Not a gate."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from seawall.arrays import Float64
from seawall.search.trials import Trials

EULER = 0.5772156649015329


@dataclass(frozen=True, slots=True)
class DeflatedSharpe:
    """Probabilities that the true Sharpe ratio is above what luck gives the best of the trials."""

    sharpe_per_block: float
    effective_trials: float
    deflated_effective: float
    deflated_all: float


def deflated_sharpe(trials: Trials, best: Float64) -> DeflatedSharpe:
    """Deflate the Sharpe ratio of the chosen trial by the number of tries, counted twice: effective, and all of them.

    With the raw number of grid points it rejects real edges, with the effective number noise can reach 0.75: it stands
    beside the gate. Undefined (NaN) without variance.

    References
    ----------
    Bailey, Lopez de Prado (2014), The deflated Sharpe ratio, Journal of Portfolio Management 40.
    """
    gram, sharpes = np.zeros((trials.num_blocks, trials.num_blocks)), []
    for _, rows in trials.chunks():
        centred = rows - rows.mean(axis=1, keepdims=True)
        spread = centred.std(axis=1)
        used = spread > 0
        standard = centred[used] / spread[used, None]
        gram += standard.T @ standard
        sharpes.append(rows[used].mean(axis=1) / spread[used])
    every = np.concatenate(sharpes) if sharpes else np.empty(0)
    if not len(every) or not best.std() > 0:
        return DeflatedSharpe(float("nan"), float("nan"), float("nan"), float("nan"))
    effective = float(np.trace(gram) ** 2 / np.sum(gram**2))
    sharpe = float(best.mean() / best.std())
    deviation = float(every.std())
    probability = [_probability(best, sharpe, _luck(count, deviation)) for count in (effective, float(len(every)))]
    return DeflatedSharpe(sharpe, effective, *probability)


def _luck(count: float, deviation: float) -> float:
    """Give the expected highest Sharpe ratio of ``count`` independent tries without skill."""
    if count <= 1:
        return 0.0
    normal = NormalDist()
    return deviation * ((1 - EULER) * normal.inv_cdf(1 - 1 / count) + EULER * normal.inv_cdf(1 - 1 / (count * math.e)))


def _probability(series: Float64, sharpe: float, luck: float) -> float:
    z = (series - series.mean()) / series.std()
    skew, kurtosis = float(np.mean(z**3)), float(np.mean(z**4))
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return (
        NormalDist().cdf((sharpe - luck) * math.sqrt(len(series) - 1) / math.sqrt(spread)) if spread > 0 else math.nan
    )
