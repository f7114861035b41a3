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
from seawall.train.members import MEMBERS, judged_members

WEIGHED = ("model.safetensors", "scaler.json", "inputs.json")
"""Files of a model that decide its predictions, in the order in which their checksums are part of a key."""


@dataclass(frozen=True, slots=True)
class SavedModels:
    """The models of all folds of a folder: ``fold_00``, ``fold_01`` ..., none missing."""

    folder: Path
    records: tuple[dict[str, Any], ...]
    """``model.json`` of each fold, of its first seed where there are several."""
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
        members: list[dict[str, dict[str, Any]]] = []
        for number, path in enumerate(found):
            if path.name != f"fold_{number:02d}":
                what, do = "a fold is missing", "Bring the models of all folds, from fold_00 on."
                raise FormatError(str(folder), what, found=path.name, allowed=f"fold_{number:02d}", do=do)
            members.append(_members(path))
        configs = [_whole_config(path, of_fold) for path, of_fold in zip(found, members, strict=True)]
        for path, config in zip(found, configs, strict=True):
            if config.semantic() != configs[0].semantic():
                what, do = "trained with another config than fold_00", "Predict with the models of one run."
                raise FormatError(str(path), what, do=do)
        first = judged_members(configs[0])[0]
        return cls(folder, tuple(of_fold[first] for of_fold in members), configs[0])


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


def _members(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the records of all models of a fold, by the names of its members; the only one has none."""
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and path.name.startswith(MEMBERS))
    records = {path.name: _record(path) for path in inner}
    if not any(name.startswith("seed_") for name in records):
        records[""] = _record(folder)
    return records


def _whole_config(folder: Path, members: dict[str, dict[str, Any]]) -> TrainConfig:
    """Put together what all models of a fold were trained with."""
    configs = {name: _train_config(folder / name, record) for name, record in members.items()}
    seeds = sorted(int(name.removeprefix("seed_")) for name in members if name.startswith("seed_"))
    whole = configs[f"seed_{seeds[0]}" if seeds else ""]
    for seed in seeds:
        if configs[f"seed_{seed}"].model_copy(update={"seed": whole.seed}) != whole:
            what, do = f"trained with another config than seed {seeds[0]}", "Predict with the models of one run."
            raise FormatError(str(folder / f"seed_{seed}"), what, do=do)
    baselines = tuple(configs[name].model for name in sorted(members) if name.startswith("baseline_"))
    return whole.model_copy(update={"seeds": tuple(seeds) or None, "baselines": baselines})


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
