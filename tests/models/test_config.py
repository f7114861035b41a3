"""A model is chosen by one word; what is misspelt is refused with the nearest name, at its place in the file."""

import jsonschema
import pytest

from seawall.errors import ConfigError
from seawall.models.config import KINDS
from seawall.pipeline.config import parse_config
from seawall.train.config import TrainConfig

FOLDS = {"train": 10, "valid": 5, "test": 5}


def chosen(model: object) -> TrainConfig:
    values = {"output": "/tmp/run", "panel": "/tmp/p.panel", "train": {"target": "y", "folds": FOLDS, "model": model}}
    config = parse_config(values, "run.yaml").train
    assert config is not None
    return config


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("branch_lstm", "module")])
def test_a_bare_name_is_the_model_with_its_defaults(kind: str) -> None:
    assert chosen(kind).model == chosen({"kind": kind}).model
    assert chosen(kind).model.kind == kind


def test_a_model_without_a_kind_is_the_one_there_was_before_there_were_others() -> None:
    config = chosen({"hidden_size": 5})

    assert config.model.kind == "lstm_attention"
    assert config.semantic()["model"] == {"kind": "lstm_attention", "hidden_size": 5, "num_layers": 1, "dropout": 0.1}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("tcn_atention", r"train\.model: kind: unknown model 'tcn_atention'; did you mean 'tcn_attention'"),
        ({"kind": "lstmm"}, r"train\.model: kind: unknown model 'lstmm'; did you mean 'lstm'"),
        (3, r"train\.model: must be the name of a model, or a mapping with its kind"),
        (
            {"kind": "tcn_attention", "kernel": 3},
            r"train\.model\.kernel: unknown key, found 'kernel'\. Did you mean 'kernel_size'\?",
        ),
        (
            {"kind": "lstm", "hiden_size": 3},
            r"train\.model\.hiden_size: unknown key, found 'hiden_size'\. Did you mean 'hidden_size'\?",
        ),
        ({"kind": "ridge", "output": "sequence"}, r"train: model\.output: ridge predicts one value a sample"),
        ({"kind": "branch_lstm"}, r"train\.model\.static: this key is required"),
        ({"kind": "tcn_attention", "num_heads": 5}, r"train\.model: num_heads: 5 heads do not divide 32 channels"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_what_was_meant(model: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen(model)


@pytest.mark.parametrize(
    "model", [{}, {"hidden_size": 4}, {"kind": "lstm"}, {"kind": "branch_lstm", "static": ["area"]}]
)
def test_editors_tell_the_models_apart(model: dict[str, object]) -> None:
    judge = jsonschema.Draft202012Validator(TrainConfig.model_json_schema())

    assert judge.is_valid({"target": "y", "folds": FOLDS, "model": model})
    assert not judge.is_valid({"target": "y", "folds": FOLDS, "model": {**model, "hiden_size": 4}})
