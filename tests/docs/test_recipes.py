"""Every block of the cookbook, the migration pages and the page on extending runs, in order, in an empty folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["cookbook.md", "extend.md", *sorted(f"migrate/{path.name}" for path in (DOCS / "migrate").glob("*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_every_block_runs(name: str, tmp_path: Path) -> None:
    if name == "migrate/lightning.md":
        pytest.importorskip("pytorch_lightning", reason="the extra lightning is not installed")
    blocks = re.findall(r"```(python|sh)\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)
    # One process for all Python, as a notebook would be; commands run where they stand, in processes of their own.
    commands = "".join(
        f"for line in {text.splitlines()!r}:\n    run_command(line)\n" if kind == "sh" else f"{text}\n"
        for kind, text in blocks
    )
    script = tmp_path / "page.py"
    script.write_text(f"{RUN_COMMAND}\n{commands}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


RUN_COMMAND = """
import shlex, subprocess, sys
def run_command(line):
    done = subprocess.run([sys.executable, "-m", "seawall", *shlex.split(line)[1:]], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(line + done.stdout + done.stderr)
"""


def test_the_pages_have_commands_that_are_ours() -> None:
    for name in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL):
            assert all(shlex.split(line)[0] == "seawall" for line in block.splitlines())
