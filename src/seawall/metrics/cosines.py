"""Energy of the lowest cosine transforms of a series, in memory that does not grow beyond the series."""

import numpy as np

from seawall.arrays import Float64, Int64

WHOLE_VALUES = 32_768
"""Longest series transformed as a whole: beyond, NumPy's transform and its plan take up to 190 bytes a value."""


def low_cosine_energy(values: Float64, count: int, *, block_values: int = WHOLE_VALUES) -> float:
    """Sum the squares of the first ``count`` cosine transforms sum_t y_t cos(pi j (t - 1/2) / T), j = 1 .. count.

    Parameters
    ----------
    values
        float64 [T], defined everywhere.
    count
        At most T // 2.
    block_values
        A longer series is worked through in pairs of such blocks; the result is the same to rounding.

    Returns
    -------
    float
        In the unit of the values, squared.

    Notes
    -----
    Memory is 190 bytes a value for at most ``block_values`` of them. Short series take one Fourier transform, even
    places first and odd ones backwards after them (J. Makhoul, A fast cosine transform in one and two dimensions,
    1980). Long ones use that the sum is 1/2 sum_{s,t} y_s y_t [D(s - t) + D(s + t - 1)] with
    D(d) = sum_{j <= count} cos(pi j d / T), which has a closed form: all products of two blocks that share s - t, or
    s + t, come from one short transform.

    Examples
    --------
    >>> round(low_cosine_energy(np.array([1.0, 0.0, 0.0, -1.0]), 2), 9)
    3.414213562
    """
    num_values = len(values)
    if num_values <= block_values:
        spectrum = np.fft.rfft(np.concatenate([values[::2], values[1::2][::-1]]))[1 : count + 1]
        spectrum *= np.exp((-0.5j * np.pi / num_values) * np.arange(1, count + 1))
        return float(np.square(np.real(spectrum)).sum())
    size, total = 2 * block_values, 0.0
    lags = np.arange(size)
    sums = lags + 1
    lags[block_values:] -= size
    for first in range(0, num_values, block_values):
        one = np.fft.rfft(values[first : first + block_values], size)
        for second in range(first, num_values, block_values):
            other = one if second == first else np.fft.rfft(values[second : second + block_values], size)
            differing = np.fft.irfft(one.conj() * other, size) @ _dirichlet(lags + (second - first), num_values, count)
            adding = np.fft.irfft(one * other, size) @ _dirichlet(sums + (first + second), num_values, count)
            total += (0.5 if second == first else 1.0) * float(differing + adding)
    return total


def _dirichlet(places: Int64, num_values: int, count: int) -> Float64:
    """Sum cos(pi j d / T) over j = 1 .. count; angles are reduced in integers, so that none loses digits."""
    places = np.abs(places) % (2 * num_values)
    at_zero = places == 0
    places[at_zero] = 1
    step = np.pi / (2 * num_values)
    found: Float64 = np.sin((2 * count + 1) * places % (4 * num_values) * step)
    found /= np.sin(places * step)
    found -= 1.0
    found *= 0.5
    found[at_zero] = count
    return found
