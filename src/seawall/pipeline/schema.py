"""JSON Schema of the config, for editors: completion, types and descriptions while a config is written."""

import json
from typing import Any

from seawall.pipeline.config import RunConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> dict[str, Any]:
    """Give the schema of a run's config: every key with its kind, default and meaning; unknown keys are errors."""
    schema = RunConfig.model_json_schema()
    return {"$schema": DIALECT, **schema, "title": "seawall config"}


def schema_text() -> str:
    """Give the schema as it is written to a file."""
    return json.dumps(config_schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
