"""The plan is two-sided: what was measured fits, and not much more was claimed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.backtest.config import BacktestConfig
from seawall.backtest.memory import SLAB_ROWS, plan
from seawall.budget.environment import allocator_environment
from seawall.stores.shape import PanelShape, read_shape
from seawall.units import GIB, MIB
from tests.backtest.world import LONG_SHORT, TOP_2, config_of, random_world

SHAPE = PanelShape(
    num_rows=50_000_000,
    num_entities=20_000,
    num_dates=2500,
    num_features=60,
    num_targets=1,
    num_prices=4,
    max_rows_per_entity=2500,
    max_rows_per_date=20_000,
)

CHILD = """
import sys, threading, time
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError("as in a stage's process", name=name)
sys.meta_path.insert(0, NoPandas())
from pathlib import Path
from seawall.backtest.config import BacktestConfig
from seawall.backtest.run import backtest

def private_bytes():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024

peak, running = 0, True
def watch():
    global peak
    while running:
        peak = max(peak, private_bytes())
        time.sleep(0.002)

folder, slab_rows = Path(sys.argv[1]), int(sys.argv[2])
config = BacktestConfig.model_validate_json(sys.argv[3])
thread = threading.Thread(target=watch, daemon=True)
thread.start()
backtest(folder / "world.panel", folder / "table.parquet", folder / "backtest", config, slab_rows=slab_rows)
running = False
thread.join()
print(peak)
"""


@pytest.mark.parametrize("num_strategies", [1, 4])
def test_measured_private_bytes_fit_the_plan_and_the_plan_is_not_much_larger(
    tmp_path: Path, num_strategies: int
) -> None:
    random_world(1, num_dates=250, num_entities=400).write(tmp_path, rows_per_group=65_536)
    config = config_of(*({**LONG_SHORT, "num_quantiles": 2, "name": f"ls{i}"} for i in range(num_strategies)))
    planned = plan(config, read_shape(tmp_path / "world.panel"), GIB)

    measured_bytes = measured(tmp_path, config, planned.neutral["slab_rows"])

    assert measured_bytes <= planned.projected_private_bytes
    assert planned.projected_private_bytes <= 1.5 * measured_bytes + 32 * MIB


def measured(folder: Path, config: BacktestConfig, slab_rows: int) -> int:
    arguments = [str(folder), str(slab_rows), config.model_dump_json()]
    environment = {**os.environ, **allocator_environment()}
    command = [sys.executable, "-c", CHILD, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_tight_budget_shrinks_the_slab_but_never_below_one_date() -> None:
    config = config_of(TOP_2, LONG_SHORT)

    slabs = [plan(config, SHAPE, budget).neutral["slab_rows"] for budget in (GIB, 146 * MIB, 10 * MIB)]

    assert slabs[0] == SLAB_ROWS
    assert 20_000 < slabs[1] < SLAB_ROWS
    assert slabs[2] == 20_000


def test_claims_do_not_grow_with_rows() -> None:
    config = config_of(TOP_2)
    more = PanelShape(**{**SHAPE.record(), "num_rows": 10 * SHAPE.num_rows})

    few, many = (plan(config, shape, GIB) for shape in (SHAPE, more))

    assert many.projected_private_bytes == few.projected_private_bytes


def test_a_plan_is_plain_json() -> None:
    assert json.loads(json.dumps(plan(config_of(TOP_2), SHAPE, GIB).record()))["stage"] == "backtest"


def test_planning_imports_nothing_heavy() -> None:
    code = "import seawall.backtest.memory, seawall.backtest.config, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"numpy", "pyarrow", "pandas", "torch"} & set(done.stdout.split())
