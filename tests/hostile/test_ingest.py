"""Every bad input of the catalogue through the command: the message, the exit code, and nothing lost or left behind.

A dozen run with children of their own, as users run it; the others in this process, for they fail while text is read.
"""

import shutil
import sys
from pathlib import Path

import pytest

import seawall as sw
from seawall.cli.main import main
from tests.hostile.catalogue import CASES, GOOD, Case
from tests.hostile.in_process import without_children

WITH_CHILDREN = {case.name for case in [*CASES[::7], *(case for case in CASES if "bomb" in case.name)]}


@pytest.fixture(scope="module")
def old_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good store that every bad input is told to replace."""
    folder = tmp_path_factory.mktemp("old")
    (folder / "m.csv").write_text(GOOD, encoding="utf-8")
    sw.ingest(folder / "m.csv", folder / "m.panel", entity="symbol", time="date")
    return folder / "m.panel"


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["seawall", *arguments])
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_answered_in_words_and_loses_nothing(
    case: Case,
    old_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if case.name not in WITH_CHILDREN:
        without_children(monkeypatch)
    shutil.copytree(old_store, tmp_path / "m.panel")
    sources = case.make(tmp_path)
    before = tree(tmp_path)
    code = command(monkeypatch, "ingest", *sources, "--output", str(tmp_path / "m.panel"), *case.options)
    message = capsys.readouterr().err
    assert code == case.code, message
    for piece in case.pieces:
        assert piece in message
    assert "Traceback" not in message
    assert len(message) < 3000
    assert tree(tmp_path) == before
    assert sw.open(tmp_path / "m.panel").content_key == sw.open(old_store).content_key
    sw.open(tmp_path / "m.panel").verify()
