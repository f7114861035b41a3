"""The models there are, by the name a config calls them."""

from collections.abc import Callable

from torch import nn

from seawall.errors import ConfigError, nearest
from seawall.models.config import ModelConfig
from seawall.models.lstm_attention import LstmAttention

MODELS: dict[str, Callable[[ModelConfig, int, int], nn.Module]] = {"lstm_attention": LstmAttention}


def build_model(config: ModelConfig, num_features: int, num_outputs: int) -> nn.Module:
    """Build a model with fresh weights drawn from torch's generator.

    Raises
    ------
    ConfigError
        For a kind that is not registered, naming the nearest ones.
    """
    if config.kind not in MODELS:
        raise ConfigError("model.kind", "unknown model", found=repr(config.kind), do=nearest(config.kind, MODELS))
    return MODELS[config.kind](config, num_features, num_outputs)
