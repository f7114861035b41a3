"""Every block of the evaluate, join and leaks guides runs, in order, in an empty folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guide"


@pytest.mark.parametrize("name", ["evaluate", "init", "join", "leaks"])
def test_every_block_of_the_guide_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(python|sh)\n(.*?)```", (GUIDES / f"{name}.md").read_text(encoding="utf-8"), re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "sh"]
    for kind, text in blocks:
        if kind == "python":
            exec(compile(text, name, "exec"), {})  # noqa: S102 - the guide's own code
            continue
        for command in text.splitlines():
            # A process of its own: what this one holds would count as the waiting parent.
            argv = [sys.executable, "-m", "seawall", *shlex.split(command)[1:]]
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
            assert done.returncode == 0, done.stderr


def test_the_join_guide_gives_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test_every_block_of_the_guide_runs("join", tmp_path, monkeypatch)
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "table.parquet")
    assert table.num_rows == 60 * 30
    assert table.column_names == ["time", "entity", "prediction", "forward_return", "close"]
