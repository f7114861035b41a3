"""Finished models in a folder, taken in place of training: what they were trained with, read from their own records."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seawall.errors import ConfigError, FormatError
from seawall.pipeline.config import RunConfig
from seawall.stores.atomic import file_checksum
from seawall.train.config import TrainConfig

WEIGHED = ("model.safetensors", "scaler.json", "inputs.json")
"""Files of a model that decide its predictions, in the order in which their checksums are part of a key."""


@dataclass(frozen=True, slots=True)
class SavedModels:
    """The models of all folds of a folder: ``fold_00``, ``fold_01`` ..., none missing."""

    folder: Path
    records: tuple[dict[str, Any], ...]
    """``model.json`` of each fold."""
    train: TrainConfig
    """What all of them were trained with."""

    @classmethod
    def read(cls, folder: Path) -> "SavedModels":
        """Read the records of all models; no weights.

        Raises
        ------
        ConfigError
            Where there is no such folder, or no model in it.
        FormatError
            For a fold that is missing, a damaged record, or models of different configs.
        """
        found = sorted(path for path in folder.glob("fold_[0-9]*") if path.is_dir())
        if not found:
            what, do = "no models here", "Name the folder models/ of a run."
            raise ConfigError(f"models {folder}", what, found=_contents(folder), allowed="fold_00, fold_01 ...", do=do)
        records = []
        for number, path in enumerate(found):
            if path.name != f"fold_{number:02d}":
                what, do = "a fold is missing", "Bring the models of all folds, from fold_00 on."
                raise FormatError(str(folder), what, found=path.name, allowed=f"fold_{number:02d}", do=do)
            records.append(_record(path))
        configs = [_train_config(path, record) for path, record in zip(found, records, strict=True)]
        for path, config in zip(found, configs, strict=True):
            if config.semantic() != configs[0].semantic():
                what, do = "trained with another config than fold_00", "Predict with the models of one run."
                raise FormatError(str(path), what, do=do)
        return cls(folder, tuple(records), configs[0])

    def checksums(self, fold: int) -> list[str]:
        """Give what identifies the model of a fold, as the record of its training does."""
        return model_checksums(self.folder / f"fold_{fold:02d}")


def model_checksums(folder: Path) -> list[str]:
    """Sum the files that decide what a model predicts."""
    return [file_checksum(folder / name) for name in WEIGHED if (folder / name).is_file()]


def with_saved_models(config: RunConfig) -> RunConfig:
    """Fill in the train section of a config that names finished models.

    Raises
    ------
    ConfigError
        Where a train section beside them says anything else.
    """
    if config.models is None:
        return config
    saved = SavedModels.read(config.models)
    if config.train is not None and config.train.semantic() != saved.train.semantic():
        what, do = "the models were trained with another config", "Leave train out: the models say what they are."
        raise ConfigError("train", what, found=str(config.models), do=do)
    return config.model_copy(update={"train": config.train or saved.train})


def _record(folder: Path) -> dict[str, Any]:
    path, do = folder / "model.json", "A model whose training was cut short is none; train it again."
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(str(folder), "no finished model", found=str(error), do=do) from error
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        raise FormatError(str(path), "damaged record of a model", found="no config", do=do)
    return record


def _train_config(folder: Path, record: dict[str, Any]) -> TrainConfig:
    try:
        return TrainConfig.model_validate(record["config"])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, found = str(folder / "model.json"), ".".join(map(str, first["loc"])) + ": " + first["msg"]
        raise FormatError(where, "its config is not understood", found=found, do="Use the release it is of.") from error


def _contents(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder" if not folder.exists() else "a file"
    return ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "an empty folder"
