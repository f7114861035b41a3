"""Models are found by name, and a wrong name gets the nearest one."""

import pytest

from seawall.errors import ConfigError
from seawall.models.config import LstmAttentionConfig
from seawall.models.lstm_attention import LstmAttention
from seawall.models.registry import build_model


def test_a_config_gives_its_model() -> None:
    model = build_model(LstmAttentionConfig(hidden_size=4), 3, 1)

    assert isinstance(model, LstmAttention)


def test_an_unknown_kind_names_the_nearest_one() -> None:
    config = LstmAttentionConfig.model_construct(kind="lstm_atention")  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=r"unknown model, found 'lstm_atention'\. Did you mean 'lstm_attention'\?"):
        build_model(config, 3, 1)
