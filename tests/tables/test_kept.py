"""A join that was killed goes on from the table it had sorted, and only where that table is still the same."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seawall.join.config import TablesConfig
from seawall.join.tables import join_tables


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def _tables(folder: Path) -> TablesConfig:
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2020-01-01", periods=30)
    keys = pd.MultiIndex.from_product([days, [f"{n:02d}" for n in range(12)]], names=["d", "e"]).to_frame(index=False)
    shuffled = keys.sample(frac=1, random_state=0)
    shuffled.assign(score=rng.random(len(keys))).to_csv(folder / "p.csv", index=False)
    keys.assign(ret=rng.random(len(keys)) / 50).to_parquet(folder / "r.parquet")
    return TablesConfig(
        predictions=(str(folder / "p.csv"),), returns=(str(folder / "r.parquet"),), entity="e", time="d"
    )


def _join(config: TablesConfig, folder: Path, *, kill_at: str = "", buffer_rows: int = 50) -> list[str]:
    """Join, and list the sub-steps that were done; dies at the first beat of one of them."""
    steps: list[str] = []

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        steps.append(substep)
        if substep == kill_at:
            raise Killed

    join_tables(config, folder / "out.parquet", folder / "work", buffer_rows=buffer_rows, beat=beat)
    return sorted(set(steps))


@pytest.mark.parametrize(
    ("kill_at", "again"),
    [
        ("read predictions", ["join", "read predictions", "read returns"]),
        ("read returns", ["join", "read returns"]),
        ("join", ["join"]),
    ],
)
def test_the_same_command_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, kill_at: str, again: list[str]) -> None:
    config = _tables(tmp_path)
    _join(config, tmp_path)
    undisturbed = (tmp_path / "out.parquet").read_bytes()
    (tmp_path / "out.parquet").unlink()

    with pytest.raises(Killed):
        _join(config, tmp_path, kill_at=kill_at)
    assert not (tmp_path / "out.parquet").exists()
    assert _join(config, tmp_path, buffer_rows=17) == again
    assert (tmp_path / "out.parquet").read_bytes() == undisturbed
    assert not (tmp_path / "work").exists()


def test_a_source_that_changed_is_read_again(tmp_path: Path) -> None:
    config = _tables(tmp_path)
    with pytest.raises(Killed):
        _join(config, tmp_path, kill_at="join")
    frame = pd.read_csv(tmp_path / "p.csv", dtype={"e": str})
    frame.head(100).to_csv(tmp_path / "p.csv", index=False)
    assert "read predictions" in _join(config, tmp_path)
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 100


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    config = _tables(tmp_path)
    with pytest.raises(Killed):
        _join(config, tmp_path, kill_at="join")
    (tmp_path / "work" / "predictions" / "table.json").write_text("{")
    assert "read predictions" in _join(config, tmp_path)
