"""A large CSV as the field has them: 5,000 symbols in daily order (unsorted by symbol), 60 columns of numbers."""

from pathlib import Path

import numpy as np

NUM_SYMBOLS = 5_000
NUM_COLUMNS = 60
POOL_ROWS = 40_000
"""Rows of numbers written once as text and dealt again: formatting floats would take longer than the benchmark."""

COLUMNS = ("open", "high", "low", "close", "volume", *(f"factor_{number:02d}" for number in range(NUM_COLUMNS - 5)))


def write_panel_csv(path: Path, num_bytes: int, *, num_symbols: int = NUM_SYMBOLS, all_digits: bool = False) -> int:
    """Write a CSV of about ``num_bytes``: one row per (date, symbol), dates ascending; about 555 bytes a row.

    Symbols miss about 2 % of their days; 1 % of the factors are empty. With ``all_digits`` factors are written as
    programs write a float64, with up to 17 digits: about 1,150 bytes a row.

    Returns
    -------
    int
        Number of rows.
    """
    rng = np.random.default_rng(7)
    tails = _tails(rng, all_digits=all_digits)
    names = [f"{number:06d}.{'XSHG' if number % 2 else 'XSHE'}".encode() for number in rng.permutation(num_symbols)]
    num_rows, day = 0, np.datetime64("1990-01-01")
    with path.open("wb") as file:
        file.write((",".join(("symbol", "date", *COLUMNS)) + "\n").encode())
        while file.tell() < num_bytes:
            date = f",{day},".encode()
            dealt = rng.integers(0, POOL_ROWS, num_symbols).tolist()
            present = np.flatnonzero(rng.random(num_symbols) > 0.02).tolist()
            file.write(b"".join([names[place] + date + tails[dealt[place]] for place in present]))
            num_rows, day = num_rows + len(present), np.busday_offset(day, 1, roll="forward")
    return num_rows


def write_one_entity_csv(path: Path, num_bytes: int) -> int:
    """Write a CSV of about ``num_bytes`` with one symbol, a row a minute in shuffled blocks of a week.

    Returns
    -------
    int
        Number of rows.
    """
    rng = np.random.default_rng(7)
    tails, num_rows, week = _tails(rng), 0, 7 * 24 * 60
    with path.open("wb") as file:
        file.write((",".join(("symbol", "date", *COLUMNS)) + "\n").encode())
        while file.tell() < num_bytes:
            minutes = np.datetime64("1990-01-01T00:00:00") + (num_rows + rng.permutation(week)).astype("m8[m]")
            dealt = rng.integers(0, POOL_ROWS, week).tolist()
            times = np.datetime_as_string(minutes).tolist()
            file.write(b"".join([f"BTC,{now},".encode() + tails[row] for now, row in zip(times, dealt, strict=True)]))
            num_rows += week
    return num_rows


def _tails(rng: np.random.Generator, *, all_digits: bool = False) -> list[bytes]:
    close = np.round(10 * np.exp(rng.standard_normal(POOL_ROWS)), 2)
    spread = np.round(close[:, None] * rng.uniform(0.97, 1.03, (POOL_ROWS, 3)), 2)
    volume = rng.integers(100, 10_000_000, POOL_ROWS)
    factors = rng.standard_normal((POOL_ROWS, NUM_COLUMNS - 5)) * 10.0 ** rng.integers(-2, 3, NUM_COLUMNS - 5)
    missing, text = rng.random(factors.shape) < 0.01, "" if all_digits else ".6g"
    tails = []
    for row in range(POOL_ROWS):
        cells = [f"{value:.2f}" for value in (*spread[row], close[row])]
        cells.append(str(volume[row]))
        cells += ["" if gone else f"{value:{text}}" for value, gone in zip(factors[row], missing[row], strict=True)]
        tails.append((",".join(cells) + "\n").encode())
    return tails
