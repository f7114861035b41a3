"""Reports of training stand in the log of the run as they are made."""

import json
from pathlib import Path

from seawall.budget.heartbeat import silent
from seawall.pipeline.work import do_unit
from seawall.train.run import make_folds_record
from tests.train.worlds import planted_world, small_config


def test_every_report_is_a_line_of_the_log(tmp_path: Path) -> None:
    world = planted_world(tmp_path)
    train = small_config(report_minutes=1e-9)
    make_folds_record(world.panel, train, world.folds)
    request = {
        "stage": "train",
        "fold": 0,
        "run": str(tmp_path),
        "config": {"output": str(tmp_path), "panel": str(world.panel), "train": train.model_dump(mode="json")},
        "knobs": {"random_access": 0},
        "micro_batches": 1,
        "gpu_budget_bytes": None,
    }
    do_unit(request, silent)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    history = json.loads((tmp_path / "models" / "fold_00" / "history.json").read_text())
    assert {line["event"] for line in lines} == {"report"}
    assert {line["unit"] for line in lines} == {"train/fold_00"}
    assert len(lines) == len(history["reports"]) + len(history["epochs"])
    assert [line["valid_ic"] for line in lines if "step" in line] == [r["valid_ic"] for r in history["reports"]]
