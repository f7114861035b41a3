"""Every kind of model goes through the whole of ``seawall run`` by one word, inside its plan."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import seawall as sw
from seawall.budget.heartbeat import silent
from seawall.models.config import KINDS
from seawall.pipeline.config import RunConfig, parse_config
from seawall.pipeline.leak.borders import check_borders
from seawall.pipeline.leak.scores import check_scores
from seawall.pipeline.stages import required_train
from seawall.stores.panel import Panel
from tests.pipeline.world import config, market, write_market

MODELS: dict[str, dict[str, Any]] = {kind: {"kind": kind} for kind in KINDS}
MODELS["branch_lstm"] |= {"static": ["age"]}
MODELS["lightgbm"] |= {"max_trees": 20}
MODELS["module"] |= {"target": "tests/models/own_networks.py:Conv"}
SEQUENCE = {"kind": "lstm", "output": "sequence"}


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ingest the market once, each name with an age."""
    folder, frame = tmp_path_factory.mktemp("market"), market()
    settings = config(write_market(folder / "market.csv", frame), folder / "run")
    ages = pd.DataFrame({"symbol": sorted(set(frame["symbol"]))}).reset_index(names="age")
    ages.to_csv(folder / "ages.csv", index=False)
    static = {"source": str(folder / "ages.csv"), "columns": ["age"]}
    sw.run(settings | {"ingest": settings["ingest"] | {"static": static}}, memory="2GiB", only="ingest")
    return folder / "run" / "small.panel"


# The other kinds share all of their way with these two and differ in their networks, which tests of their own hold.
FAST = ("lightgbm", "sequence")


@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(kind, marks=pytest.mark.slow) for kind in MODELS if kind not in FAST)]
)
def test_a_run_of_any_kind_predicts_every_row_and_stays_inside_its_plan(panel: Path, tmp_path: Path, name: str) -> None:
    settings = config(panel, tmp_path / "run", model=MODELS.get(name, SEQUENCE))
    folds = {"train": 150, "valid": 30, "test": 60}
    train = settings["train"] | {"folds": folds, "max_epochs": 1}
    if name == "sequence":
        train |= {"sequence": {"stride_periods": 2, "reduce": "mean"}}
    asked = {"name": name, "output": settings["output"], "panel": str(panel), "train": train}
    sw.run(asked | {"evaluate": settings["evaluate"]}, memory="2GiB")

    fold = json.loads((tmp_path / "run" / "folds.json").read_text())["folds"][0]
    table = pq.read_table(tmp_path / "run" / "predictions" / "fold_00.parquet")
    assert table.num_rows == fold["test"]["num_samples"] > 0
    assert table["prediction"].null_count == 0
    record = json.loads((tmp_path / "run" / "models" / "fold_00" / "model.json").read_text())
    assert record["model"]["kind"] == train["model"]["kind"]
    units = json.loads((tmp_path / "run" / "run.json").read_text())["units"]
    _nothing_knows_its_future(Path(settings["output"]), panel, parse_config(asked, "test"), tmp_path)
    for unit in ("train/fold_00", "predict/fold_00"):
        memory = units[unit]
        assert memory["measured_private_bytes"] <= memory["projected_private_bytes"], unit


def _nothing_knows_its_future(output: Path, panel: Path, asked: RunConfig, work: Path) -> None:
    """Hold the models to other futures; steps put together from several windows cannot be, and say so."""
    train = required_train(asked)
    checks = [*check_scores(panel, output, train, work / "leak", silent), check_borders(Panel(panel), output, train)]
    found = {check.name: check.verdict for check in checks}
    together = train.is_sequence and train.sequence.reduce != "last"
    scores = "not run" if together else "ok"
    assert found == {"samples": "ok", "scalers": "ok", "predictions": scores, "truncation": scores, "borders": "ok"}
