"""JSON Schema of the config, for editors: completion, types and descriptions while a config is written."""

import json
from typing import Any

from seawall.pipeline.config import RunConfig
from seawall.search.config import SearchConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema(*, search_only: bool = False) -> dict[str, Any]:
    """Give the schema of a config: every key with its kind, default and meaning; unknown keys are errors.

    Parameters
    ----------
    search_only
        Of the file that ``seawall search`` takes, in place of a run's.
    """
    schema = SearchConfig.model_json_schema() if search_only else RunConfig.model_json_schema()
    return {"$schema": DIALECT, **schema, "title": "seawall search config" if search_only else "seawall config"}


def schema_text(*, search_only: bool = False) -> str:
    """Give the schema as it is written to a file."""
    return json.dumps(config_schema(search_only=search_only), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
