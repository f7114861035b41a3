"""The guide of appending runs as it stands: its commands and its Python."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import seawall

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "append.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_every_python_block_runs(tmp_path: Path) -> None:
    (block,) = blocks("python")
    # A process of its own: what this one holds would count as the waiting parent.
    argv = [sys.executable, "-c", block]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("nan") == 6, "the last six targets are not known yet"
    assert (tmp_path / "bars_qlib" / "features" / "aaa" / "mean_5.day.bin").is_file()
    assert (tmp_path / "bars_parquet" / "part-00000.parquet").is_file()


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for day in (1, 2, 3):
        rows = "".join(f"{name},2024-01-0{day},{100 + day}\n" for name in ("AAA", "BBB"))
        (tmp_path / f"day-{day}.csv").write_text(f"symbol,date,close\n{rows}")
    (console,) = blocks("console")
    for line in console.splitlines():
        done = seawall(*shlex.split(line.removeprefix("$ seawall ")))
        assert done.returncode == 0, line + done.stderr
    assert "AAA: 3 rows" in done.stdout
