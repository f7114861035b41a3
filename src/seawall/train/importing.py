"""State dicts of models that were trained elsewhere become the models of a run; nothing in their files is executed."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ConfigError, DataError, nearest
from seawall.models.registry import build_model
from seawall.stores.atomic import file_checksum, replacing, write_json
from seawall.stores.panel import Panel
from seawall.stores.scalers import ColumnScale, Scaler
from seawall.train.artefacts import MODEL_FORMAT
from seawall.train.checkpoint import Weights
from seawall.train.fold_data import fit_scaler
from seawall.train.folds_file import fold_layout
from seawall.train.import_config import ModelsConfig, Scaling
from seawall.train.inputs import ModelInputs, fit_inputs, model_shape
from seawall.train.run import cut_folds
from seawall.train.segments import train_samples
from seawall.windows.folds import Fold

NESTED = ("state_dict", "model_state_dict", "model", "module")
"""Keys under which checkpoints keep the weights."""


def import_models(
    panel: Path, files: tuple[Path, ...], config: ModelsConfig, output: Path, *, beat: Beat = silent
) -> dict[str, Any]:
    """Write one model a fold, in the order of the files, as training would have; all are checked before any is written.

    Parameters
    ----------
    files
        One of each fold that ``config.train.folds`` cuts the panel into: safetensors, or torch files of tensors.
    output
        The ``models/`` folder of a run, without models yet.

    Returns
    -------
    dict
        ``num_models`` and ``num_parameters``. Memory is the weights of two models, one as read and one as built.

    Raises
    ------
    ConfigError
        Where files and folds differ in number, or the folder has models.
    DataError
        For a file that holds more than tensors, or weights that do not fit the model, naming the first.
    """
    opened, train = Panel(panel), config.train
    folds = cut_folds(opened, train.folds)
    if len(folds) != len(files):
        what, do = "one file of weights for each fold", "Cut folds as these models were trained: folds.dates says any."
        raise ConfigError("import", what, found=f"{len(files)} files", allowed=f"{len(folds)} folds", do=do)
    if next(output.glob("fold_*"), None) is not None:
        raise ConfigError(f"output {output}", "models are here already", do="Choose another output.")
    num_parameters = 0
    for is_written in (False, True):
        for number, (file, fold) in enumerate(zip(files, folds, strict=True)):
            beat("write models" if is_written else "check weights", number, len(files))
            scaler, inputs = _scales(opened, fold, config)
            weights = _fitting(file, config, inputs)
            num_parameters = sum(value.numel() for value in weights.values())
            if is_written:
                record = _record(opened, fold, config, file) | {"num_parameters": num_parameters}
                _write(output / f"fold_{fold.index:02d}", weights, (scaler, inputs), record)
    return {"num_models": len(files), "num_parameters": num_parameters}


def read_weights(file: Path, strip_prefix: str = "") -> Weights:
    """Read a state dict as float32 tensors by name.

    Raises
    ------
    DataError
        Where the file holds anything but tensors: pickled objects are never loaded, for loading them runs code.
    """
    do = "Save it with safetensors.torch.save_file(model.state_dict(), path), or torch.save(model.state_dict(), path)."
    try:
        loaded = load_file(file) if file.suffix == ".safetensors" else _torch_file(file)
    except pickle.UnpicklingError as error:
        what = "holds more than tensors, and pickled objects are never loaded"
        raise DataError(str(file), what, found=str(error).splitlines()[0][:200], do=do) from error
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError) as error:
        found = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(str(file), "not a file of weights", found=found, do=do) from error
    for key in NESTED:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise DataError(str(file), "not a state dict", found=type(loaded).__name__, do=do)
    weights = {str(name).removeprefix(strip_prefix): value for name, value in loaded.items()}
    bad = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise DataError(str(file), "a weight is not finite", found=bad[0])
    return {name: value.float().contiguous() if value.is_floating_point() else value for name, value in weights.items()}


def _torch_file(file: Path) -> Any:  # noqa: ANN401 - checked by the caller
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickles of other protocols, which are then refused
        return torch.load(file, map_location="cpu", weights_only=True)


def _scales(panel: Panel, fold: Fold, config: ModelsConfig) -> tuple[Scaler, ModelInputs]:
    train = config.train
    samples = train_samples(panel, fold, train)
    if config.scaling == "fitted":
        scaler, inputs = fit_scaler(panel, fold, samples, train), fit_inputs(panel, samples, train.model)
    else:
        given = config.scaling if isinstance(config.scaling, Scaling) else None
        features = [_given(name, given.features if given else {}) for name in train.features or ()]
        targets = [_given(name, given.targets if given else {}) for name in train.target_names]
        clips = (train.feature_clip_sigmas, train.target_clip_sigmas)
        scaler = Scaler(tuple(features), targets[0], *clips, more_targets=tuple(targets[1:]))
        inputs = ModelInputs(tuple(_given(name, {}) for name in train.model.static_names))
    return scaler, ModelInputs(inputs.static, config.entities) if config.entities else inputs


def _given(name: str, scales: dict[str, Any]) -> ColumnScale:
    scale = scales.get(name)
    return ColumnScale(name, scale.mean if scale else 0.0, scale.std if scale else 1.0, 0, 0, 0)


def _fitting(file: Path, config: ModelsConfig, inputs: ModelInputs) -> Weights:
    """Read weights and prove that they are those of the model the config names."""
    weights, train = read_weights(file, config.strip_prefix), config.train
    num_features, num_targets = len(train.features or ()), len(train.target_names)
    shape = model_shape(num_features, num_targets, inputs, lookback_periods=train.lookback_periods)
    wanted = build_model(train.model, shape).state_dict()
    where, kind = str(file), f"the model {train.model.kind} of this config"
    for name in sorted(set(wanted) - set(weights)):
        do = nearest(name, weights) + ". See strip_prefix."
        raise DataError(where, f"no weights {name!r}, which {kind} has", found=", ".join(sorted(weights)[:6]), do=do)
    for name in sorted(set(weights) - set(wanted)):
        raise DataError(where, f"weights {name!r}, which {kind} has not", do=nearest(name, wanted))
    for name, value in wanted.items():
        if value.shape != weights[name].shape:
            found, allowed = str(tuple(weights[name].shape)), str(tuple(value.shape))
            do = "Check the sizes of the model, and the number of features and targets."
            raise DataError(where, f"weights {name!r} have another shape", found=found, allowed=allowed, do=do)
    return {name: weights[name].to(value.dtype) for name, value in wanted.items()}


def _record(panel: Panel, fold: Fold, config: ModelsConfig, file: Path) -> dict[str, Any]:
    train = config.train
    return {
        "fold": fold.index,
        "model": train.model.model_dump(mode="json", exclude=train.model.unsaid()),
        "lookback_periods": train.lookback_periods,
        "features": list(train.features or ()),
        "target": train.target,
        **({"targets": list(train.target_names)} if len(train.target_names) > 1 else {}),
        "panel_key": panel.content_key,
        "segments": fold_layout(panel, fold),
        "config": train.semantic(),
        "imported": {"file": file.name, "xxh3_64": file_checksum(file)},
    }


def _write(folder: Path, weights: Weights, seen: tuple[Scaler, ModelInputs], record: dict[str, Any]) -> None:
    scaler, inputs = seen
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "model.safetensors") as temporary:
        save_file(weights, temporary)
    scaler.save(folder / "scaler.json")
    if not inputs.is_empty:
        inputs.save(folder / "inputs.json")
    write_json(folder / "model.json", {"format": MODEL_FORMAT, **record})
