"""All networks at small sizes, and what they are called with."""

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from seawall.models.config import ModelConfig
from seawall.models.network_config import NetworkConfig
from seawall.models.registry import build_model
from seawall.models.shape import ModelShape

KINDS = ("lstm", "lstm_attention", "branch_lstm", "tcn_attention")

NUM_FEATURES, NUM_STATIC, NUM_ENTITIES = 3, 2, 5

Called = tuple[Tensor, Tensor, Tensor]


def config_of(kind: str, **choices: object) -> NetworkConfig:
    static = {"static": ["area", "slope"]} if kind == "branch_lstm" else {}
    config: NetworkConfig = TypeAdapter(ModelConfig).validate_python({"kind": kind, **static, **choices})
    return config


def shape_of(num_features: int = NUM_FEATURES, num_outputs: int = 1) -> ModelShape:
    return ModelShape(
        num_features=num_features, num_outputs=num_outputs, num_static=NUM_STATIC, num_entities=NUM_ENTITIES
    )


def network(kind: str, num_outputs: int = 1, **choices: object) -> nn.Module:
    """Build a network with weights of a fixed seed whose head says something; no dropout acts."""
    torch.manual_seed(0)
    built = build_model(config_of(kind, **choices), shape_of(num_outputs=num_outputs)).eval()
    for name, parameter in built.named_parameters():
        if name.startswith("head"):
            nn.init.normal_(parameter)
    return built


def called(num_samples: int = 6, num_steps: int = 9, num_features: int = NUM_FEATURES, *, seed: int = 1) -> Called:
    drawn = torch.Generator().manual_seed(seed)
    return (
        torch.randn(num_samples, num_steps, num_features, generator=drawn),
        torch.randn(num_samples, NUM_STATIC, generator=drawn),
        torch.randint(0, NUM_ENTITIES + 1, (num_samples,), generator=drawn),
    )
