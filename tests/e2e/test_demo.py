"""The demo as a new user runs it, judged by the kernel: a real memory cgroup of 1 GiB with swap off."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

import seawall as sw
from tests.cgroups import memory_cgroup

GIB = 2**30
MIB = 2**20
CPU_MINUTES = 10
LIGHT_BYTES = 384 * MIB
DEMO = [sys.executable, "-m", "seawall", "demo", "--output"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One demo, run to its end inside the cgroup."""
    output = tmp_path_factory.mktemp("demo") / "out"
    with memory_cgroup(GIB) as group:
        done = group.run([*DEMO, str(output), "--memory", "1GiB"], 1500)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.oom_kills == 0
    assert done.peak_bytes <= GIB
    return output


def units(output: Path) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = json.loads((output / "run.json").read_text())["units"]
    return loaded


@pytest.mark.cgroup
def test_the_demo_ends_inside_its_cgroup_and_its_cpu_time(demo: Path) -> None:
    records = units(demo)

    assert sum(record["cpu_seconds"] for record in records.values()) <= CPU_MINUTES * 60
    assert len([name for name in records if name.startswith("train/")]) == 4
    assert (demo / "report.html").stat().st_size < 6 * MIB


@pytest.mark.cgroup
def test_every_stage_of_the_demo_stays_under_its_plan_and_the_plan_is_not_fat(demo: Path) -> None:
    for name, record in units(demo).items():
        projected, measured = record["projected_private_bytes"], record["measured_private_bytes"]
        print(f"{name:<16} projected {projected / MIB:6.0f} MiB  measured {measured / MIB:6.0f} MiB")
        assert measured <= projected, name
        assert projected <= 1.5 * measured + 32 * MIB, name
        assert record["projected_cgroup_bytes"] <= GIB, name
        assert record["parent_private_bytes"] <= 32 * MIB, name


@pytest.mark.cgroup
@pytest.mark.parametrize("stage", ["ingest", "folds", "evaluate", "join", "backtest", "report"])
def test_every_stage_but_train_and_predict_ends_inside_384_mib(demo: Path, tmp_path: Path, stage: str) -> None:
    output = tmp_path / "out"
    shutil.copytree(demo, output)
    record = json.loads((output / "run.json").read_text())
    record["units"].pop(stage)
    (output / "run.json").write_text(json.dumps(record))
    config = output / "config.yaml"
    config.write_text(config.read_text().replace(f"output: {demo}", f"output: {output}"))
    command = [sys.executable, "-m", "seawall", "run", str(config), "--only", stage, "--memory", "384MiB"]

    with memory_cgroup(LIGHT_BYTES) as group:
        done = group.run(command, 300)

    assert done.returncode == 0, done.stderr[-2000:]
    assert done.oom_kills == 0
    assert stage in units(output)


@pytest.mark.cgroup
def test_ic_and_rank_ic_of_the_demo_equal_scipy(demo: Path) -> None:
    panel = sw.open(demo / "pse.panel")
    daily = pq.read_table(demo / "metrics" / "daily.parquet").to_pandas()
    predictions = sw.Run(demo).predictions.to_arrow().to_pandas()
    predictions["target"] = panel.returns[predictions["row"].to_numpy(), 0]

    for time, date in predictions.dropna(subset="target").groupby("time"):
        row = daily[daily["time"] == time].iloc[0]
        if len(date) < 10:
            assert np.isnan(row["ic"])
            continue
        ic = stats.pearsonr(date["prediction"].astype(float), date["target"]).statistic
        rank_ic = stats.spearmanr(date["prediction"].astype(float), date["target"]).statistic
        assert abs(row["ic"] - ic) <= 1e-12, time
        assert abs(row["rank_ic"] - rank_ic) <= 1e-12, time


@pytest.mark.cgroup
def test_the_demo_says_what_it_did_about_bad_rows_and_scale_breaks(demo: Path) -> None:
    report = units(demo)["ingest"]["summary"]["ingest"]

    assert report["rows_read"] == 538_408
    assert report["dropped_rows"] == {"no price": 37, "outside low..high": 35}
    breaks = {(b["entity"], b["time"]) for b in report["scale_breaks"]}
    assert ("COSCO", "2013-05-14") in breaks
    assert ("CHIB", "2012-09-06") in breaks
    assert ("AGI", "2010-09-20") not in breaks  # a real +70 % after a suspension survives
    page = (demo / "report.html").read_text(encoding="utf-8")
    assert "COSCO" in page
    assert "outside low..high" in page
