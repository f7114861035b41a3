"""The models there are, by the name a config calls them."""

from collections.abc import Callable
from typing import Any

from torch import nn

from seawall.errors import ConfigError, nearest
from seawall.models.branch_lstm import BranchLstm
from seawall.models.lstm import Lstm
from seawall.models.lstm_attention import LstmAttention
from seawall.models.network_config import NetworkConfig
from seawall.models.ridge import Ridge
from seawall.models.shape import ModelShape
from seawall.models.tcn_attention import TcnAttention
from seawall.models.trees import Trees
from seawall.models.user_module import UserModule

MODELS: dict[str, Callable[[Any, ModelShape], nn.Module]] = {
    "lstm": Lstm,
    "lstm_attention": LstmAttention,
    "branch_lstm": BranchLstm,
    "tcn_attention": TcnAttention,
    "ridge": Ridge,
    "lightgbm": Trees,
    "module": UserModule,
}


def build_model(config: NetworkConfig, shape: ModelShape) -> nn.Module:
    """Build a model with fresh weights drawn from torch's generator.

    It is called with features float32 [B, L, F], static attributes float32 [B, S] or None, and numbers of entities
    int64 [B] or None; it gives float32 [B, K], or [B, L, K] where every step is predicted.

    Raises
    ------
    ConfigError
        For a kind that is not registered, naming the nearest ones.
    """
    kind = str(getattr(config, "kind", ""))
    if kind not in MODELS:
        raise ConfigError("model.kind", "unknown model", found=repr(kind), do=nearest(kind, MODELS))
    return MODELS[kind](config, shape)
