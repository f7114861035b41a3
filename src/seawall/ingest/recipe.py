"""What an append needs of an ingest: the config that made the columns, and the source numbers it cannot do without."""

import json
from typing import Any

from seawall.ingest.config import IngestConfig


def recipe_of(config: IngestConfig, time_format: str | None) -> dict[str, Any]:
    """Give the config as plain JSON values, without its sources and with the time format as it was found."""
    recipe: dict[str, Any] = json.loads(config.model_dump_json(exclude={"sources"}))
    if time_format is not None:
        recipe["time_format"] = time_format
    return recipe


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
    only_plain = {
        name
        for name in plain.values()
        if name not in config.adjustment.columns
        and name.casefold() not in sql
        and name.replace('"', '""').casefold() not in sql
    }
    is_read = bool(sql.strip()) or any(name in config.adjustment.columns for name in config.value_columns)
    return tuple(
        name for name in config.value_columns if is_read and name not in config.prices and name not in only_plain
    )
