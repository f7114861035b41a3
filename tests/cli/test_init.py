"""``seawall init`` and ``seawall schema`` as commands; what init writes runs unchanged to a report."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import seawall
from tests.pipeline.init.test_init import DATA, SETS, needs_data, spreadsheet


def test_a_spreadsheet_export_goes_from_init_to_a_report_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spreadsheet(tmp_path)
    done = seawall("init", "export.csv")
    assert done.returncode == 0, done.stderr
    assert "run all of it:     seawall run config.yaml" in done.stdout
    ran = seawall("run", "config.yaml")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "runs" / "export" / "report.html").is_file()


def test_init_as_json_gives_every_guess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spreadsheet(tmp_path)
    done = seawall("init", "export.csv", "--output", "mine.yaml", "--json")
    record = json.loads(done.stdout)
    assert record["config"] == "mine.yaml"
    assert {guess["place"] for guess in record["guesses"]} >= {"ingest.entity", "train.folds", "backtest.cost_bps"}
    again = seawall("init", "export.csv", "--output", "mine.yaml")
    assert again.returncode == 2
    assert "--force" in again.stderr


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SETS)
def test_the_config_of_each_real_set_runs_unchanged(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert seawall("init", DATA / name).returncode == 0
    command = [sys.executable, "-m", "seawall", "run", "config.yaml"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1700)
    assert ran.returncode == 0, ran.stderr
    (report,) = tmp_path.glob("runs/*/report.html")
    assert report.stat().st_size > 10_000


def test_the_schema_is_printed_or_written(tmp_path: Path) -> None:
    printed = seawall("schema")
    assert seawall("schema", "--output", tmp_path / "s.json").returncode == 0
    assert (tmp_path / "s.json").read_text() == printed.stdout
