"""``evaluate.in_sample``: what a model shows on its own train rows, from the run to the page."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import seawall as sw
from seawall.cli.judged import show_run
from seawall.errors import ConfigError
from tests.pipeline.world import config, market, write_market


def test_a_finished_run_is_judged_in_sample_without_training_again(
    finished_run: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished_run[0], tmp_path / "out")
    settings: dict[str, Any] = {k: v for k, v in finished_run[1].items() if k != "backtest"}
    settings |= {"output": str(tmp_path / "out"), "evaluate": dict(settings["evaluate"])}
    before = json.loads((tmp_path / "out" / "run.json").read_text())["units"]
    assert "in_sample" not in (tmp_path / "out" / "metrics" / "metrics.json").read_text()

    settings["evaluate"]["in_sample"] = True
    sw.run(settings, memory="2GiB")

    units = json.loads((tmp_path / "out" / "run.json").read_text())["units"]
    record = json.loads((tmp_path / "out" / "metrics" / "metrics.json").read_text())
    for fold in record["folds"]:
        number = f"fold_{fold['fold']:02d}"
        assert units[f"train/{number}"] == before[f"train/{number}"]
        assert (
            units[f"predict/{number}"]["measured_private_bytes"]
            <= units[f"predict/{number}"]["projected_private_bytes"]
        )
        outputs = [output["path"] for output in units[f"predict/{number}"]["outputs"]]
        assert f"predictions/in_sample/{number}.parquet" in outputs
        assert fold["in_sample"]["rank_ic"]["num_dates"] > 80
        assert fold["in_sample"]["pooled"]["n"] > fold["pooled"]["n"]
    means = [fold["in_sample"]["rank_ic"]["mean"] for fold in record["folds"]]
    assert record["overall"]["in_sample"]["train_rank_ic_mean"] == pytest.approx(sum(means) / len(means))
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Rank IC in sample and out of sample" in report
    show_run(tmp_path / "out")
    printed = capsys.readouterr().out
    assert "fold 0 train" in printed
    assert "fold 2 test" in printed
    assert "Newey-West" in printed

    settings["evaluate"]["in_sample"] = False
    sw.run(settings, memory="2GiB")
    assert not list((tmp_path / "out" / "predictions" / "in_sample").glob("*.parquet"))


def test_predictions_of_others_cannot_be_judged_in_sample(tmp_path: Path) -> None:
    settings = config(write_market(tmp_path / "market.csv", market()), tmp_path / "out")
    settings = {name: section for name, section in settings.items() if name not in ("backtest", "train")}
    settings |= {
        "predictions": {"paths": ["p.csv"], "entity": "symbol", "time": "date", "prediction": "p"},
        "evaluate": {"in_sample": True},
    }
    with pytest.raises(ConfigError, match="in_sample needs models of its own"):
        sw.run(settings, memory="2GiB")
