"""The killed notebook, told again: predictions of fifteen walk-forward windows meet a raw table, then trade.

``python examples/incident_a.py [PREDICTIONS] [FOLDER]``

The notebook held 11,553,790 predictions twice, read all columns of the raw table to use three, and merged on keys that
stood twice; it died without a word in "convert to backtest format". Here it is three commands, each planned for
200 MiB, parent and worker together: the join, the judgement, and a run that makes a panel store, trades and reports.
The default is small; 11553790 is the incident itself, and wants 20 GB of disk. Tables that FOLDER holds from an earlier
time are taken as they are.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

INCIDENT, NUM_NAMES, NUM_WINDOWS, NUM_COLUMNS, SHARE_TWICE = 11_553_790, 5_365, 15, 60, 0.004
MEMORY = "200MiB"
TABLES_ONLY = "--tables-only"


def main(num_predictions: int, folder: Path) -> None:
    """Make the tables where they are missing, in a process that gives its memory back; then the three calls."""
    if not (folder / "raw").exists():
        subprocess.run([sys.executable, __file__, str(num_predictions), str(folder), TABLES_ONLY], check=True)
    scores, raw, table = (str(folder / name) for name in ("predictions", "raw", "table.parquet"))
    keys = ["--entity", "order_book_id", "--time", "trade_date"]
    seawall("join", "--predictions", scores, "--returns", raw, "--output", table, *keys, "--duplicates", "last")
    seawall("evaluate", "--predictions", table, "--target", "forward_return", "--horizon", "10")
    seawall("run", str(write_config(folder)))


def seawall(*words: str) -> None:
    """Run a command; it ends by showing its memory, or it says why it would not fit before it starts."""
    print(f"\n$ seawall {' '.join(words)} --memory {MEMORY}", flush=True)
    subprocess.run([sys.executable, "-m", "seawall", *words, "--memory", MEMORY], check=True)


def write_config(folder: Path) -> Path:
    """Write what turns prices and scores into a portfolio; JSON is YAML too."""
    keys = {"entity": "order_book_id", "time": "trade_date"}
    top = {"name": "top_50", "kind": "top_k_dropout", "k": 50, "n_drop": 5, "gross_exposure": 0.95}
    config: dict[str, Any] = {
        "name": "incident_a",
        "output": str(folder / "run"),
        "ingest": {
            **keys,
            "sources": [str(folder / "raw")],
            "prices": ["close"],
            "targets": {"ret_10": {"forward_return": {"column": "close", "horizon_periods": 10, "delay_periods": 1}}},
            "duplicates": "last",
        },
        "predictions": {**keys, "paths": [str(folder / "predictions")]},
        "evaluate": {"min_names": 10, "num_quantiles": 5},
        "backtest": {
            "delay_periods": 1,
            "trade_price": "close",
            "mark_price": "close",
            "cost_bps": {"buy": 5, "sell": 15},
            "slippage_bps": 2,
            "minimum_fee": 0,
            "periods_per_year": 245,
            "strategies": [{**top, "rebalance_periods": 1}],
        },
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config, indent=1))
    return path


def write_tables(num_predictions: int, folder: Path) -> int:
    """Write predictions by window, and a raw table by stock in which some keys stand twice; its number of rows."""
    import numpy as np

    num_names = max(20, round(NUM_NAMES * (num_predictions / INCIDENT) ** 0.5))
    num_dates = -(-num_predictions // num_names)
    days = np.datetime64("2010-01-04") + np.arange(2 * num_dates + 60)
    days = days[np.is_busday(days)][: num_dates + 11].astype("datetime64[ms]")
    names = np.array([f"{number:06d}.{'XSHG' if number % 2 else 'XSHE'}" for number in range(num_names)])
    for part in ("raw", "predictions"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _write_predictions(num_predictions, folder / "predictions", days[:num_dates], names)
    return _write_raw(folder / "raw", days, names)


def _write_predictions(num_predictions: int, folder: Path, days: Any, names: Any) -> None:  # noqa: ANN401 - arrays
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, left = np.random.default_rng(1), num_predictions
    for window, dates in enumerate(np.array_split(days, NUM_WINDOWS)):
        columns = {
            "trade_date": pa.array(np.repeat(dates, len(names))),
            "order_book_id": pa.array(np.tile(names, len(dates))),
            "prediction": pa.array(rng.standard_normal(len(dates) * len(names), np.float32)),
        }
        table = pa.table(columns).slice(0, left)
        left -= table.num_rows
        pq.write_table(table, folder / f"window_{window:02d}.parquet", compression="zstd")


def _write_raw(folder: Path, days: Any, names: Any) -> int:  # noqa: ANN401 - arrays
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, num_raw = np.random.default_rng(2), 0
    for part, block in enumerate(np.array_split(names, 10 * NUM_WINDOWS if len(names) > 1000 else NUM_WINDOWS)):
        close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (len(block), len(days))), axis=1))
        ahead = np.full_like(close, np.nan)
        ahead[:, :-11] = close[:, 11:] / close[:, 1:-10] - 1.0
        twice = np.repeat(np.arange(close.size), np.where(rng.random(close.size) < SHARE_TWICE, 2, 1))
        columns = {
            "trade_date": pa.array(np.tile(days, len(block))[twice]),
            "order_book_id": pa.array(np.repeat(block, len(days))[twice]),
            "y_ret_10d": pa.array(ahead.ravel()[twice], from_pandas=True),
            "close": pa.array(close.ravel()[twice]),
        }
        columns |= {f"f{n:02d}": pa.array(rng.standard_normal(len(twice))) for n in range(NUM_COLUMNS - 2)}
        pq.write_table(
            pa.table(columns), folder / f"part_{part:03d}.parquet", compression="zstd", row_group_size=50_000
        )
        num_raw += len(twice)
    return num_raw


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    if TABLES_ONLY in sys.argv:
        num_rows = write_tables(wanted, Path(sys.argv[2]))
        print(f"{wanted:,} predictions of {NUM_WINDOWS} windows; {num_rows:,} raw rows x {NUM_COLUMNS} columns")
    elif len(sys.argv) > 2:
        main(wanted, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(wanted, Path(temporary))
