"""Run in .venv-peers: vectorbt's ``from_signals`` over a grid of stops; prints CPU seconds, peak memory, trades."""

import json
import resource
import sys
import time

import numpy as np
import pandas as pd
import vectorbt as vbt


def main() -> None:
    """Simulate every combination on every column; levels are [take_profit, stop_loss] fractions."""
    asked = json.load(sys.stdin)
    frames = {
        name: pd.DataFrame(np.array(asked["bars"][name]).T) for name in ("open", "high", "low", "close")
    }  # fmt: skip
    shape = frames["close"].shape
    entries, shorts = np.zeros(shape, bool), np.zeros(shape, bool)
    for column, row, side in asked["entries"]:
        (entries if side > 0 else shorts)[row, column] = True
    levels = asked["levels"]
    columns = pd.RangeIndex(len(levels) * shape[1])
    tiled = {
        name: pd.DataFrame(np.tile(frame.to_numpy(), len(levels)), columns=columns) for name, frame in frames.items()
    }
    stops = np.repeat([level[1] for level in levels], shape[1])
    targets = np.repeat([level[0] for level in levels], shape[1])
    started = time.process_time()
    portfolio = vbt.Portfolio.from_signals(
        tiled["close"], entries=np.tile(entries, len(levels)), short_entries=np.tile(shorts, len(levels)),
        open=tiled["open"], high=tiled["high"], low=tiled["low"], price=tiled["open"], sl_stop=stops, tp_stop=targets,
        freq="15min",
    )  # fmt: skip
    num_trades = int(portfolio.trades.count().sum())
    cpu, peak = time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    json.dump({"cpu_seconds": cpu, "peak_bytes": peak, "trades": num_trades}, sys.stdout)


if __name__ == "__main__":
    main()
