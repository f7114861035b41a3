"""Every stage ends well in a container exactly as large as its plan says, with no library in the cache."""

import os
import shutil
import site
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import seawall
from seawall.budget.limits import Budget
from seawall.pipeline.config import load_config
from seawall.pipeline.manifest import RunManifest
from seawall.pipeline.run import Order, Runner, Silent
from seawall.pipeline.stages import PARENT_BYTES
from seawall.units import GIB, MIB, format_bytes
from tests.e2e.matrix import BASE, STAGES, config, run, unit_records, write_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cgroup,
    pytest.mark.skipif(sys.platform != "linux", reason="memory cgroups are Linux"),
]

NOT_IN_A_STAGE = ("pandas", "polars", "_polars*", "mypy*", "*mypyc*", "jedi", "hypothesis", "ray", "tests")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the installed libraries: nobody else has its pages mapped, so they can be put out of the cache."""
    copy = tmp_path_factory.mktemp("libraries")
    for place in (path for path in sys.path if "site-packages" in path or path in site.getsitepackages()):
        if Path(place).is_dir():
            shutil.copytree(place, copy, ignore=shutil.ignore_patterns(*NOT_IN_A_STAGE), dirs_exist_ok=True)
    shutil.copytree(Path(seawall.__file__).parent, copy / "seawall", dirs_exist_ok=True)
    return copy


def make_cold(folder: Path) -> None:
    """Write everything below a folder to disk and drop its pages from the cache."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of some size; its config lies beside it."""
    folder = tmp_path_factory.mktemp("container")
    case = replace(BASE, times=4, num_entities=200, source="parquet")
    path = folder / "config.yaml"
    settings = config(case, write_table(folder, case), folder / "out")
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    run(path, "1GiB")
    return folder


def planned_bytes(folder: Path, stage: str, budget_bytes: int) -> int:
    budget = Budget(budget_bytes, "test", ())
    runner = Runner(load_config(folder / "config.yaml"), budget, Silent(), Order(only=stage), parent_bytes=PARENT_BYTES)
    (plan,) = runner.plan([stage])
    return plan.projected_cgroup_bytes


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_ends_in_a_container_exactly_as_large_as_its_plan(finished: Path, libraries: Path, stage: str) -> None:
    output = finished / "out"
    limit_bytes = planned_bytes(finished, stage, GIB)
    name = next(unit for unit in unit_records(output) if unit.split("/")[0] == stage)
    roomy = unit_records(output)[name]
    RunManifest(output, "matrix").forget([name])
    make_cold(libraries)
    make_cold(finished)
    environment = {**os.environ, "PYTHONPATH": str(libraries), "PYTHONDONTWRITEBYTECODE": "1"}

    run(finished / "config.yaml", str(limit_bytes + PARENT_BYTES), "--only", stage, environment=environment)

    tight = unit_records(output)[name]
    assert f"limit {format_bytes(limit_bytes)}" in tight["fence"]
    assert tight["cgroup_peak_bytes"] <= limit_bytes
    assert tight["measured_private_bytes"] <= tight["projected_private_bytes"]
    for one, other in zip(tight["outputs"], roomy["outputs"], strict=True):
        assert one == other or one["path"].endswith(("history.json", "report.html")), "the times in them differ"
    print(
        f"{stage}: limit {limit_bytes / MIB:.0f} MiB, peak {tight['cgroup_peak_bytes'] / MIB:.0f} MiB,"
        f" {tight['wall_seconds']:.1f} s cold against {roomy['wall_seconds']:.1f} s warm and roomy"
    )
