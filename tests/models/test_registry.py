"""Models are found by name, and a wrong name gets the nearest one."""

import pytest

from seawall.errors import ConfigError
from seawall.models.config import KINDS, LstmAttentionConfig
from seawall.models.lstm_attention import LstmAttention
from seawall.models.registry import MODELS, build_model
from seawall.models.shape import ModelShape


def test_a_config_gives_its_model() -> None:
    model = build_model(LstmAttentionConfig(hidden_size=4), ModelShape(num_features=3))

    assert isinstance(model, LstmAttention)


def test_an_unknown_kind_names_the_nearest_one() -> None:
    config = LstmAttentionConfig.model_construct(kind="lstm_atention")  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=r"unknown model, found 'lstm_atention'\. Did you mean 'lstm_attention'"):
        build_model(config, ModelShape(num_features=3))


def test_the_config_knows_every_model_there_is() -> None:
    assert set(MODELS) == set(KINDS)
