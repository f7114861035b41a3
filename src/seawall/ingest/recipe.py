"""What an append needs of an ingest: the config that made the columns, and the source numbers it cannot do without."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seawall.errors import ConfigError
from seawall.ingest.config import IngestConfig

COMPUTED = (
    "features",
    "feature_sets",
    "cross_sectional",
    "derived",
    "targets",
    "universe",
    "adjustment",
    "weights",
    "dividends",
    "splits",
    "values",
    "static",
)
"""Keys of a config that say what is made of the columns read, not which are read and how."""


def recipe_of(config: IngestConfig, time_format: str | None, rows_back: int | None) -> str:
    """Give the config as JSON text, without its sources and with the time format as it was found.

    Text, because the order of its keys is the order of columns, and a manifest is written with sorted keys.

    Parameters
    ----------
    rows_back
        How many earlier rows expressions read; None without bound.
    """
    section: dict[str, Any] = json.loads(config.model_dump_json(exclude={"sources", "checkpoint_seconds"}))
    if time_format is not None:
        section["time_format"] = time_format
    return json.dumps({"ingest": section, "rows_back": rows_back})


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the columns of a panel were made, with the sources to append."""

    config: IngestConfig
    rows_back: int | None

    def reach(self, longest_rows: int) -> "Reach":
        """Count how far rows see one another; ``longest_rows`` where an expression has no bound."""
        back = longest_rows if self.rows_back is None else min(self.rows_back, longest_rows)
        return Reach(back, max((target.end_periods for target in self.config.targets.values()), default=0))


@dataclass(frozen=True, slots=True)
class Reach:
    """How many rows a row is seen from: ``back`` by features of later rows, ``ahead`` by targets of earlier ones."""

    back: int
    ahead: int


def read_recipe(manifest: Mapping[str, Any], sources: Sequence[str], where: str) -> Recipe:
    """Read how a panel was made, to make rows of other sources in the same way.

    Raises
    ------
    ConfigError
        Where the panel has no recipe, or one of another version.
    """
    text = manifest.get("recipe")
    if not isinstance(text, str):
        raise ConfigError(where, "rows cannot be appended: it was not made by an ingest", do="Ingest all sources anew.")
    try:
        recipe = json.loads(text)
        config = IngestConfig.model_validate({**recipe["ingest"], "sources": tuple(sources)})
        rows_back = recipe["rows_back"]
        return Recipe(config, None if rows_back is None else int(rows_back))
    except (ValueError, TypeError, LookupError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": ("recipe",), "msg": str(error)}
        found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ConfigError(
            where, "its recipe is of another version", found=found, do="Ingest all sources anew."
        ) from error


def nothing_new(panel: Path, content_key: str) -> dict[str, Any]:
    """Report an append that leaves the panel as it is: every file or row is in it already."""
    return {"appended": False, "panel": str(panel), "content_key": content_key, "num_new_rows": 0}


def raw_config(config: IngestConfig) -> IngestConfig:
    """Give the config that reads the same columns and rows, and computes nothing: every number column as float64."""
    fields = type(config).model_fields
    plain = {name: fields[name].get_default(call_default_factory=True) for name in COMPUTED if name in fields}
    return config.model_copy(update=plain | {"prices": config.value_columns})


def _target_texts(config: IngestConfig) -> list[str]:
    """List the SQL of targets, and the columns the source brings as targets, quoted as in SQL."""
    targets = config.targets.values()
    own = ['"' + target.column.name.replace('"', '""') + '"' for target in targets if target.column is not None]
    return own + [target.expression.sql for target in targets if target.expression is not None]


def plain_features(config: IngestConfig) -> dict[str, str]:
    """Name the features that are a number column as it is, and that column."""
    spelled = {text: name for name in config.value_columns for text in (name, '"' + name.replace('"', '""') + '"')}
    return {name: spelled[text.strip()] for name, text in config.features.items() if text.strip() in spelled}


def kept_columns(config: IngestConfig) -> tuple[str, ...]:
    """List the number columns whose earlier values later rows need, and that no other array holds exactly.

    A column that is only a feature as it is needs no second copy: the float32 it is stored as makes the same float32
    again; so does a column that is only a weight, a dividend or a split. Columns that an expression or the adjustment
    reads are kept, prices are there anyway.
    """
    plain = plain_features(config)
    computed = [text for name, text in config.features.items() if name not in plain]
    sql = "\n".join([*computed, *config.derived.values(), config.universe or "", *_target_texts(config)]).casefold()
    of_sets = {column for chosen in config.feature_sets for column in chosen.roles.values()}
    features, roles = set(plain.values()), set(config.roles.values())
    only_stored = {
        name
        for name in features ^ roles
        if name not in config.adjustment.columns
        and name not in of_sets
        and name.casefold() not in sql
        and name.replace('"', '""').casefold() not in sql
    }
    is_read = bool(sql.strip() or of_sets) or any(name in config.adjustment.columns for name in config.value_columns)
    wanted = set(config.value_columns) - only_stored if is_read else features & roles  # of both, no array holds it
    return tuple(name for name in config.value_columns if name in wanted and name not in config.prices)
