from pathlib import Path
from typing import Any

import pytest
import yaml

from seawall.errors import ConfigError
from seawall.pipeline.config import config_text, load_config, parse_config
from tests.pipeline.world import config

COMBINATORIAL = {"kind": "combinatorial", "num_groups": 4, "num_test_groups": 2, "valid": 5}


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return config(tmp_path / "market.csv", tmp_path / "out")


def test_a_whole_config_survives_being_written_and_read_again(settings: dict[str, Any], tmp_path: Path) -> None:
    checked = parse_config(settings, "here")

    again = load_config(written(tmp_path, config_text(checked)))

    assert again == checked


@pytest.mark.parametrize(
    ("place", "wrong", "expected"),
    [
        (("train",), {"max_epoch": 3}, r"train\.max_epoch: unknown key, found 'max_epoch'\. Did you mean 'max_epochs'"),
        (("ingest",), {"entty": "x"}, r"ingest\.entty: unknown key.*'entity'"),
        (("backtest",), {"cost_bp": 3}, r"backtest\.cost_bp: unknown key.*'cost_bps'"),
        ((), {"ingets": {}}, r"ingets: unknown key.*'ingest'"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(
    settings: dict[str, Any], place: tuple[str, ...], wrong: dict[str, Any], expected: str
) -> None:
    section = settings
    for key in place:
        section = section[key]
    section.update(wrong)

    with pytest.raises(ConfigError, match=expected):
        parse_config(settings, "config.yaml")


def test_money_has_no_hidden_default(settings: dict[str, Any]) -> None:
    for name in ("cost_bps", "slippage_bps", "delay_periods", "trade_price"):
        without = {**settings, "backtest": {k: v for k, v in settings["backtest"].items() if k != name}}

        with pytest.raises(ConfigError, match=rf"backtest\.{name}: this key is required"):
            parse_config(without, "config.yaml")


def test_a_delay_of_zero_is_refused_with_the_reason(settings: dict[str, Any]) -> None:
    settings["backtest"]["delay_periods"] = 0

    with pytest.raises(ConfigError, match="must be at least 1: the prediction of a date uses that date's prices"):
        parse_config(settings, "config.yaml")


def test_a_target_on_a_column_that_is_no_price_is_refused(settings: dict[str, Any]) -> None:
    settings["ingest"]["targets"]["fwd"]["forward_return"]["column"] = "value"

    with pytest.raises(ConfigError, match="'value' is not one of prices"):
        parse_config(settings, "config.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2", "line 2: not valid YAML|line 1: not valid YAML"),
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("name: a\nname: b\noutput: c\n", "the key 'name' occurs twice"),
        ("- 1\n- 2\n", "a config is a mapping of sections, found list"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("[" * 3000, "not valid YAML"),
    ],
)
def test_yaml_that_is_wrong_or_hostile_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_config(written(tmp_path, text))


def test_a_missing_config_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the config cannot be read, found No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_config_of_a_megabyte_is_not_parsed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too large for a config"):
        load_config(written(tmp_path, "# " + "x" * 2**20))


def test_the_shipped_configs_are_valid_and_alike() -> None:
    root = Path(__file__).parents[2]
    demo = root / "src/seawall/datasets/pse_equities/demo.yaml"
    example = root / "examples/pse.yaml"

    loaded = [yaml.safe_load(path.read_text()) for path in (demo, example)]

    assert load_config(demo).ingest == load_config(example).ingest
    assert loaded[0] | {"output": ""} == loaded[1] | {"output": ""}


@pytest.mark.parametrize(
    ("section", "change", "expected"),
    [
        ("train", {"target": "fdw"}, "train.target: 'fdw' is not made by ingest; did you mean 'fwd'"),
        (
            "train",
            {"features": ["ret_1", "ret_55"]},
            "train.features: 'ret_55' is not made by ingest; did you mean 'ret_5'",
        ),
        ("backtest", {"trade_price": "clsoe"}, "'clsoe' is not made by ingest; did you mean 'close'"),
        ("join", {"prices": ["open"]}, "join.prices: 'open' is not made by ingest"),
    ],
)
def test_a_name_no_stage_makes_is_refused_before_the_first_stage(
    settings: dict[str, Any], section: str, change: dict[str, Any], expected: str
) -> None:
    changed = {**settings, section: {**settings.get(section, {}), **change}}

    with pytest.raises(ConfigError, match=expected):
        parse_config(changed, "config.yaml")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "../../evil"}, "name: must be one line without /"),
        ({"name": "two\nlines"}, "name: must be one line without /"),
        ({"name": "é" * 120}, "name: a name in this path is longer than 200 bytes"),
        ({"output": "a\0b"}, "output: a path cannot hold a null character"),
        ({"output": "x" * 300}, "output: a name in this path is longer than 200 bytes"),
        ({"panel": "x" * 300}, "panel: a name in this path is longer than 200 bytes"),
        ({"output": "caf\udce9"}, "a name or path is not valid Unicode, found .*surrogates not allowed"),
        ({"train": None}, "backtest: needs a train section"),
        (
            {"train": {"target": "fwd", "folds": COMBINATORIAL}},
            "backtest: predictions of combinatorial folds are 3 paths",
        ),
    ],
)
def test_names_that_cannot_be_files_and_sections_without_their_inputs_are_refused(
    settings: dict[str, Any], change: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_config({**settings, **change}, "config.yaml")
