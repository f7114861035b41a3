"""The reference of the config, written from the models themselves, so that it cannot disagree with them."""

import ast
import inspect
import textwrap
from typing import Any

from pydantic import BaseModel

from seawall.ingest.feature_sets.catalogue import SETS
from seawall.pipeline.config import RunConfig

INTRODUCTION = """# Config reference

A config is a YAML mapping; `examples/pse.yaml` is a whole one with comments. Unknown keys are refused with the
nearest known one. Relative paths are taken from the current folder. This page is written from the models
(`make docs` checks it); *why* is the comment that stands beside the default in the source.

**SQL expressions** (`ingest.derived`, `features`, `universe`) are DuckDB SQL over the rows of one entity in order of
time. They may use the source's number columns, the time column, `adj_NAME` for each price (price / adjustment),
`adjustment`, and `OVER entity` with frames that end at the current row: `avg(x) OVER (entity ROWS 19 PRECEDING)`. An
expression whose value changes when later rows are removed is refused: it looks ahead. `drop_rows` rules see one row
at a time.
"""


def config_page() -> str:
    """Write the page as Markdown: a list of the sections, then a table for each part of each section."""
    schema = RunConfig.model_json_schema()
    definitions, reasons = schema["$defs"], _reasons()
    groups = _groups(schema)
    contents = ["## Sections\n", "- [the whole config](#the-whole-config)"]
    parts = ["## The whole config\n", _table("RunConfig", schema, reasons)]
    for section, names in groups.items():
        contents.append(f"- [{section}](#{section}): " + ", ".join(f"[{name}](#{name.lower()})" for name in names))
        parts.append(f"## {section}\n")
        parts += [f"### {name}\n\n{_table(name, definitions[name], reasons)}" for name in names]
    return "\n".join([INTRODUCTION, *contents, "", *parts])


def _groups(schema: dict[str, Any]) -> dict[str, list[str]]:
    """List the parts of each section in the order a reader meets them; one that several share stands with the first."""
    definitions, seen = schema["$defs"], set()
    groups: dict[str, list[str]] = {}
    for section, field in schema["properties"].items():
        waiting, found = _references(field), []
        while waiting:
            name = waiting.pop(0)
            if name not in seen:
                seen.add(name)
                found.append(name)
                waiting += _references(definitions[name])
        if found:
            groups[section] = found
    return groups


def _references(part: object) -> list[str]:
    """Find the names of definitions anywhere in a part of a schema, each once, in order."""
    if isinstance(part, dict):
        own = [part["$ref"].rsplit("/", 1)[1]] if isinstance(part.get("$ref"), str) else []
        return list(dict.fromkeys(own + [name for key in part if key != "$ref" for name in _references(part[key])]))
    if isinstance(part, list):
        return list(dict.fromkeys(name for one in part for name in _references(one)))
    return []


def _reasons() -> dict[tuple[str, str], str]:
    """Read the comment above each field: (class, field) to the reason of its default."""
    found: dict[tuple[str, str], str] = {}
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        for model in waiting.pop().__subclasses__():
            waiting.append(model)
            if model.__module__.startswith("seawall."):
                for base in reversed(model.__mro__):
                    if base.__module__.startswith("seawall."):
                        found |= {(model.__name__, field): reason for field, reason in _comments(base).items()}
    return found


def _comments(model: type) -> dict[str, str]:
    """Read the lines of comment directly above each annotated name of a class."""
    source = textwrap.dedent(inspect.getsource(model))
    lines, found = source.splitlines(), {}
    (definition,) = ast.parse(source).body
    for statement in definition.body if isinstance(definition, ast.ClassDef) else ():
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        number = statement.lineno - 2
        above: list[str] = []
        while lines[number].strip().startswith("#"):
            above.insert(0, lines[number].strip().removeprefix("#").strip())
            number -= 1
        if above:
            found[statement.target.id] = " ".join(above)
    return found


def feature_table(name: str) -> str:
    """Write the features of a set as a Markdown table: name, formula, meaning, source."""
    facts = SETS[name]
    lines = [f"Source: {facts.source}.\n", "| name | formula | meaning |", "| --- | --- | --- |"]
    for feature in facts.features:
        meaning = feature.meaning + (f" ({feature.source})" if feature.source else "")
        lines.append(f"| `{feature.name}` | `{feature.formula}` | {meaning} |")
    return "\n".join(lines) + "\n"


def _table(name: str, definition: dict[str, Any], reasons: dict[tuple[str, str], str]) -> str:
    required = set(definition.get("required", ()))
    about = definition.get("description", "").split("\n\n")[0].replace("\n", " ")
    lines = [f"{about}\n"] if about else []
    lines += ["| key | kind | default | meaning |", "| --- | --- | --- | --- |"]
    for key, field in definition.get("properties", {}).items():
        reason = reasons.get((name, key), "")
        meaning = "; ".join(part for part in (field.get("description", ""), _bounds(field)) if part)
        meaning += f" *Why: {reason}*" if reason else ""
        cells = (f"`{key}`", _kind(field), "required" if key in required else _default(field), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ").strip() for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return "none"
    default = field["default"]
    if isinstance(default, dict) and default:
        return "see there"
    return f"`{default}`" if default is not None else "none"


def _bounds(field: dict[str, Any]) -> str:
    """Say the bounds of a number, its own or those of the one number among its kinds."""
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    numbers = [option for option in (field, *field.get("anyOf", ())) if words.keys() & option.keys()]
    return ", ".join(f"{word} {numbers[0][key]}" for key, word in words.items() if key in numbers[0]) if numbers else ""


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = str(field["$ref"].rsplit("/", 1)[1])
        return f"[{name}](#{name.lower()})"
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
