import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

import seawall as sw
from tests.pipeline.world import config, market, write_market

BUDGET = "2GiB"  # pytest is the parent here, and all it holds counts
KNOWN_DATES = 252


def seawall(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seawall", *map(str, words), "--memory", "1GiB"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[pd.DataFrame]]:
    """A run on the first 252 dates, and the days after it."""
    folder, frame = tmp_path_factory.mktemp("latest"), market()
    dates = sorted(frame["date"].unique())
    settings = config(write_market(folder / "a.csv", frame[frame["date"] < dates[KNOWN_DATES]]), folder / "out")
    settings["train"] = {**settings["train"], "max_epochs": 1}
    del settings["ingest"]["universe"]
    sw.run(settings, memory=BUDGET)
    daily: dict[str, Any] = {name: settings[name] for name in ("name", "output", "train", "backtest")}
    daily |= {"panel": str(folder / "out" / "small.panel")}
    (folder / "daily.yaml").write_text(yaml.safe_dump(daily))
    return folder, [frame[frame["date"] == date] for date in dates[KNOWN_DATES:]]


def targets(folder: Path, name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "out" / "targets" / name).glob("*"))}


def test_days_that_are_appended_are_scored_once_and_later_days_change_nothing(
    trained: tuple[Path, list[pd.DataFrame]],
) -> None:
    folder, days = trained
    command = ("predict", folder / "daily.yaml", "--latest")
    panel = folder / "out" / "small.panel"

    def append(part: list[pd.DataFrame]) -> None:
        source = write_market(folder / f"{part[0]['date'].iloc[0]:%Y%m%d}.csv", pd.concat(part))
        assert seawall("append", source, "--panel", panel).returncode == 0

    append(days[:2])
    done = seawall(*command, "--json")
    assert done.returncode == 0, done.stderr
    early = json.loads(done.stdout)
    assert early["measured_private_bytes"] <= early["projected_private_bytes"]
    first = targets(folder, "top")
    append(days[2:])
    assert seawall(*command, "--strategy", "spread").returncode == 0
    done = seawall(*command)
    assert done.returncode == 0, done.stderr
    second = targets(folder, "top")
    again = seawall(*command)

    assert "nothing new" in again.stdout
    assert targets(folder, "top") == second
    assert {name: second[name] for name in first} == first
    written = sorted((folder / "out" / "targets" / "top").glob("*.parquet"))
    assert len(written) >= len(days)
    for path in written:
        _check(path)
    # Scored without the files of the first days, the same panel with its later days gives the same bytes.
    for path in (folder / "out" / "targets" / "top").glob("*"):
        path.unlink()
    assert seawall(*command).returncode == 0
    assert targets(folder, "top") == second


def _check(path: Path) -> None:
    table, record = pq.read_table(path).to_pydict(), json.loads(path.with_suffix(".json").read_text())
    assert {str(time)[:10] for time in table["time"]} == {record["time"][:10]}
    assert len(table["score"]) == record["num_names"] > 0
    if not record["decides"]:
        assert set(table["weight"]) == {None}
        return
    best = sorted(table["score"], reverse=True)[:3]
    held = {score for score, weight in zip(table["score"], table["weight"], strict=True) if weight}
    assert held == set(best)
    assert sum(table["weight"]) == pytest.approx(1.0)


def test_an_old_model_is_refused_where_an_age_is_set_and_told_where_it_is_not(
    trained: tuple[Path, list[pd.DataFrame]],
) -> None:
    folder, _ = trained
    done = seawall("predict", folder / "daily.yaml", "--latest", "--max-age", 3)
    assert done.returncode != 0
    assert "too old" in done.stderr


def test_a_panel_with_another_past_is_refused(trained: tuple[Path, list[pd.DataFrame]], tmp_path: Path) -> None:
    folder, _ = trained
    frame = market(seed=1)
    frame = frame[frame["date"] < frame["date"].max()]
    settings = config(write_market(tmp_path / "b.csv", frame), tmp_path / "other")
    del settings["ingest"]["universe"]
    sw.run(settings, memory=BUDGET, only="ingest")
    values = yaml.safe_load((folder / "daily.yaml").read_text())
    values |= {"panel": str(tmp_path / "other" / "small.panel"), "models": str(folder / "out" / "models")}
    values["output"] = str(tmp_path / "elsewhere")
    (tmp_path / "daily.yaml").write_text(yaml.safe_dump(values))

    done = seawall("predict", tmp_path / "daily.yaml", "--latest")

    assert done.returncode != 0
    assert "not those the model learnt from" in done.stderr
