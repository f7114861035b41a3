"""Run in .venv-peers: the exits of backtesting.py for given bars and entries, with stop-loss and take-profit only.

Reads JSON from standard input: ``bars`` (open, high, low, close lists), ``entries`` ([row, side] pairs, filled at the
open of the row), ``levels`` ([take_profit, stop_loss] fractions). Prints for each pair of levels the exits as
[row, side, exit row, exit price], and the CPU seconds.
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
from backtesting import Backtest, Strategy, backtesting  # noqa: E402


def strategy(opens: np.ndarray, wanted: dict[int, list[int]], tp: float, sl: float) -> type:
    """Enter at the open of each wanted row, with levels of that open."""

    class Given(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            """Nothing to prepare."""

        def next(self) -> None:
            upcoming = len(self.data)
            for side in wanted.get(upcoming, []):
                price = opens[upcoming]
                order = self.buy if side > 0 else self.sell
                stop, target = price * (1 - side * sl), price * (1 + side * tp)
                if min(stop, target) < self.data.Close[-1] < max(stop, target):  # else the engine refuses the order
                    order(size=1, sl=stop, tp=target, tag=side)

    return Given


def main() -> None:
    """Run every pair of levels."""
    asked = json.load(sys.stdin)
    columns = {name.capitalize(): asked["bars"][name] for name in ("open", "high", "low", "close")}
    frame = pd.DataFrame(columns, index=pd.date_range("2020-01-01", periods=len(columns["Open"]), freq="h"))
    wanted: dict[int, list[int]] = {}
    for row, side in asked["entries"]:
        wanted.setdefault(row, []).append(side)
    backtesting._tqdm = lambda seq, **_: seq
    found, started = [], time.process_time()
    for tp, sl in asked["levels"]:
        given = strategy(frame["Open"].to_numpy(), wanted, tp, sl)
        test = Backtest(frame, given, cash=1e9, hedging=True, commission=0, finalize_trades=False)
        trades = test.run()["_trades"]
        found.append([
            [int(t.EntryBar), int(np.sign(t.Size)), int(t.ExitBar), float(t.ExitPrice)] for t in trades.itertuples()
        ])  # fmt: skip
    json.dump({"exits": found, "cpu_seconds": time.process_time() - started}, sys.stdout)


if __name__ == "__main__":
    main()
