"""The reference of the config, written from the models themselves, so that it cannot disagree with them."""

from typing import Any

from seawall.ingest.feature_sets.catalogue import SETS
from seawall.pipeline.config import RunConfig

INTRODUCTION = """# Config reference

A config is a YAML mapping; `examples/pse.yaml` is a whole one with comments. Unknown keys are refused with the
nearest known one. Relative paths are taken from the current folder. This page is written from the models
(`make docs` checks it).

**SQL expressions** (`ingest.derived`, `features`, `universe`) are DuckDB SQL over the rows of one entity in order of
time. They may use the source's number columns, the time column, `adj_NAME` for each price (price / adjustment),
`adjustment`, and `OVER entity` with frames that end at the current row: `avg(x) OVER (entity ROWS 19 PRECEDING)`. An
expression whose value changes when later rows are removed is refused: it looks ahead. `drop_rows` rules see one row
at a time.
"""


def config_page() -> str:
    """Write the page as Markdown: one table for each section of the config."""
    schema = RunConfig.model_json_schema()
    parts = [INTRODUCTION, _table("(top)", schema)]
    parts += [_table(name, definition) for name, definition in schema["$defs"].items()]
    return "\n".join(parts)


def feature_table(name: str) -> str:
    """Write the features of a set as a Markdown table: name, formula, meaning, source."""
    facts = SETS[name]
    lines = [f"Source: {facts.source}.\n", "| name | formula | meaning |", "| --- | --- | --- |"]
    for feature in facts.features:
        meaning = feature.meaning + (f" ({feature.source})" if feature.source else "")
        lines.append(f"| `{feature.name}` | `{feature.formula}` | {meaning} |")
    return "\n".join(lines) + "\n"


def _table(name: str, definition: dict[str, Any]) -> str:
    required = set(definition.get("required", ()))
    lines = [
        f"## {name}\n",
        f"{definition.get('description', '').splitlines()[0] if definition.get('description') else ''}\n",
    ]
    lines += ["| key | kind | default | meaning |", "| --- | --- | --- | --- |"]
    for key, field in definition.get("properties", {}).items():
        default = "required" if key in required else f"`{field.get('default', '...')}`"
        cells = (f"`{key}`", _kind(field), default, field.get("description", ""))
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"].rsplit("/", 1)[1])
    options = field.get("anyOf") or field.get("oneOf")
    if options:
        return " or ".join(_kind(option) for option in options)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array" and isinstance(field.get("items"), dict):
        return f"list of {_kind(field['items'])}"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"name: {_kind(field['additionalProperties'])}"
    return str(field.get("type", "any"))
