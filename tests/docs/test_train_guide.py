"""Every model of the training guide is one a config takes."""

import re
import runpy
from pathlib import Path

import pytest
import yaml

from seawall.models.config import KINDS
from seawall.train.config import TrainConfig

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "train.md"
TEXT = GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(model.*?)```", TEXT, re.DOTALL))
def test_every_model_of_the_guide_is_taken(block: str) -> None:
    folds = {"train": 10, "valid": 5, "test": 5}

    config = TrainConfig.model_validate({"target": "y", "folds": folds, **yaml.safe_load(block)})

    assert config.model.kind in block


def test_the_guide_lists_every_model() -> None:
    assert set(re.findall(r"^\| `(\w+)`", TEXT.partition("\n### ")[0], re.MULTILINE)) == set(KINDS)


def test_every_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    for number, block in enumerate(blocks):
        script = tmp_path / f"block_{number}.py"
        script.write_text(block, encoding="utf-8")
        runpy.run_path(str(script))
    assert (tmp_path / "ridge_model" / "model.json").exists()
