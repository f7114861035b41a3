"""The model sees the lookback of its own sample and nothing else."""

import pytest
import torch

from seawall.models.config import LstmAttentionConfig
from seawall.models.lstm_attention import LstmAttention
from seawall.models.shape import ModelShape


def built(num_outputs: int = 1, **choices: object) -> LstmAttention:
    torch.manual_seed(0)
    model = LstmAttention(
        LstmAttentionConfig.model_validate(choices), ModelShape(num_features=3, num_outputs=num_outputs)
    ).eval()
    torch.nn.init.normal_(model.head.weight)
    return model


@pytest.mark.parametrize("num_layers", [1, 2])
def test_one_value_per_sample_and_output(num_layers: int) -> None:
    assert built(2, num_layers=num_layers)(torch.randn(7, 5, 3)).shape == (7, 2)


def test_a_prediction_does_not_depend_on_the_other_samples_of_its_batch() -> None:
    model, x = built(), torch.randn(6, 5, 3)
    changed = x.clone()
    changed[1:] = torch.randn(5, 5, 3)

    assert torch.equal(model(x)[0], model(changed)[0])


def test_every_step_of_the_lookback_matters() -> None:
    model = built()
    x = torch.randn(1, 5, 3, requires_grad=True)

    model(x).sum().backward()

    assert x.grad is not None
    assert (x.grad.abs().sum(dim=2) > 0).all()


def test_a_new_model_predicts_the_mean_of_the_scaled_target() -> None:
    model = LstmAttention(LstmAttentionConfig(), ModelShape(num_features=3))

    assert torch.equal(model(torch.randn(4, 5, 3)), torch.zeros(4, 1))


def test_dropout_acts_in_training_only() -> None:
    model, x = built(dropout=0.5), torch.randn(4, 5, 3)

    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize(("hidden_size", "num_layers", "num_features", "num_outputs"), [(4, 1, 3, 1), (8, 3, 12, 2)])
def test_the_plan_counts_the_weights_there_are(
    hidden_size: int, num_layers: int, num_features: int, num_outputs: int
) -> None:
    config = LstmAttentionConfig(hidden_size=hidden_size, num_layers=num_layers)

    shape = ModelShape(num_features=num_features, num_outputs=num_outputs)
    model = LstmAttention(config, shape)

    assert sum(p.numel() for p in model.parameters()) == config.num_parameters(shape)
