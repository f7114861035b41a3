"""The config of the backtest guide runs as it is written, on a small market."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import seawall as sw
from tests.pipeline.world import config, market, write_market

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "backtest.md"


def test_the_block_of_the_guide_trades_scores_of_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    frame = market()
    values = config(write_market(tmp_path / "market.csv", frame), tmp_path / "out")
    del values["train"]
    (tmp_path / "scores").mkdir()
    scores = frame[["symbol", "date"]].assign(score=np.random.default_rng(1).standard_normal(len(frame)))
    for half, part in enumerate(np.array_split(scores.index, 2)):
        scores.loc[part].to_csv(tmp_path / "scores" / f"{half}.csv", index=False)

    sw.run({**values, **yaml.safe_load(block)}, memory="2GiB")

    for name in ("top", "drop", "ranks"):
        statistics = json.loads((tmp_path / "out" / "backtest" / name / "statistics.json").read_text())
        assert statistics["num_trades"] > 10
