"""White's reality check (2000): tells whether the best of everything tried could be luck."""

import numpy as np

from seawall.arrays import Float64
from seawall.search.trials import Trials


def reality_check(trials: Trials, weights: Float64) -> float:
    """Compute the p value of "no trial has a positive expected profit"; NaN where nothing was tried.

    The statistic is the best mean profit per block; its distribution under the hypothesis comes from bootstrap means
    less the means, at their maximum over all trials. Memory: draws x one chunk of trials; trials are read once.

    Parameters
    ----------
    weights
        [draws, B] of :func:`seawall.search.bootstrap.draw_weights`.

    References
    ----------
    White (2000), A reality check for data snooping, Econometrica 68.
    """
    if not trials.num_trials:
        return float("nan")
    best, drawn = -np.inf, np.full(len(weights), -np.inf)
    for _, rows in trials.chunks():
        means = rows.mean(axis=1)
        best = max(best, float(means.max()))
        np.maximum(drawn, (weights @ rows.T - means).max(axis=1), out=drawn)
    return float((1 + np.count_nonzero(drawn >= best)) / (1 + len(weights)))
