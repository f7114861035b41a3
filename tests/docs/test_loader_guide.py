"""The loader's guide runs as it stands: a stranger's PyTorch loop and a Lightning one."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "loader.md"


@pytest.mark.filterwarnings("ignore")  # of Lightning, about what a real training should have
def test_every_python_block_of_the_loader_guide_runs_and_the_loops_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pytorch_lightning", reason="the extra lightning is not installed")
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)  # noqa: S102 - our own document

    for loop in blocks[1:3]:
        assert len([line for line in loop.splitlines() if line and not line.startswith(("import", "from"))]) <= 15
    assert "order blocks" in capsys.readouterr().out
    assert (tmp_path / "checkpoint.pt").exists()
