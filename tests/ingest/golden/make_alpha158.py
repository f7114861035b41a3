"""Make alpha158.npz: generated bars, and what Qlib itself computes from them. Run by hand; see README.md."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.qlib_provider import FIELDS, Bars, write_provider
from seawall.arrays import AnyArray

HERE = Path(__file__).parent


def calendar() -> AnyArray:
    days = np.arange(np.datetime64("2019-01-01"), np.datetime64("2020-06-01"))
    return days[np.is_busday(days)][:300]


def bars(seed: int = 5) -> list[Bars]:
    rng, days = np.random.default_rng(seed), calendar()
    spans = {"AAA": (0, 300), "BBB": (10, 300), "CCC": (120, 290), "DDD": (200, 203)}
    return [_bars(rng, name, days[first:last]) for name, (first, last) in spans.items()]


def _bars(rng: np.random.Generator, name: str, days: AnyArray) -> Bars:
    n = len(days)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    opened = close * np.exp(rng.normal(0, 0.01, n))
    if name == "BBB":  # ties
        close, opened = np.round(close, 1), np.round(opened, 1)
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.005, n)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.005, n)))
    volume = np.round(rng.lognormal(10, 1, n))
    values = np.column_stack([opened, high, low, close, volume, (opened + high + low + close) / 4])
    there = np.ones(n, bool)
    if name == "AAA":  # suspended, and rows with holes
        there[100:103] = there[180:188] = False
        values[40] = values[60, 4] = values[75, 1] = np.nan
    if name == "BBB":  # days without volume, and a price that does not move
        values[50:58, 4] = 0.0
        values[140:150, [0, 1, 2, 3, 5]] = values[140, 3]
        values[142:150, 4] = 1000.0
    if name == "CCC":  # suspended for longer than any window
        there[40:105] = there[120] = False
    return Bars(name, days[there], values[there].astype(np.float32))


def main() -> None:
    """Write the file."""
    made = bars()
    with tempfile.TemporaryDirectory() as folder:
        provider, out = Path(folder) / "provider", Path(folder) / "out.npz"
        write_provider(provider, calendar(), made)
        script = HERE.parents[2] / "bench" / "peers" / "qlib_alpha158.py"
        subprocess.run([sys.argv[1], str(script), str(provider), str(out)], check=True)
        with np.load(out) as theirs:
            place = {key: row for row, key in enumerate(zip(theirs["instrument"], theirs["datetime"], strict=True))}
            rows = [place[(b.name, day)] for b in made for day in b.days]
            np.savez_compressed(
                HERE / "alpha158.npz",
                calendar=calendar(),
                entity=np.concatenate([np.full(len(b.days), b.name) for b in made]),
                day=np.concatenate([b.days for b in made]),
                fields=np.array(FIELDS),
                bars=np.concatenate([b.values for b in made]),
                names=theirs["names"],
                values=theirs["values"][rows],
            )


if __name__ == "__main__":
    main()
