"""A run with several seeds and baselines: a seed added later trains that one alone; models alone predict the same."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from seawall.pipeline.journal import last_run
from tests.pipeline.world import config, market, write_market

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BASELINES = ["ridge", "last_value"]


def seawall(*words: str) -> None:
    command = [sys.executable, "-m", "seawall", *words, "--memory", "1GiB", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]


def started(run: Path) -> set[str]:
    """Name the units the last run of a folder has started."""
    return {event["unit"] for event in last_run(run) if event["event"] == "started"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("seeds")
    source = write_market(folder / "market.csv", market())
    settings = config(source, folder / "out", seeds=[3], baselines=BASELINES, max_epochs=1)
    run(folder, settings)
    return folder, settings


def run(folder: Path, settings: dict[str, Any]) -> Path:
    (folder / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(settings)), sort_keys=False))
    seawall("run", str(folder / "config.yaml"))
    return folder / "out"


def test_a_seed_added_later_trains_that_one_alone_and_the_first_models_stay(
    world: tuple[Path, dict[str, Any]],
) -> None:
    folder, settings = world
    kept = {path: path.read_bytes() for path in (folder / "out/models").glob("*/seed_3/*")}
    settings["train"] |= {"seeds": [4, 3]}

    out = run(folder, settings)

    folds = [f"fold_{number:02d}" for number in range(3)]
    assert {unit for unit in started(out) if unit.startswith("train/")} == {f"train/{fold}/seed_4" for fold in folds}
    assert all(path.read_bytes() == content for path, content in kept.items())
    columns = pq.read_schema(out / "predictions/fold_00.parquet").names
    beside = ["prediction_std", "seed_3", "seed_4", *sorted(f"baseline_{name}" for name in BASELINES)]
    assert columns[4:] == ["prediction", *beside]
    metrics = json.loads((out / "metrics/metrics.json").read_text())
    assert metrics["seeds"]["seeds"] == [3, 4]
    assert {one["name"] for one in metrics["beside"]} == {"seed_3", "seed_4", "baseline_last_value", "baseline_ridge"}
    assert "Baselines and seeds" in (out / "report.html").read_text(encoding="utf-8")
    run(folder, settings)
    assert started(out) == set()
    units = json.loads((out / "run.json").read_text())["units"]
    for name, unit in units.items():
        claimed, measured = unit["projected_private_bytes"], unit["measured_private_bytes"]
        assert measured <= claimed <= 1.5 * measured + 2**25, name


def test_saved_models_of_all_seeds_predict_the_same(world: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = world
    models, panel = folder / "out/models", folder / "out/small.panel"

    seawall("predict", "--models", str(models), "--panel", str(panel), "--output", str(tmp_path / "again"))

    first, again = (pq.read_table(run / "predictions/fold_01.parquet") for run in (folder / "out", tmp_path / "again"))
    for name in set(first.column_names) - {"baseline_last_value", "entity"}:
        np.testing.assert_array_equal(again.column(name).to_numpy(), first.column(name).to_numpy())


def test_a_seed_taken_away_leaves_no_model_behind(world: tuple[Path, dict[str, Any]]) -> None:
    folder, settings = world
    settings["train"] |= {"seeds": [3], "baselines": []}

    out = run(folder, settings)

    assert sorted(path.name for path in (out / "models/fold_00").iterdir()) == ["seed_3"]
    assert not any(unit.startswith("train/") for unit in started(out))
    assert "prediction_std" not in pq.read_schema(out / "predictions/fold_00.parquet").names
