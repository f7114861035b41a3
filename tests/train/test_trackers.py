"""Reports reach the trackers as they are in log.jsonl; their own libraries are the judges."""

import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

import seawall as sw
from seawall.errors import ConfigError
from seawall.train import trackers as module
from seawall.train.trackers import STEPS_PER_EPOCH, trackers
from tests.pipeline.world import config, market, write_market

tensorboard = pytest.mark.skipif(find_spec("tensorboard") is None, reason="TensorBoard is not installed")
mlflow = pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow, the judge of its own files, is not installed")

READ_MLFLOW = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
experiment, = [e for e in client.search_experiments() if e.name != "Default"]
runs = client.search_runs([experiment.experiment_id])
told = {}
for run in runs:
    kept = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    history = {key: [(one.step, one.value) for one in metrics] for key, metrics in kept.items()}
    told[run.info.run_name] = {"status": run.info.status, "metrics": history}
print(json.dumps({"name": experiment.name, "runs": told}))
"""


def read_mlflow(store: Path) -> dict[str, Any]:
    """Let MLflow itself read its file store, in a process of its own: it imports pandas."""
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"}
    command = [sys.executable, "-W", "ignore", "-c", READ_MLFLOW, store.absolute().as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def read_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Let TensorBoard itself read the events of one fold."""
    loader: Any = import_module("tensorboard.backend.event_processing.event_file_loader")
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.iterdir()):
        for event in loader.LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


@tensorboard
def test_a_run_tells_tensorboard_and_mlflow_what_its_log_says_inside_its_claim(tmp_path: Path) -> None:
    settings = config(write_market(tmp_path / "market.csv", market()), tmp_path / "out")
    settings["train"] |= {"trackers": ["tensorboard", "mlflow"], "folds": {"train": 150, "valid": 30, "test": 60}}
    del settings["backtest"], settings["evaluate"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings))

    run = sw.run(path, memory="2GiB")

    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    reports = [line for line in lines if line["event"] == "report"]
    assert len(reports) == 2
    events = read_tensorboard(tmp_path / "out" / "trackers" / "tensorboard" / "train_fold_00")
    for name in ("train_loss", "valid_loss", "valid_ic"):
        assert [step for step, _ in events[name]] == [(line["epoch"] + 1) * STEPS_PER_EPOCH for line in reports]
        assert [value for _, value in events[name]] == pytest.approx([line[name] for line in reports], rel=1e-6)
    unit = run.record["units"]["train/fold_00"]
    assert unit["measured_private_bytes"] <= unit["projected_private_bytes"]
    files = tmp_path / "out" / "trackers" / "mlflow" / "1"
    losses = [float(line.split()[1]) for line in next(files.glob("*/metrics/valid_loss")).read_text().splitlines()]
    assert losses == [line["valid_loss"] for line in reports]

    settings["train"]["trackers"] = []
    path.write_text(yaml.safe_dump(settings))
    again = sw.run(path, memory="2GiB")
    assert again.record["units"]["train/fold_00"]["finished"] == unit["finished"], "trackers are no reason to retrain"


@mlflow
def test_mlflow_reads_what_was_written_and_a_resumed_fold_goes_on_in_its_run(tmp_path: Path) -> None:
    report = {"epoch": 0.0, "valid_loss": 0.1, "valid_ic": None, "valid_loss_a/b": float("inf")}
    with trackers(["mlflow"], tmp_path / "pse", "train/fold_00") as tell:
        tell(report)
    with pytest.raises(KeyError), trackers(["mlflow"], tmp_path / "pse", "train/fold_01"):
        raise KeyError
    with trackers(["mlflow"], tmp_path / "pse", "train/fold_00") as tell:
        tell({"epoch": 1.0, "step": 7.0, "valid_loss": 0.30000000000000004, "../x": 1.0})

    found = read_mlflow(tmp_path / "pse" / "trackers" / "mlflow")

    assert found["name"] == "pse"
    assert {name: run["status"] for name, run in found["runs"].items()} == {
        "train/fold_00": "FINISHED",
        "train/fold_01": "FAILED",
    }
    metrics = found["runs"]["train/fold_00"]["metrics"]
    assert metrics["valid_loss"] == [[1_000_000, 0.1], [1_000_007, 0.30000000000000004]]
    assert metrics["___x"] == [[1_000_007, 1.0]]
    assert "valid_loss_a_b" not in metrics


def test_a_tracker_that_is_not_installed_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="TensorBoard is not installed"):
        trackers(["tensorboard"], tmp_path, "train/fold_00").__enter__()
    assert not list(tmp_path.iterdir())


def test_no_tracker_writes_nothing(tmp_path: Path) -> None:
    with trackers([], tmp_path, "train/fold_00") as tell:
        tell({"epoch": 0.0, "valid_loss": 1.0})
    assert not list(tmp_path.iterdir())
