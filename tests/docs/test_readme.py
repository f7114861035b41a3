"""The documents say only what works."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "FORMAT.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_local_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_named_source_file_exists(page: Path) -> None:
    for name in re.findall(r"`((?:src|tests|docs|bench|examples)/[\w/.\-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_every_make_command_in_the_documents_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for command in re.findall(r"`make ([a-z-]+)`", page.read_text(encoding="utf-8")):
            assert f"\n{command}:" in makefile, f"{page.name}: make {command}"


def shell_lines() -> list[str]:
    """Commands of the README that start with seawall."""
    blocks = re.findall(
        r"```(?:sh|console|bash)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    return [line for block in blocks for line in block.splitlines() if line.startswith("seawall ")]


@pytest.mark.parametrize("line", shell_lines())
def test_every_seawall_command_in_the_readme_is_one_the_parser_takes(line: str) -> None:
    import typer

    from seawall.cli.main import app

    command = shlex.split(line.split("#")[0])
    group = typer.main.get_command(app)
    found = group.get_command(None, command[1])  # type: ignore[attr-defined]
    assert found is not None, command[1]
    options = {option for parameter in found.params for option in parameter.opts}
    for word in command[2:]:
        if word.startswith("--"):
            assert word in options, f"{line}: {word}"


def test_the_python_block_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - our own document
