"""Stationary bootstrap (Politis and Romano 1994): how often each block of time is drawn, from a seed."""

import numpy as np

from seawall.arrays import Float64


def draw_weights(num_blocks: int, num_draws: int, mean_block: float, seed: int) -> Float64:
    """Draw weights [draws, B] that sum to 1: the mean of a resampled series is ``weights @ series``.

    Runs of blocks have a geometric length of mean ``mean_block`` and wrap around the end. Memory: draws x blocks x 8 B.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((num_draws, num_blocks))
    place = rng.integers(num_blocks, size=num_draws)
    rows = np.arange(num_draws)
    for _ in range(num_blocks):
        weights[rows, place] += 1.0 / num_blocks
        starts_anew = rng.random(num_draws) < 1.0 / mean_block
        place = np.where(starts_anew, rng.integers(num_blocks, size=num_draws), (place + 1) % num_blocks)
    return weights
