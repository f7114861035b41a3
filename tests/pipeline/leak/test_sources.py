"""Leaks planted in the config, or in a store that is not what its sources say; and the command as a user has it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from seawall.budget.heartbeat import silent
from seawall.ingest.run import ingest
from seawall.pipeline.config import parse_config
from seawall.pipeline.leak.memory import plan_panel, plan_scores
from seawall.pipeline.leak.sources import check_sources
from seawall.pipeline.leak.verdict import Check
from seawall.pipeline.stages import required_ingest
from seawall.stores.npy import HEADER_BYTES
from seawall.stores.panel import Panel
from seawall.stores.shape import PanelShape
from seawall.units import MIB
from tests.pipeline.world import config as small_config
from tests.pipeline.world import market, write_market

BUDGET_BYTES = 900 * MIB


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV, its config and its panel."""
    folder = tmp_path_factory.mktemp("world")
    write_market(folder / "market.csv", market())
    values = small_config(folder / "market.csv", folder / "run")
    values["panel"] = str(folder / "small.panel")
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    ingest(required_ingest(parse_config(values, "test")), folder / "small.panel", budget_bytes=BUDGET_BYTES)
    return folder


def _values(world: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((world / "config.yaml").read_text())
    return loaded


def _judged(values: dict[str, Any], panel: Path, work: Path) -> Check:
    work.mkdir(exist_ok=True)
    section = required_ingest(parse_config(values, "test"))
    return check_sources(section, panel, work, budget_bytes=BUDGET_BYTES, beat=silent)


def test_honest_sources_do_not_move(world: Path, tmp_path: Path) -> None:
    found = _judged(_values(world), world / "small.panel", tmp_path / "work")
    assert found.verdict == "ok", found


@pytest.mark.parametrize(
    "expression",
    [
        "avg(close) OVER (entity ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING)",  # centred mean
        "first_value(close IGNORE NULLS) OVER (entity ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",  # back-fill
        "percent_rank() OVER (PARTITION BY __entity ORDER BY close)",  # rank within all of history
        "(close - avg(close) OVER (PARTITION BY __entity)) / stddev_samp(close) OVER (PARTITION BY __entity)",  # scaler
        "lead(close) OVER entity / close - 1",  # the label
    ],
)
def test_an_expression_that_looks_ahead_is_a_leak(expression: str, world: Path, tmp_path: Path) -> None:
    values = _values(world)
    values["ingest"]["features"]["planted"] = expression
    found = _judged(values, tmp_path / "none.panel", tmp_path / "work")
    assert found.verdict == "leak", found


def test_a_store_whose_feature_was_smoothed_with_its_future_is_a_leak(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "small.panel", tmp_path / "small.panel")
    panel = Panel(tmp_path / "small.panel")
    path = next(panel.path.glob("seg-*/features.npy"))
    mapped = np.memmap(path, "<f4", "r+", HEADER_BYTES)
    stored = mapped.reshape(-1, panel.shape.num_features)
    stored[1:-1, 0] = (stored[:-2, 0] + stored[1:-1, 0] + stored[2:, 0]) / 3
    mapped.flush()
    found = _judged(_values(world), tmp_path / "small.panel", tmp_path / "work")
    assert found.verdict == "leak"
    assert "feature ret_1" in found.why


def test_the_command_prints_every_verdict_and_exits_0_when_clean(world: Path) -> None:
    command = [sys.executable, "-m", "seawall", "doctor", "leak", str(world / "config.yaml"), "--memory", "1GiB"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "ok"
    verdicts = {check["name"]: check["verdict"] for check in found["checks"]}
    assert verdicts["sources"] == verdicts["target ends"] == verdicts["preparation"] == "ok"
    assert verdicts["predictions"] == verdicts["duplicates"] == "not run"
    for part in found["parts"]:
        assert part["measured_private_bytes"] <= part["projected_private_bytes"], part["stage"]
    assert not list(world.glob(".run.*"))


def test_the_command_exits_4_on_a_leak(world: Path, tmp_path: Path) -> None:
    values = _values(world)
    values["ingest"]["features"]["planted"] = "lead(close) OVER entity"
    values["panel"] = str(tmp_path / "none.panel")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "seawall", "doctor", "leak", str(tmp_path / "config.yaml"), "--memory", "1GiB"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert "looks ahead" in done.stdout.replace("\n", " ")


def test_claims_grow_with_what_they_say_and_the_smallest_budget_picks_fewer_hashes() -> None:
    shape = PanelShape(
        num_rows=10_000_000, num_entities=4000, num_dates=2500, num_features=20, num_targets=1, num_prices=1,
        max_rows_per_entity=2500, max_rows_per_date=4000,
    )  # fmt: skip
    values = {"output": "run", "train": {"target": "fwd", "folds": {"train": 100, "valid": 20, "test": 20}}}
    config = parse_config(values, "test")
    small, large = (plan_panel(config, shape.record(), room * MIB) for room in (300, 2000))
    assert 65_536 <= small.neutral["max_hashes"] < large.neutral["max_hashes"]
    assert small.projected_cgroup_bytes <= 300 * MIB
    scores = plan_scores(config, shape.record(), 2000 * MIB)
    assert scores.projected_disk_bytes == shape.store_bytes
    assert any("24 B" in claim.formula for claim in scores.private)
