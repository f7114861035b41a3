"""The folder of a finished model: weights, scaler, history, and last of all model.json, which says what they are."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from seawall.errors import FormatError
from seawall.models.config import LstmAttentionConfig
from seawall.models.registry import build_model
from seawall.stores.atomic import file_checksum, replacing, text_key, write_json
from seawall.stores.scalers import Scaler, load_scaler
from seawall.train.checkpoint import Weights

MODEL_FORMAT = "seawall-model/1"


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A model read back from its folder, ready to predict."""

    module: nn.Module
    scaler: Scaler
    record: dict[str, Any]
    key: str
    """Content key of weights and scaler."""


def write_model(
    folder: Path, weights: Weights, scaler: Scaler, history: dict[str, Any], record: dict[str, Any]
) -> None:
    """Write the four files of a model; until model.json is there, the folder holds no model."""
    (folder / "model.json").unlink(missing_ok=True)
    with replacing(folder / "model.safetensors") as temporary:
        save_file(weights, temporary)
    scaler.save(folder / "scaler.json")
    write_json(folder / "history.json", history)
    write_json(folder / "model.json", {"format": MODEL_FORMAT, **record})


def read_model(folder: Path) -> FittedModel:
    """Read a finished model; nothing in its files is executed.

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
        config = LstmAttentionConfig(**record["model"])
        module = build_model(config, len(record["features"]), len(record.get("targets", [record["target"]])))
        module.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise FormatError(str(folder), "no finished model", found=str(error).splitlines()[0], do=do) from error
    checksums = [file_checksum(folder / name) for name in ("model.safetensors", "scaler.json")]
    return FittedModel(module, load_scaler(folder / "scaler.json"), record, text_key(*checksums))
