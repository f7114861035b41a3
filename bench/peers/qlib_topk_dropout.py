"""Run Qlib's TopkDropoutStrategy in its own backtest; run by the python of the peers, never imported by ours.

``python bench/peers/qlib_topk_dropout.py PROVIDER SCORES.parquet SETTINGS.json OUT.json``: scores as the frame Qlib
keeps as ``pred.pkl``, index (datetime, instrument). Writes its report by date.
"""

import json
import sys
from pathlib import Path

import pandas as pd


def main() -> None:
    """Backtest as Qlib's documentation does, trading at the close, without rounding to lots."""
    import qlib
    from qlib.contrib.evaluate import backtest_daily
    from qlib.contrib.strategy.signal_strategy import TopkDropoutStrategy

    provider, scores, settings, out = sys.argv[1:5]
    rules = json.loads(Path(settings).read_text())
    qlib.init(provider_uri=provider, region="cn", kernels=1)
    signal = pd.read_parquet(scores)
    strategy = TopkDropoutStrategy(
        signal=signal, topk=rules["k"], n_drop=rules["n_drop"], risk_degree=rules["gross_exposure"]
    )
    exchange = {
        "deal_price": "close",
        "limit_threshold": rules["limit_move"],
        "open_cost": rules["buy_bps"] / 10_000,
        "close_cost": rules["sell_bps"] / 10_000,
        "min_cost": rules["minimum_fee"],
        "trade_unit": None,
    }
    report, _ = backtest_daily(
        start_time=rules["start"],
        end_time=rules["end"],
        strategy=strategy,
        account=rules["initial_equity"],
        benchmark=pd.Series(0.0, index=signal.index.get_level_values("datetime").unique()),
        exchange_kwargs=exchange,
    )
    columns = {name: report[name].astype(float).tolist() for name in ("account", "return", "cost")}
    Path(out).write_text(json.dumps({"qlib": qlib.__version__, "first_day": str(report.index[0].date()), **columns}))


if __name__ == "__main__":
    main()
