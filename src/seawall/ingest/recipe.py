"""What an append needs of an ingest: the config that made the columns, and the source numbers it cannot do without."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from seawall.errors import ConfigError
from seawall.ingest.config import IngestConfig

COMPUTED = ("features", "feature_sets", "derived", "targets", "universe", "adjustment", "values")
"""Keys of a config that say what is computed from the columns read, not which are read and how."""


def recipe_of(config: IngestConfig, time_format: str | None) -> str:
    """Give the config as JSON text, without its sources and with the time format as it was found.

    Text, because the order of its keys is the order of columns, and a manifest is written with sorted keys.
    """
    recipe: dict[str, Any] = json.loads(config.model_dump_json(exclude={"sources"}))
    if time_format is not None:
        recipe["time_format"] = time_format
    return json.dumps(recipe)


def read_recipe(manifest: Mapping[str, Any], sources: Sequence[str], where: str) -> IngestConfig:
    """Give the config that made a panel, with other sources.

    Raises
    ------
    ConfigError
        Where the panel has no recipe, or one of another version.
    """
    recipe = manifest.get("recipe")
    if not isinstance(recipe, str):
        raise ConfigError(where, "rows cannot be appended: it was not made by an ingest", do="Ingest all sources anew.")
    try:
        return IngestConfig.model_validate({**json.loads(recipe), "sources": tuple(sources)})
    except (ValueError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": ("recipe",), "msg": str(error)}
        found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ConfigError(
            where, "its recipe is of another version", found=found, do="Ingest all sources anew."
        ) from error


def raw_config(config: IngestConfig) -> IngestConfig:
    """Give the config that reads the same columns and rows, and computes nothing: every number column as float64."""
    fields = type(config).model_fields
    plain = {name: fields[name].get_default(call_default_factory=True) for name in COMPUTED if name in fields}
    return config.model_copy(update=plain | {"prices": config.value_columns})


def plain_features(config: IngestConfig) -> dict[str, str]:
    """Name the features that are a number column as it is, and that column."""
    spelled = {text: name for name in config.value_columns for text in (name, '"' + name.replace('"', '""') + '"')}
    return {name: spelled[text.strip()] for name, text in config.features.items() if text.strip() in spelled}


def kept_columns(config: IngestConfig) -> tuple[str, ...]:
    """List the number columns whose earlier values later rows need, and that no other array holds exactly.

    A column that is only a feature as it is needs no second copy: the float32 it is stored as makes the same float32
    again. Columns that an expression or the adjustment rule reads are kept, prices are there anyway.
    """
    plain = plain_features(config)
    computed = [text for name, text in config.features.items() if name not in plain]
    sql = "\n".join([*computed, *config.derived.values(), config.universe or ""]).casefold()
    of_sets = {column for chosen in config.feature_sets for column in chosen.roles.values()}
    only_plain = {
        name
        for name in plain.values()
        if name not in config.adjustment.columns
        and name not in of_sets
        and name.casefold() not in sql
        and name.replace('"', '""').casefold() not in sql
    }
    is_read = bool(sql.strip() or of_sets) or any(name in config.adjustment.columns for name in config.value_columns)
    return tuple(
        name for name in config.value_columns if is_read and name not in config.prices and name not in only_plain
    )
