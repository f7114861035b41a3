"""``sw.fit`` takes a model and data of any form, sees which they are, and learns what a fold of a run learns."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import seawall as sw
from seawall.arrays import Float32
from seawall.errors import SeawallError
from seawall.pipeline.fit_api import NOT_SETTINGS
from seawall.pipeline.fitted import Fitted
from seawall.stores.panel import Panel
from seawall.train.folds_file import fold_layout, write_folds
from seawall.train.predict import predict_fold
from seawall.train.run import fit_fold, make_folds_record
from seawall.windows.samples import select_ranges
from tests.models.own_networks import Mlp, Neighbours
from tests.train.worlds import World, planted_world, small_config

QUICK = {"max_epochs": 2, "batch_size": 64, "device": "cpu"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return planted_world(tmp_path_factory.mktemp("fit"))


def arrays(num_samples: int = 400, lookback: int = 3) -> tuple[Float32, Float32]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((num_samples, lookback, 4)).astype(np.float32)
    y = (x[:, -1, 0] - 0.5 * x[:, 0, 1] + 0.1 * rng.standard_normal(num_samples)).astype(np.float32)
    return x, y


def weights(fitted: Fitted) -> bytes:
    return (fitted.folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["lstm_attention", "ridge"])
def test_on_a_fold_of_a_panel_it_is_the_model_and_the_predictions_of_a_run(
    world: World, tmp_path: Path, kind: str
) -> None:
    model = {"kind": kind, **({"hidden_size": 4, "dropout": 0.2} if kind != "ridge" else {})}
    config = small_config(model=model, max_epochs=2)
    make_folds_record(world.panel, config, tmp_path / "folds.json")
    fit_fold(world.panel, tmp_path / "folds.json", 0, config, tmp_path / "run")
    folds = sw.folds(world.panel, train=60, valid=20, test=20, lookback=4, targets=["fwd"])
    settings = config.model_dump(exclude=set(NOT_SETTINGS))

    fitted = sw.fit(model, world.panel, lookback=4, fold=folds.folds[0], settings=settings)

    assert weights(fitted) == (tmp_path / "run" / "model.safetensors").read_bytes()
    write_folds(tmp_path / "whole.json", [fold_layout(Panel(world.panel), folds.folds[0])], 120)
    predict_fold(world.panel, tmp_path / "whole.json", 0, config, tmp_path / "run", tmp_path / "theirs")
    ours, theirs = fitted.predict(world.panel), pd.read_parquet(tmp_path / "theirs" / "fold_00.parquet")
    assert not isinstance(ours, np.ndarray)
    both = theirs.merge(ours.to_arrow().to_pandas(), on="row", suffixes=("", "_ours"))
    assert len(both) == len(theirs) > 0
    assert (both["prediction"] == both["prediction_ours"]).all()


def test_arrays_in_the_order_of_a_panel_give_its_model_to_the_last_bit(world: World) -> None:
    """Lookback 1: the rows of the train dates are the samples, those that are no sample of train have no target."""
    panel, cut = Panel(world.panel), sw.folds(world.panel, train=60, valid=20, test=20, targets=["fwd"])
    of_fold, segments = next(iter(cut)), []
    for dates, samples in ((cut.folds[0].train, of_fold.train), (cut.folds[0].valid, of_fold.valid)):
        rows = np.concatenate(list(select_ranges(panel, [dates], 1).blocks()))
        known = np.where(samples.contains(rows)[:, None], panel.targets[rows], np.nan)
        segments.append((np.asarray(panel.features[rows]), known))

    by_panel = sw.fit("lstm", panel, lookback=1, fold=cut.folds[0], settings=QUICK)
    by_arrays = sw.fit("lstm", segments[0], valid=segments[1], settings=QUICK)

    assert weights(by_arrays) == weights(by_panel)
    assert by_arrays.summary["num_train_samples"] == of_fold.train.num_samples


def batches(x: Float32, y: Float32, size: int = 50) -> Iterator[tuple[Float32, Float32]]:
    for start in range(0, len(x), size):
        yield x[start : start + size], y[start : start + size]


def test_the_same_samples_in_any_form_give_the_same_model() -> None:
    x, y = arrays()
    whole = weights(sw.fit("lstm", (x, y), settings=QUICK))
    forms: dict[str, Any] = {
        "tensors": (torch.from_numpy(x), torch.from_numpy(y)),
        "float64": (x.astype(np.float64), y.astype(np.float64)[:, None]),
        "generator": batches(x, y),
        "mappings": [{"x": a, "y": b} for a, b in batches(x, y)],
        "torch loader": torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=64
        ),
    }
    for name, form in forms.items():
        assert weights(sw.fit("lstm", form, settings=QUICK)) == whole, name
    assert weights(sw.fit("lstm", x, y, settings=QUICK)) == whole
    split = (x[:320], y[:320]), (x[320:], y[320:])
    assert weights(sw.fit("lstm", split[0], valid=split[1], settings=QUICK)) == whole


def test_a_frame_of_samples_is_the_arrays_of_its_columns() -> None:
    x, y = arrays(lookback=1)
    frame = pd.DataFrame(x[:, 0], columns=list("abcd")).assign(y=y)
    whole = weights(sw.fit("ridge", (x[:, 0], y)))

    assert weights(sw.fit("ridge", frame, target="y")) == whole
    table = pa.table(frame)
    assert weights(sw.fit("ridge", table, target="y")) == whole
    stream = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(90))
    assert weights(sw.fit("ridge", stream, target="y")) == whole
    assert weights(sw.fit("ridge", frame, target="y", features=["a", "b"])) != whole


def test_windows_of_a_loader_are_batches_too(world: World) -> None:
    loader = sw.windows(world.panel, lookback=4, batch=100, order="sequential")

    fitted = sw.fit("lstm", loader, settings=QUICK)

    assert fitted.summary["num_train_samples"] > 500
    assert fitted.config.lookback_periods == 4


@pytest.mark.parametrize("kind", ["lstm", "lstm_attention", "tcn_attention", "ridge", "lightgbm"])
def test_each_model_can_be_used_alone(kind: str, tmp_path: Path) -> None:
    x, y = arrays(800)
    choices: dict[str, Any] = {"max_epochs": 30, "batch_size": 64, "learning_rate": 0.01}
    window = {"window": "lookback"} if kind in ("ridge", "lightgbm") else {}
    fitted = sw.fit({"kind": kind, **window}, (x[:600], y[:600]), settings=choices)

    predicted = fitted.predict(x[600:])

    assert isinstance(predicted, np.ndarray)
    assert predicted.shape == (200,)
    assert np.corrcoef(predicted, y[600:])[0, 1] > 0.75
    assert not any("ic" in key.split("_") for epoch in fitted.history for key in epoch), "there are no dates"
    saved = fitted.save(tmp_path / "kept")
    again = Fitted(saved, fitted.config, fitted.summary)
    theirs = again.predict(x[600:])
    assert isinstance(theirs, np.ndarray)
    assert np.array_equal(theirs, predicted)
    with pytest.raises(SeawallError, match="there is a model already"):
        fitted.save(saved)


def test_a_module_is_trained_as_it_stands_and_ends_with_the_best_weights() -> None:
    x, y = arrays()
    torch.manual_seed(1)
    layer = nn.Linear(12, 1)
    module, start = nn.Sequential(nn.Flatten(), layer), layer.weight.detach().clone()

    fitted = sw.fit(module, (x, y), settings={**QUICK, "learning_rate": 0.05, "max_epochs": 5})

    assert not torch.equal(layer.weight, start)
    assert fitted.module.state_dict().keys() == module.state_dict().keys()
    saved = load_file(fitted.folder / "model.safetensors")
    assert torch.equal(layer.weight, saved["1.weight"])
    predicted = fitted.predict(x)
    assert isinstance(predicted, np.ndarray)
    assert np.corrcoef(predicted, y)[0, 1] > 0.8


def test_a_class_of_a_module_is_made_for_the_data() -> None:
    x, y = arrays()
    fitted = sw.fit(Mlp, (x, y), settings=QUICK)

    assert isinstance(fitted.predict(x), np.ndarray)
    record = json.loads((fitted.folder / "model.json").read_text())
    assert record["model"]["target"] == f"{inspect.getfile(Mlp)}:Mlp"


def test_a_temporary_model_goes_with_what_was_returned_and_a_named_one_stays(tmp_path: Path) -> None:
    x, y = arrays()
    fitted = sw.fit("ridge", (x, y))
    folder = fitted.folder
    assert folder.exists()
    del fitted
    assert not folder.exists()
    sw.fit("ridge", (x, y), output=tmp_path / "named")
    assert (tmp_path / "named" / "model.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["named"]


@pytest.mark.parametrize(
    ("model", "data", "options", "text"),
    [
        ("ridg", "arrays", {}, "did you mean 'ridge'"),
        (3, "arrays", {}, "not a model, found int"),
        ("ridge", 7, {}, "not something to learn from, found int"),
        ("ridge", "frame", {}, "of a frame the target must be named"),
        ("ridge", "frame", {"target": "z"}, "no such number column, found 'z'"),
        ("ridge", "empty", {}, "there is no sample"),
        ("ridge", "ragged", {}, "a batch of another shape than those before"),
        ("ridge", "wrong", {}, "shapes that do not go together"),
        ("ridge", "arrays", {"lookback": 3}, "arrays have no dates"),
        ("ridge", "arrays", {"valid": 1.5}, "valid: not a share"),
        ("lstm", "arrays", {"settings": {"loss": {"kind": "ic"}}}, "neither dates nor entities"),
        ("lstm", "arrays", {"settings": {"early_stopping": "valid_ic"}}, "neither dates nor entities"),
        ("lstm", "arrays", {"settings": {"max_epoch": 3}}, "Did you mean 'max_epochs'"),
        ("lstm", "arrays", {"settings": {"target": "y"}}, "not one of the settings"),
        (Neighbours(4), "arrays", {}, "depends on the other samples of its batch"),
    ],
)
def test_what_cannot_be_is_told(model: object, data: object, options: dict[str, Any], text: str) -> None:
    x, y = arrays(40)
    forms: dict[object, object] = {
        "arrays": (x, y),
        "frame": pd.DataFrame({"a": [1.0], "y": [2.0]}),
        "empty": iter(()),
        "ragged": [(x, y), (x[:, :1], y)],
        "wrong": (x, y[:3]),
    }
    with pytest.raises(SeawallError, match=text):
        sw.fit(model, forms.get(data, data), **options)
