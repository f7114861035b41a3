"""Load what `seawall export` wrote, as each program's documentation does; run by the python of the peers.

``python bench/peers/load_exports.py PEER FOLDER``: FOLDER has one folder for each export, and expected.npz. Ends with
an error where a value differs; its last line says what was compared.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def main() -> None:
    """Load one export."""
    peer, folder = sys.argv[1], Path(sys.argv[2])
    with np.load(folder / "expected.npz") as file:
        expected = {name: file[name] for name in file.files}
    days = pd.DatetimeIndex(expected["days"].astype("int64").astype("datetime64[D]"))
    names = [f"E{number:03d}" for number in range(expected["close"].shape[1])]
    frames = {n: pd.DataFrame(expected[n], index=days, columns=names) for n in ("close", "adjustment", "scores")}
    print(LOADERS[peer](folder / peer, frames, expected["rank_ic"]))


def load_qlib(folder: Path, frames: dict[str, pd.DataFrame], _: np.ndarray) -> str:
    """Open the provider folder and ask for closes and factors."""
    import qlib
    from qlib.data import D

    qlib.init(provider_uri=str(folder), region="us", kernels=1)
    found = D.features(D.instruments("all"), ["$close", "$factor"], freq="day")
    close = found["$close"].unstack("instrument").reindex_like(frames["close"])
    factor = found["$factor"].unstack("instrument").reindex_like(frames["close"])
    np.testing.assert_allclose(close, frames["close"] / frames["adjustment"], rtol=1e-6)
    np.testing.assert_allclose(close / factor, frames["close"], rtol=1e-6)
    return f"{close.count().sum():,} closes and factors equal to float32"


def load_pred(folder: Path, frames: dict[str, pd.DataFrame], rank_ic: np.ndarray) -> str:
    """Use the frame as the signal of a strategy, and correlate it."""
    from qlib.backtest.signal import SignalWCache

    pred = pd.read_parquet(folder / "pred.parquet")
    signal = SignalWCache(pred)
    day = frames["scores"].dropna(how="all").index[-1]
    ours = frames["scores"].loc[day].dropna()
    theirs = signal.get_signal(start_time=day, end_time=day)
    theirs = theirs.iloc[:, 0] if isinstance(theirs, pd.DataFrame) else theirs
    np.testing.assert_array_equal(theirs.reindex(ours.index), ours)
    wide = pred["score"].unstack("instrument").reindex_like(frames["scores"])
    np.testing.assert_array_equal(wide, frames["scores"])
    return f"{len(pred):,} scores equal, signal of a strategy"


def load_alphalens(folder: Path, frames: dict[str, pd.DataFrame], rank_ic: np.ndarray) -> str:
    """Run its performance functions on the frame."""
    from alphalens import performance

    data = pd.read_parquet(folder / "factor_data.parquet")
    theirs = performance.factor_information_coefficient(data)
    np.testing.assert_allclose(theirs.iloc[:, 0].dropna(), rank_ic[np.isfinite(rank_ic)], atol=1e-12)
    by_quantile, _ = performance.mean_return_by_quantile(data)
    if list(by_quantile.index) != [1, 2, 3, 4, 5]:
        raise SystemExit(f"quantiles {list(by_quantile.index)}")
    turnover = performance.quantile_turnover(data["factor_quantile"], 5)
    returns = performance.factor_returns(data)
    if not np.isfinite(returns).all().all() or not len(turnover):
        raise SystemExit("factor returns or turnover are missing")
    return f"rank IC of {len(theirs):,} dates equal to 1e-12; quantiles, turnover and factor returns computed"


def load_vectorbt(folder: Path, frames: dict[str, pd.DataFrame], _: np.ndarray) -> str:
    """Trade the wide frames: hold each name from its first close to its last."""
    import vectorbt as vbt

    close, scores = (pd.read_feather(folder / f"{name}.feather") for name in ("close", "scores"))
    adjusted = (frames["close"] / frames["adjustment"]).loc[close.index]
    np.testing.assert_array_equal(close, adjusted)
    np.testing.assert_array_equal(scores, frames["scores"].loc[scores.index])
    whole = close.ffill().bfill()
    portfolio = vbt.Portfolio.from_signals(whole, entries=scores.rank(axis=1) > 18, exits=scores.rank(axis=1) < 3)
    held = vbt.Portfolio.from_holding(whole).total_return()
    np.testing.assert_allclose(held, whole.iloc[-1] / whole.iloc[0] - 1, rtol=1e-12)
    return f"frames {close.shape} equal, {portfolio.orders.count().sum():,} orders from the scores"


def load_backtrader(folder: Path, frames: dict[str, pd.DataFrame], _: np.ndarray) -> str:
    """Feed each file to a strategy that writes its closes down."""
    import backtrader as bt

    class Closes(bt.Strategy):
        """Keep date and close of every bar."""

        def __init__(self) -> None:
            self.seen: list[tuple[pd.Timestamp, float]] = []

        def next(self) -> None:
            self.seen.append((pd.Timestamp(self.data.datetime.datetime(0)), self.data.close[0]))

    num_bars = 0
    for name in frames["close"].columns:
        cerebro = bt.Cerebro()
        cerebro.adddata(bt.feeds.GenericCSVData(dataname=str(folder / f"{name}.csv"), dtformat="%Y-%m-%d %H:%M:%S"))
        cerebro.addstrategy(Closes)
        found = pd.Series(dict(cerebro.run()[0].seen))
        wanted = (frames["close"][name] / frames["adjustment"][name]).dropna()
        np.testing.assert_array_equal(found.index.normalize(), wanted.index)
        np.testing.assert_array_equal(found, wanted)
        num_bars += len(found)
    return f"{num_bars:,} bars equal"


def load_zipline(folder: Path, frames: dict[str, pd.DataFrame], _: np.ndarray) -> str:
    """Ingest the folder as a csvdir bundle; read closes and splits back from it."""
    from zipline.data import bundles
    from zipline.data.bundles.csvdir import csvdir_equities

    close = frames["close"]
    bundles.register("seawall", csvdir_equities(["daily"], str(folder)), calendar_name="24/7")
    bundles.ingest("seawall", show_progress=False)
    data = bundles.load("seawall")
    assets = data.asset_finder.retrieve_all(data.asset_finder.sids)
    raw = data.equity_daily_bar_reader.load_raw_arrays(
        ["close"], close.index[0], close.index[-1], [a.sid for a in assets]
    )
    found = pd.DataFrame(raw[0], index=close.index, columns=[asset.symbol for asset in assets])[close.columns]
    np.testing.assert_allclose(found, close, atol=0.0005001, rtol=0)
    splits = pd.read_sql("select * from splits", data.adjustment_reader.conn)
    ratio = frames["adjustment"].ffill().pct_change(fill_method=None).add(1).fillna(1.0)
    expected = np.sort(ratio.to_numpy()[ratio.to_numpy() != 1.0])
    np.testing.assert_allclose(np.sort(splits["ratio"]), expected, rtol=1e-9)
    return f"{close.count().sum():,} closes equal to a thousandth, {len(splits)} splits"


LOADERS = {
    "qlib": load_qlib,
    "qlib-pred": load_pred,
    "alphalens": load_alphalens,
    "vectorbt": load_vectorbt,
    "backtrader": load_backtrader,
    "zipline": load_zipline,
}

if __name__ == "__main__":
    main()
