"""A whole run of combinatorial folds: every stage in a child of its own, each path judged, none of them traded."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import seawall as sw
from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore
from tests.pipeline.world import config, market, write_market

FOLDS = {"kind": "combinatorial", "num_groups": 3, "num_test_groups": 2, "valid": 20, "embargo_periods": 2}


@pytest.mark.slow
def test_a_run_of_combinatorial_folds_ends_with_paths_that_are_judged_and_never_traded(tmp_path: Path) -> None:
    settings = config(write_market(tmp_path / "market.csv", market()), tmp_path / "out", folds=FOLDS, max_epochs=1)
    strategies = settings.pop("backtest")

    run = sw.run(settings, memory="2GiB")

    panel, store = Panel(run.folder / "small.panel"), PredictionStore(run.folder / "predictions")
    assert (store.num_paths, len(json.loads((run.folder / "folds.json").read_text())["folds"])) == (2, 3)
    rows = [np.concatenate([batch.row for batch in store.batches(path=path)]) for path in range(2)]
    assert sorted(rows[0].tolist()) == sorted(rows[1].tolist())
    assert len(np.unique(panel.time_index[rows[0]])) > 0.9 * panel.shape.num_dates
    judged = json.loads((run.folder / "metrics" / "metrics.json").read_text())["paths"]
    assert [block["path"] for block in judged] == [0, 1]
    assert pq.read_table(run.folder / "metrics" / "daily_paths.parquet").num_rows > 0
    assert not (run.folder / "backtest").exists()
    assert "combinatorial" in (run.folder / "report.html").read_text()
    written = {path: path.read_bytes() for path in run.folder.glob("predictions/*.parquet")}
    with pytest.raises(ConfigError, match="backtest: predictions of combinatorial folds are 2 paths"):
        sw.run({**settings, "backtest": strategies}, memory="2GiB")
    assert {path: path.read_bytes() for path in run.folder.glob("predictions/*.parquet")} == written
