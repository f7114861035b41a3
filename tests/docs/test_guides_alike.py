"""Every guide of a stage ends with the same five answers; commands of the short ones run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = [
    "init",
    "plan",
    "doctor",
    "ingest",
    "features",
    "append",
    "loader",
    "train",
    "predict",
    "evaluate",
    "join",
    "backtest",
    "search",
    "report",
    "watch",
]
ANSWERS = ["input", "output", "knobs", "memory", "what can go wrong"]


@pytest.mark.parametrize("name", [*STAGES, "resume", "leaks", "cluster"])
def test_a_guide_answers_the_same_five_questions(name: str) -> None:
    text = (ROOT / "docs" / "guide" / f"{name}.md").read_text(encoding="utf-8")

    glance = text.partition("## At a glance\n")[2]

    assert re.findall(r"^\| \*\*([\w ]+)\*\* \| .{5,} \|$", glance, re.MULTILINE) == ANSWERS


@pytest.mark.parametrize("name", ["plan", "doctor"])
def test_every_command_of_the_guide_runs(name: str) -> None:
    text = (ROOT / "docs" / "guide" / f"{name}.md").read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            argv = [sys.executable, "-m", "seawall", *shlex.split(line)[1:]]
            done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
            assert done.returncode == 0, done.stderr
