import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

import seawall as sw
from seawall.errors import BudgetError, ConfigError, ResumeError
from seawall.pipeline.lock import run_lock
from seawall.pipeline.manifest import RunManifest
from tests.pipeline.world import market, write_market

BUDGET = "2GiB"  # pytest is the parent here, and all it holds counts


@pytest.fixture(scope="module")
def finished(
    finished_run: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """An uninterrupted run, with the config that finds it finished."""
    folder = tmp_path_factory.mktemp("run") / "out"
    shutil.copytree(finished_run[0], folder)
    return folder, {**finished_run[1], "output": str(folder)}


def artefacts(folder: Path) -> dict[str, bytes]:
    """Everything a continued run must reproduce to the byte: not times, memory samples, logs or the report."""
    wanted: tuple[str, ...] = (
        "*.npy",
        "model.safetensors",
        "scaler.json",
        "fold_*.parquet",
        "daily.parquet",
        "metrics.json",
    )
    wanted += (
        "table_0000.parquet",
        "coverage.json",
        "equity.parquet",
        "ledger.parquet",
        "positions.parquet",
        "statistics.json",
        "folds.json",
    )
    return {str(p.relative_to(folder)): p.read_bytes() for name in wanted for p in sorted(folder.rglob(name))}


def test_a_run_leaves_every_record_of_the_format_and_stays_inside_its_plan(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = finished

    units = json.loads((folder / "run.json").read_text())["units"]

    assert {"ingest", "folds", "evaluate", "join", "backtest", "report"} <= set(units)
    assert sum(name.startswith("train/") for name in units) == sum(name.startswith("predict/") for name in units) == 3
    for name, record in units.items():
        assert record["measured_private_bytes"] <= record["projected_private_bytes"], name
        assert record["projected_private_bytes"] <= 1.5 * record["measured_private_bytes"] + 32 * 2**20, name
    assert (folder / "report.html").stat().st_size < 6 * 2**20
    assert {p.name for p in folder.iterdir()} >= {
        "config.yaml",
        "plan.json",
        "memory.csv",
        "memory.parquet",
        "log.jsonl",
    }


def test_the_same_run_again_does_nothing(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, settings = finished
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.parquet")} | {folder / "run.json": 0}

    sw.run(settings, memory=BUDGET)

    after = {p: p.stat().st_mtime_ns for p in folder.rglob("*.parquet")} | {folder / "run.json": 0}
    assert before == after


def test_a_damaged_output_is_made_again(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, settings = finished
    before = artefacts(folder)
    victim = folder / "predictions" / "fold_01.parquet"
    damaged = bytearray(victim.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    victim.write_bytes(damaged)

    sw.run(settings, memory=BUDGET)

    assert artefacts(folder) == before


def test_changed_costs_redo_the_backtest_and_keep_the_models(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, settings = finished
    before = json.loads((folder / "run.json").read_text())["units"]
    cheaper = {**settings, "backtest": {**settings["backtest"], "cost_bps": 0}}

    sw.run(cheaper, memory=BUDGET)
    after = json.loads((folder / "run.json").read_text())["units"]
    sw.run(settings, memory=BUDGET)

    changed = {
        name for name in after if after[name]["finished"] != before[name]["finished"] or after[name] != before[name]
    }
    assert changed == {"backtest", "report"}


def test_ctrl_c_ends_with_130_and_says_how_to_continue(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    _, settings = finished
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**settings, "output": str(tmp_path / "out")}, sort_keys=False))
    command = [sys.executable, "-m", "seawall", "run", str(path), "--memory", BUDGET]

    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "out" / ".heartbeat.json").exists():
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)

    assert run.returncode == 130
    assert "Continue with:" in errors
    assert "Traceback" not in errors


def test_later_prices_move_no_earlier_feature_model_prediction_or_position(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, settings = finished
    folds = json.loads((folder / "folds.json").read_text())["folds"]
    cut = pd.Timestamp(folds[1]["test"]["first_time"]).tz_localize(None)
    frame = market()
    later = frame["date"] > cut
    rng = np.random.default_rng(9)
    frame.loc[later, ["close", "value"]] *= rng.uniform(0.5, 2.0, (int(later.sum()), 2))
    changed = {**settings, "output": str(tmp_path / "out")}
    changed["ingest"] = {**settings["ingest"], "sources": [str(write_market(tmp_path / "changed.csv", frame))]}

    sw.run(changed, memory=BUDGET)

    old, new = sw.open(folder / "small.panel"), sw.open(tmp_path / "out" / "small.panel")
    past = old.times_as_datetime()[old.time_index] <= cut.to_datetime64()
    known = past & (old.target_end[:, 0] >= 0) & (old.times_as_datetime()[old.target_end[:, 0]] <= cut.to_datetime64())
    assert np.array_equal(old.features[past], new.features[past], equal_nan=True)
    assert np.array_equal(old.returns[known], new.returns[known], equal_nan=True)
    assert np.array_equal(old.adjustment[past], new.adjustment[past])
    assert np.array_equal(old.universe[past], new.universe[past])
    again = json.loads((tmp_path / "out" / "folds.json").read_text())["folds"]
    for fold in (0, 1):  # their train and valid samples end before the change
        assert (folds[fold]["train"], folds[fold]["valid"]) == (again[fold]["train"], again[fold]["valid"])
        for name in ("model.safetensors", "scaler.json"):
            place = f"models/fold_{fold:02d}/{name}"
            assert (folder / place).read_bytes() == (tmp_path / "out" / place).read_bytes(), place
    assert _until(folder / "predictions" / "fold_00.parquet", cut).equals(
        _until(tmp_path / "out" / "predictions" / "fold_00.parquet", cut)
    )
    for strategy in ("top", "spread"):
        for name in ("ledger.parquet", "positions.parquet", "equity.parquet"):
            one, other = (_until(root / "backtest" / strategy / name, cut) for root in (folder, tmp_path / "out"))
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def _until(path: Path, cut: pd.Timestamp) -> pd.DataFrame:
    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return pd.DataFrame(frame[frame["time"].dt.tz_localize(None) <= cut]).reset_index(drop=True)


def test_a_budget_too_small_is_refused_before_anything_is_written(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, settings = finished

    with pytest.raises(BudgetError, match=r"Declare --memory \d+MiB") as refused:
        sw.run({**settings, "output": str(tmp_path / "out")}, memory="200MiB")

    assert refused.value.exit_code == 3
    assert not (tmp_path / "out" / "run.json").exists()
    assert not (tmp_path / "out" / "small.panel").exists()


def test_a_second_run_on_one_folder_is_refused_with_the_owners_pid(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, settings = finished
    script = (
        "import sys, time; from pathlib import Path; from seawall.pipeline.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    owner.stdout.readline()
    try:
        with pytest.raises(ResumeError, match=f"process {owner.pid}"):
            sw.run(settings, memory=BUDGET)
    finally:
        owner.kill()
        owner.communicate()


def test_a_stage_alone_needs_what_it_builds_on(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    _, settings = finished

    with pytest.raises(ConfigError, match="stage backtest: needs the stage join first"):
        sw.run({**settings, "output": str(tmp_path / "out")}, memory=BUDGET, only="backtest")


def test_the_manifest_says_done_only_while_key_and_files_agree(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    manifest = RunManifest(tmp_path, "m")
    record: dict[str, Any] = {"stage": "u", "key": "k", "summary": {}, "wall_seconds": 0.5}
    record |= dict.fromkeys(("projected_private_bytes", "measured_private_bytes", "declared_bytes"), 1)
    manifest.finish("u", record | {"outputs": [{"path": "x", "bytes": 3, "xxh3_64": "78af5f94892f3950"}]})

    assert RunManifest(tmp_path, "m").is_done("u", "k")
    assert not RunManifest(tmp_path, "m").is_done("u", "other")
    (tmp_path / "x").write_bytes(b"abd")
    assert not RunManifest(tmp_path, "m").is_done("u", "k")


def test_the_lock_is_free_again_after_its_owner(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        pass
    with run_lock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_what_a_notebook_kernel_holds_counts_against_the_budget(finished: tuple[Path, dict[str, Any]]) -> None:
    _, settings = finished
    frames = np.ones(2**26)  # 512 MiB, as a kernel might hold

    with pytest.raises(BudgetError, match="for the waiting parent"):
        sw.run({**settings, "name": "anew"}, memory="700MiB")

    assert frames.nbytes == 2**29
