"""Help teaches: every command has an example that the parser takes, in 80 columns; the shell completes names."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from seawall.cli import completion
from seawall.cli.main import app
from seawall.pipeline.stages import STAGES

WIDTH = 80


def commands_of(group: Any) -> dict[str, Any]:  # noqa: ANN401 - a class of click's, which Typer carries
    """Load every command of a group."""
    names = group.list_commands(None) if hasattr(group, "list_commands") else ()
    return {name: group.get_command(None, name) for name in names}


def commands() -> list[str]:
    found = commands_of(typer.main.get_command(app))
    below = [f"{name} {sub}" for name in found for sub in commands_of(found[name])]
    return sorted([*found, *below])


def help_of(name: str) -> str:
    shown = CliRunner().invoke(
        app, [*name.split(), "--help"], env={"COLUMNS": str(WIDTH), "TERM": "dumb", "NO_COLOR": "1"}
    )
    assert shown.exit_code == 0
    return shown.output


@pytest.mark.parametrize("name", commands())
def test_help_has_an_example_that_the_parser_knows_and_fits_80_columns(name: str) -> None:
    text = help_of(name)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "Example" in text
    examples = re.findall(rf"seawall {name}\b[^\n]*", text)
    assert examples, "the example is of this command"
    options = set(re.findall(r"--[a-z-]+", text[text.index("Options") :]))
    for word in shlex.split(examples[0], posix=False):
        assert not word.startswith("--") or word in options, word


@pytest.mark.parametrize("name", commands())
def test_every_option_says_what_it_does(name: str) -> None:
    found = typer.main.get_command(app)
    for word in name.split():
        found = commands_of(found)[word]
    assert [part.name for part in found.params if not getattr(part, "help", None)] == []


def completed(words: str, folder: Path) -> list[str]:
    """What the shell is offered for a line, its last word unfinished."""
    asked = {"_SEAWALL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-c", "from seawall.cli.main import app; app(prog_name='seawall')"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **asked}, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.split()


def test_the_shell_completes_commands_stages_run_folders_and_configs(tmp_path: Path) -> None:
    (tmp_path / "runs" / "pse").mkdir(parents=True)
    (tmp_path / "runs" / "pse" / "run.json").write_text("{}")
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "config.yaml").write_text("")
    assert completed("seawall sta", tmp_path) == ["status"]
    assert completed("seawall run config.yaml --only fo", tmp_path) == ["folds"]
    assert completed("seawall status ru", tmp_path) == ["runs/pse"]
    assert completed("seawall run c", tmp_path) == ["config.yaml"]


def test_completion_knows_every_stage_and_imports_nothing_heavy() -> None:
    assert set(completion.STAGES) == set(STAGES)
    code = "import sys, seawall.cli.main; print([m for m in ('numpy','torch','pyarrow','duckdb') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
