"""The schema that editors read accepts what the models accept, and marks what they refuse."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from seawall.pipeline.config import parse_config
from seawall.pipeline.schema import config_schema, schema_text

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def mistakes(config: dict[str, Any], *, search_only: bool = False) -> list[str]:
    judge = jsonschema.Draft202012Validator(config_schema(search_only=search_only))
    return [error.message for error in judge.iter_errors(config)]


def demo() -> dict[str, Any]:
    text = files("seawall.datasets").joinpath("pse_equities", "demo.yaml").read_text(encoding="utf-8")
    return {"output": "runs/demo", **yaml.safe_load(text)}


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(config_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_passes_and_names_the_schema(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert named in ("seawall.schema.json", "search.schema.json")
    assert mistakes(yaml.safe_load(text), search_only=named.startswith("search")) == []


def test_the_demo_passes() -> None:
    assert mistakes(demo()) == []


@pytest.mark.parametrize(
    ("section", "key"), [("", "inqest"), ("ingest", "entitty"), ("train", "lookback"), ("backtest", "cost")]
)
def test_a_misspelt_key_is_marked(section: str, key: str) -> None:
    config = demo()
    (config[section] if section else config)[key] = 1
    assert any(key in message for message in mistakes(config))


def test_a_bare_model_name_and_several_targets_in_place_of_one_pass() -> None:
    config = demo()
    config["train"] |= {"model": "ridge", "targets": [config["train"].pop("target")]}
    assert mistakes(config) == []
    parse_config(config, "test")
    config["train"]["model"] = "rigde"
    assert any("rigde" in message for message in mistakes(config))
    del config["train"]["model"], config["train"]["targets"]
    assert mistakes(config)


def test_missing_costs_are_marked() -> None:
    config = demo()
    del config["backtest"]["cost_bps"]
    assert mistakes(config)


@pytest.mark.parametrize("name", ["seawall", "search"])
def test_the_schemas_beside_the_examples_are_those_of_the_models(name: str) -> None:
    beside = (ROOT / "examples" / f"{name}.schema.json").read_text(encoding="utf-8")
    assert beside == schema_text(search_only=name == "search"), "write it again with seawall schema --output"
    assert json.loads(beside)["$schema"].startswith("https://json-schema.org/")
