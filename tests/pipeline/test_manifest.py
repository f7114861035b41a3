"""The record of a run."""

from pathlib import Path

import pytest

from seawall.errors import ConfigError
from seawall.pipeline.api import ingest
from seawall.pipeline.manifest import RunManifest, read_run_record


def test_a_run_that_has_only_begun_is_known_and_kept(tmp_path: Path) -> None:
    RunManifest(tmp_path, "m").begin()
    before = (tmp_path / "run.json").read_bytes()
    RunManifest(tmp_path, "m").begin()

    assert read_run_record(tmp_path)["units"] == {}
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_panel_path_no_file_system_takes_is_refused(tmp_path: Path) -> None:
    for name in ("a\0b.panel", "x" * 300 + ".panel"):
        with pytest.raises(ConfigError, match=r"^output: a (path cannot hold|name in this path is longer)"):
            ingest("t.csv", tmp_path / name, entity="symbol", time="date", memory="2GiB")
    assert not list(tmp_path.iterdir())
