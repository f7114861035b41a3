"""A disk that fills up in every stage that writes: told as such, nothing lost, and the run goes on with room."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from seawall.pipeline.manifest import RunManifest
from tests.pipeline.disks import fill, small_disk
from tests.pipeline.kills import artefacts
from tests.pipeline.world import config, market, write_market

pytestmark = pytest.mark.slow

DISK_MIB = 48
STAGES = ("ingest", "train/fold_00", "predict/fold_00", "evaluate", "join", "backtest", "report")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small file system of its own."""
    with small_disk(tmp_path_factory.mktemp("disk"), DISK_MIB) as mounted:
        yield mounted


def command(path: Path) -> list[str]:
    return [sys.executable, "-m", "seawall", "run", str(path), "--memory", "1GiB", "--quiet"]


@pytest.fixture(scope="module")
def run(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run on the small disk, its config, and a copy of it elsewhere."""
    folder = tmp_path_factory.mktemp("config")
    settings = config(write_market(folder / "market.csv", market()), disk / "out", max_epochs=1)
    settings["train"]["folds"] = {"train": 120, "valid": 40, "test": 50}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    subprocess.run(command(path), check=True, capture_output=True)
    shutil.copytree(disk / "out", folder / "whole")
    return path, folder / "whole"


@pytest.mark.parametrize("unit", STAGES)
def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(
    disk: Path, run: tuple[Path, Path], unit: str
) -> None:
    path, whole = run
    out = disk / "out"
    record = json.loads((out / "run.json").read_text())["units"][unit]
    RunManifest(out, "small").forget([unit])
    for output in record["outputs"]:
        (out / output["path"]).unlink()
    if unit == "ingest":
        shutil.rmtree(out / "small.panel")
    before = artefacts(out)
    fill(disk / "filler", leave_bytes=0)

    full = subprocess.run(command(path), capture_output=True, text=True, check=False)

    assert full.returncode in (3, 5), full.stderr[-2000:]  # 3: what the plan finds before any work
    assert "Traceback" not in full.stderr
    assert "space" in full.stderr or "disk" in full.stderr, full.stderr[-2000:]
    assert {name: artefacts(out).get(name) for name in before} == before
    (disk / "filler").unlink()
    subprocess.run(command(path), check=True, capture_output=True)
    assert artefacts(out) == artefacts(whole)
