"""``seawall join`` and ``seawall evaluate`` on tables that are not ours, as commands."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


def _seawall(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seawall", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2020-01-01", periods=20)
    frame = pd.MultiIndex.from_product([days, [f"{n:02d}" for n in range(15)]], names=["d", "e"]).to_frame(index=False)
    frame = frame.assign(score=rng.standard_normal(len(frame)), y=rng.standard_normal(len(frame)) / 50)
    frame[["d", "e", "score"]].sample(frac=1, random_state=1).to_csv(tmp_path / "p.csv", index=False)
    frame[["d", "e", "y"]].sample(frac=1, random_state=2).to_csv(tmp_path / "r.csv", index=False)
    return tmp_path


KEYS = ("--entity", "e", "--time", "d", "--memory", "400MiB")


def test_join_writes_the_table_and_leaves_nothing_else(folder: Path) -> None:
    done = _seawall(folder, "join", "--predictions", "p.csv", "--returns", "r.csv", "--output", "o.parquet", *KEYS)
    assert done.returncode == 0, done.stderr
    assert "300 rows" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["o.parquet", "p.csv", "r.csv"]


def test_evaluate_tells_the_ic_as_json_within_its_plan(folder: Path) -> None:
    done = _seawall(folder, "evaluate", "--predictions", "p.csv", "--returns", "r.csv", "--json", *KEYS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ic_mean"] == found["overall"]["ic"]["mean"]
    assert found["num_predictions"] == 300
    assert found["memory"]["measured_private_bytes"] <= found["memory"]["projected_private_bytes"]
    assert sorted(path.name for path in folder.iterdir()) == ["p.csv", "r.csv"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("join", "--predictions", "p.csv"), 2, "something is missing"),
        (("join", "--predictions", "p.csv", "--returns", "no.csv", "--output", "o.parquet", *KEYS), 4, "not found"),
        (("evaluate", "--predictions", "p.csv", "--target", "scor", *KEYS), 2, "Did you mean 'score'"),
        (("evaluate",), 2, "CONFIG.yaml, or --predictions"),
        (("evaluate", "--predictions", "p.csv", "--target", "score", "--memory", "60MiB"), 3, "budget"),
        (("evaluate", "--predictions", "p.csv", "--target", "score", "--duplicates", "some"), 2, "duplicates"),
    ],
)
def test_mistakes_are_told_with_their_exit_code(folder: Path, arguments: tuple[str, ...], code: int, text: str) -> None:
    done = _seawall(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
