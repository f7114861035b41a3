import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import seawall as sw
from seawall.errors import DataError
from seawall.train.importing import read_weights
from tests.pipeline.world import config, market, write_market

BUDGET = "2GiB"  # pytest is the parent here, and all it holds counts


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("import")
    settings = config(write_market(folder / "market.csv", market()), folder / "out", max_epochs=1)
    settings = {name: settings[name] for name in ("name", "output", "ingest", "train", "evaluate")}
    settings["train"]["features"] = list(settings["ingest"]["features"])
    sw.run(settings, memory=BUDGET)
    return folder, settings


def seawall(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seawall", *map(str, words), "--memory", "1GiB"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def foreign(trained: tuple[Path, dict[str, Any]]) -> tuple[list[Path], Path]:
    """The weights of the run as a stranger would hand them over, and what he says of them."""
    folder, settings = trained
    files = []
    for number in range(3):
        weights = load_file(folder / "out" / "models" / f"fold_{number:02d}" / "model.safetensors")
        named = {f"module.{name}": value for name, value in weights.items()}
        ending = ".pt" if number else ".safetensors"
        files.append(folder / f"theirs_{number}{ending}")
        if number:
            torch.save({"state_dict": named, "epoch": 3}, files[-1])
        else:
            save_file(named, files[-1])
    said = folder / "theirs.yaml"
    said.write_text(yaml.safe_dump({"train": settings["train"], "scaling": "fitted", "strip_prefix": "module."}))
    return files, said


def test_state_dicts_of_others_predict_as_the_models_they_are(
    trained: tuple[Path, dict[str, Any]], foreign: tuple[list[Path], Path], tmp_path: Path
) -> None:
    panel, (files, said) = trained[0] / "out" / "small.panel", foreign
    done = seawall("import", *files, "--config", said, "--panel", panel, "--output", tmp_path / "mine")
    assert done.returncode == 0, done.stderr
    done = seawall("predict", "--models", tmp_path / "mine" / "models", "--panel", panel)
    assert done.returncode == 0, done.stderr

    for number in range(3):
        name = f"predictions/fold_{number:02d}.parquet"
        assert (tmp_path / "mine" / name).read_bytes() == (trained[0] / "out" / name).read_bytes()


def test_weights_of_another_model_are_refused_and_nothing_is_written(
    trained: tuple[Path, dict[str, Any]], foreign: tuple[list[Path], Path], tmp_path: Path
) -> None:
    panel, (files, said) = trained[0] / "out" / "small.panel", foreign
    values = yaml.safe_load(said.read_text())
    values["train"]["model"]["hidden_size"] = 16
    (tmp_path / "wide.yaml").write_text(yaml.safe_dump(values))
    done = seawall("import", *files, "--config", tmp_path / "wide.yaml", "--panel", panel, "--output", tmp_path / "x")
    assert (done.returncode, "have another shape" in done.stderr) == (4, True), done.stderr
    done = seawall("import", files[0], "--config", said, "--panel", panel, "--output", tmp_path / "x")
    assert (done.returncode, "one file of weights for each fold" in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "x" / "models").exists()


def test_a_pickle_is_refused_by_its_name_and_by_what_it_holds(
    trained: tuple[Path, dict[str, Any]], foreign: tuple[list[Path], Path], tmp_path: Path
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    panel, (_, said) = trained[0] / "out" / "small.panel", foreign
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Trap()))
    shutil.copy(tmp_path / "a.pkl", tmp_path / "a.pt")
    done = seawall("import", tmp_path / "a.pkl", "--config", said, "--panel", panel, "--output", tmp_path / "x")
    assert (done.returncode, "pickles are never loaded" in done.stderr) == (2, True), done.stderr
    torch.save({"state_dict": Trap()}, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        with pytest.raises(DataError, match=r"never loaded|not a file of weights"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_scores_of_others_become_the_predictions_of_a_run(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    frame = market()[["symbol", "date", "value"]].rename(columns={"value": "score"})
    frame.sample(frac=1.0, random_state=0).to_parquet(tmp_path / "scores.parquet")
    panel = trained[0] / "out" / "small.panel"
    keys = ("--entity", "symbol", "--time", "date", "--prediction", "score")
    done = seawall("import", tmp_path / "scores.parquet", *keys, "--panel", panel, "--output", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "predictions" in done.stdout
    assert sorted(p.name for p in (tmp_path / "run" / "predictions").iterdir()) == ["fold_00.json", "fold_00.parquet"]
    done = seawall("import", tmp_path / "scores.parquet", "--panel", panel, "--output", tmp_path / "run")
    assert (done.returncode, "--entity and --time" in done.stderr) == (2, True)
