"""A shuffled order that is computed, not stored: a keyed permutation of 0 .. n-1 in constant memory."""

import numpy as np

from seawall.arrays import Int64
from seawall.windows import compiled
from seawall.windows.compiled import UInt64

_NUM_ROUNDS = 8
_MASK_64 = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB

BLOCK = 32_768
"""Positions permuted together by NumPy: 16 ns each; 26 ns at 8,192, where calls weigh more (measured)."""


def _constant(value: int) -> UInt64:
    """Give a number as an array without dimensions: NumPy takes it in half the time of a scalar."""
    return np.array(value, np.uint64)


_FIRST_FACTOR, _SECOND_FACTOR = _constant(_MIX_1), _constant(_MIX_2)
_FIRST_SHIFT, _SECOND_SHIFT = _constant(29), _constant(32)


def order_key(seed: int, *parts: int) -> int:
    """Mix a seed and what the order belongs to (an epoch; an epoch and a pool) into one 64-bit key."""
    key = _mixed(seed & _MASK_64)
    for part in parts:
        key = _mixed(key ^ ((part * _GOLDEN) & _MASK_64))
    return key


def permute(n: int, key: int, positions: Int64) -> Int64:
    """Map positions of the shuffled order to positions of the plain one.

    An alternating Feistel network over the smallest number of bits that holds ``n`` values, walked until the result
    is below ``n`` (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002): every value of 0 .. n-1 occurs
    exactly once, for any key. At least half of the network's values are below ``n``, so a position costs at most two
    walks on average.

    Parameters
    ----------
    positions
        int64 [B], each in 0 .. n-1.

    Returns
    -------
    int64 [B]
        Without the library, memory is five arrays of 32,768 values beside the result; none of n.
    """
    bits = max(2, (n - 1).bit_length())
    opened = compiled.library()
    if opened is not None:
        return compiled.permute(opened, n, bits, np.array(_round_keys(key), np.uint64), positions)
    keys = [_constant(value) for value in _round_keys(key)]
    scratch = np.empty((4, min(BLOCK, len(positions))), np.uint64)
    result = np.empty(len(positions), np.int64)
    for start in range(0, len(positions), BLOCK):
        values = positions[start : start + BLOCK].astype(np.uint64)
        _walk(values, n, bits, keys, scratch)
        result[start : start + BLOCK] = values
    return result


def permutation(n: int, key: int) -> Int64:
    """Give the whole shuffled order at once: int64 [n]."""
    return permute(n, key, np.arange(n))


def _walk(values: UInt64, n: int, bits: int, keys: list[UInt64], scratch: UInt64) -> None:
    """Map values in place, those that come out outside 0 .. n-1 again and again."""
    _feistel(values, bits, keys, scratch)
    outside = np.flatnonzero(values >= n)
    while len(outside):
        walking = values[outside]
        _feistel(walking, bits, keys, scratch)
        values[outside] = walking
        outside = outside[walking >= n]


def _feistel(values: UInt64, bits: int, keys: list[UInt64], scratch: UInt64) -> None:
    low_bits = _constant(bits // 2)
    low_mask, high_mask = _constant((1 << bits // 2) - 1), _constant((1 << (bits - bits // 2)) - 1)
    low, high, mixed, shifted = scratch[:, : len(values)]
    np.bitwise_and(values, low_mask, out=low)
    np.right_shift(values, low_bits, out=high)
    for number, key in enumerate(keys):
        changed, other, mask = (low, high, low_mask) if number % 2 == 0 else (high, low, high_mask)
        _hash(other, key, mixed, shifted)
        np.bitwise_and(mixed, mask, out=mixed)
        np.bitwise_xor(changed, mixed, out=changed)
    np.left_shift(high, low_bits, out=high)
    np.bitwise_or(high, low, out=values)


def _hash(values: UInt64, key: UInt64, mixed: UInt64, shifted: UInt64) -> None:
    np.add(values, key, out=mixed)
    np.multiply(mixed, _FIRST_FACTOR, out=mixed)
    np.right_shift(mixed, _FIRST_SHIFT, out=shifted)
    np.bitwise_xor(mixed, shifted, out=mixed)
    np.multiply(mixed, _SECOND_FACTOR, out=mixed)
    np.right_shift(mixed, _SECOND_SHIFT, out=mixed)


def _round_keys(key: int) -> list[int]:
    return [_mixed((key + number * _GOLDEN) & _MASK_64) for number in range(1, _NUM_ROUNDS + 1)]


def _mixed(value: int) -> int:
    """Scramble 64 bits (the finaliser of SplitMix64: Steele, Lea and Flood, 2014)."""
    value = (value + _GOLDEN) & _MASK_64
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK_64
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK_64
    return value ^ (value >> 31)
