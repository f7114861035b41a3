"""Too good to be true: a daily IC that no honest forecast of returns reaches asks for a second look at the features."""

import math

import numpy as np
from scipy.special import stdtrit

from seawall.arrays import AnyArray
from seawall.metrics import SeriesSummary

LEAK_IC = 0.1
"""Published models of daily returns on broad markets reach a mean IC of 0.03-0.06."""

LEAK_DATES_MIN = 250
LEAK_NAMES_MIN = 30
"""Shorter or narrower series reach such an IC by chance, or within one small group of names."""


def leak_warnings(kind: str, ic: SeriesSummary, num_names: AnyArray) -> list[str]:
    """Ask for a check where the one-sided 95 % lower bound of the mean daily IC is above 0.1.

    Parameters
    ----------
    kind
        Kind of the target: only returns are judged, levels and volatilities are easy to predict.
    ic
        Summary of the daily IC; the bound uses the standard error of ``t_hac`` and its degrees of freedom.
    num_names
        Names of each date.
    """
    if not kind.endswith("return") or ic.num_defined < LEAK_DATES_MIN or np.median(num_names) < LEAK_NAMES_MIN:
        return []
    bound = lower_bound(ic)
    if not bound > LEAK_IC:
        return []
    warning = (
        f"The daily IC is {ic.mean:.3f} on average over {ic.num_defined:,} dates, and above {bound:.3f} with 95 % "
        f"confidence. Forecasts of returns seldom reach {LEAK_IC}: check that no feature knows its target's future."
    )
    return [warning]


def lower_bound(ic: SeriesSummary) -> float:
    """Compute the one-sided 95 % lower bound of a mean; NaN where it has no standard error.

    A series without variance has its mean as its bound: a leak can be that perfect.
    """
    if ic.std == 0:
        return ic.mean
    if math.isnan(ic.t_hac) or ic.t_hac == 0:
        return math.nan
    standard_error = ic.mean / ic.t_hac
    return ic.mean - float(stdtrit(ic.dof_hac, 0.95)) * standard_error
