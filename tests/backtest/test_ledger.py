"""The ledger holds every trade, in order, whatever the sizes it came in."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.backtest.ledger import Ledger
from seawall.backtest.market import Market
from seawall.backtest.memory import LEDGER_GROUP_ROWS
from seawall.backtest.portfolio import Trades
from seawall.stores.panel import Panel
from tests.backtest.world import random_world


def test_trades_come_back_whole_across_row_groups(tmp_path: Path) -> None:
    panel = Panel(random_world(1).write(tmp_path)[0])
    market, names = Market(9), pa.array(panel.entities)
    market.date = 5
    market.fill_E[:], market.adjustment_E[:] = np.arange(9) + 1.0, 2.0
    rng = np.random.default_rng(0)
    sizes = [3, LEDGER_GROUP_ROWS - 3, 1, LEDGER_GROUP_ROWS, 2 * LEDGER_GROUP_ROWS + 7, 40]
    given = [Trades(4, rng.integers(0, 9, size), rng.standard_normal(size), rng.random(size)) for size in sizes]

    ledger = Ledger(tmp_path, panel, names)
    for trades in given:
        ledger.trade(market, trades)
    ledger.write()
    ledger.close()

    file = pq.ParquetFile(tmp_path / "ledger.parquet")
    groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert max(groups) <= LEDGER_GROUP_ROWS
    frame = file.read()
    entities = np.concatenate([trades.entities for trades in given])
    units = np.concatenate([trades.units for trades in given])
    assert frame["entity"].to_pylist() == [f"E{entity:03d}" for entity in entities]
    np.testing.assert_array_equal(frame["shares"], units / 2)
    np.testing.assert_array_equal(frame["price"], entities + 1.0)
    np.testing.assert_array_equal(frame["notional"], np.abs(units / 2) * (entities + 1.0))
    np.testing.assert_array_equal(frame["cost"], np.concatenate([trades.cost for trades in given]))
    assert set(frame["decision_time"].cast(pa.int64()).to_pylist()) == {panel.calendar[4]}
    assert set(frame["time"].cast(pa.int64()).to_pylist()) == {panel.calendar[5]}
