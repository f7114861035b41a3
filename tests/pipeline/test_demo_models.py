"""The demo's config trains any model by changing one word; a model that needs more says what."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from seawall.errors import ConfigError
from seawall.models.config import KINDS
from seawall.pipeline.config import parse_config
from seawall.stores.prediction_manifest import read_manifest
from seawall.units import MIB

NEED_MORE = {"branch_lstm": "static", "module": "target"}
"""What these take that the demo's panel has not got: attributes of entities, code of the user's own."""

ONE_WORD = tuple(kind for kind in KINDS if kind not in NEED_MORE)


def demo_settings(output: Path, kind: str) -> dict[str, Any]:
    text = files("seawall.datasets").joinpath("pse_equities", "demo.yaml").read_text(encoding="utf-8")
    settings: dict[str, Any] = yaml.safe_load(text) | {"output": str(output)}
    settings["train"]["model"] = kind
    return settings


@pytest.mark.parametrize("kind", ONE_WORD)
def test_every_kind_is_one_word_in_the_demos_config(tmp_path: Path, kind: str) -> None:
    config = parse_config(demo_settings(tmp_path, kind), "demo.yaml")

    assert config.train is not None
    assert config.train.model.kind_name == kind


@pytest.mark.parametrize(("kind", "needs"), sorted(NEED_MORE.items()))
def test_a_model_that_needs_more_names_it(tmp_path: Path, kind: str, needs: str) -> None:
    with pytest.raises(ConfigError, match=needs):
        parse_config(demo_settings(tmp_path, kind), "demo.yaml")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_demo_trains_and_predicts_with_every_kind_inside_its_claims(tmp_path: Path) -> None:
    """One epoch of one fold of each; the panel is made once."""
    path = tmp_path / "demo.yaml"
    for kind in ONE_WORD:
        settings = demo_settings(tmp_path / "out", kind)
        settings["train"] |= {"max_epochs": 1, "folds": {"train": "4Y", "valid": "1Y", "test": "5Y"}}
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
        for stage in ("ingest", "folds", "train", "predict") if kind == ONE_WORD[0] else ("train", "predict"):
            command = [
                sys.executable,
                "-m",
                "seawall",
                "run",
                str(path),
                "--only",
                stage,
                "--memory",
                "1GiB",
                "--quiet",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
            assert done.returncode == 0, f"{kind}: {done.stderr[-2000:]}"
        model = (tmp_path / "out/models/fold_00/model.json").read_text()
        assert f'"kind": "{kind}"' in model or kind == "lstm_attention"
        assert read_manifest(tmp_path / "out/predictions/fold_00.json")["num_rows"] > 10_000
        units = json.loads((tmp_path / "out/run.json").read_text())["units"]
        for name in ("train/fold_00", "predict/fold_00"):
            claimed, measured = (units[name][f"{what}_private_bytes"] for what in ("projected", "measured"))
            print(f"{kind} {name}: {measured / MIB:.0f} of {claimed / MIB:.0f} MiB")
            assert measured <= claimed <= 1.5 * measured + 32 * MIB, f"{kind} {name}"
