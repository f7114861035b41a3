"""The folder of a finished model: weights, scaler, history, and last of all model.json, which says what they are."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from seawall.errors import FormatError
from seawall.models.config import ModelConfig
from seawall.models.network_config import NetworkConfig
from seawall.models.registry import build_model
from seawall.models.user_module import GivenModule
from seawall.stores.atomic import file_checksum, replacing, text_key, write_json
from seawall.stores.scalers import Scaler, load_scaler
from seawall.train.checkpoint import Weights
from seawall.train.inputs import ModelInputs, load_inputs, model_shape

MODEL_FORMAT = "seawall-model/1"


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A model read back from its folder, ready to predict."""

    module: nn.Module
    scaler: Scaler
    inputs: ModelInputs
    record: dict[str, Any]
    key: str
    """Content key of weights, scaler and inputs."""


def write_model(
    folder: Path,
    weights: Weights,
    seen: tuple[Scaler, ModelInputs],
    history: dict[str, Any],
    record: dict[str, Any],
) -> None:
    """Write the files of a model; until model.json is there, the folder holds no model."""
    scaler, inputs = seen
    (folder / "model.json").unlink(missing_ok=True)
    with replacing(folder / "model.safetensors") as temporary:
        save_file(weights, temporary)
    scaler.save(folder / "scaler.json")
    if inputs.is_empty:
        (folder / "inputs.json").unlink(missing_ok=True)
    else:
        inputs.save(folder / "inputs.json")
    write_json(folder / "history.json", history)
    write_json(folder / "model.json", {"format": MODEL_FORMAT, **record})


def read_model(folder: Path, given: NetworkConfig | None = None) -> FittedModel:
    """Read a finished model; nothing in its files is executed.

    A :class:`GivenModule` takes the weights into the module it holds.

    Raises
    ------
    FormatError
        Where the folder holds no finished model, or one of another version.
    """
    do = "Train the fold again."
    try:
        record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if record["format"] != MODEL_FORMAT:
            raise FormatError(str(folder), "unknown format", found=repr(record["format"]), allowed=MODEL_FORMAT)
        kept: NetworkConfig = TypeAdapter(ModelConfig).validate_python(record["model"])
        config = given if isinstance(given, GivenModule) else kept
        inputs = load_inputs(folder / "inputs.json")
        num_targets = len(record.get("targets", [record["target"]]))
        module = build_model(
            config,
            model_shape(len(record["features"]), num_targets, inputs, lookback_periods=record["lookback_periods"]),
        )
        module.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise FormatError(str(folder), "no finished model", found=str(error).splitlines()[0], do=do) from error
    names = ["model.safetensors", "scaler.json", *(() if inputs.is_empty else ("inputs.json",))]
    checksums = [file_checksum(folder / name) for name in names]
    return FittedModel(module, load_scaler(folder / "scaler.json"), inputs, record, text_key(*checksums))
