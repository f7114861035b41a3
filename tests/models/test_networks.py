"""What holds for every network: shapes, no look-ahead within a lookback, no sight of other samples, honest counts."""

import pytest
import torch
from torch import Tensor

from seawall.models.measure import peak_bytes
from seawall.models.registry import build_model
from tests.models.networks import KINDS, called, config_of, network, shape_of


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_gives_one_value_a_sample_and_output_or_one_a_step_too(kind: str) -> None:
    inputs = called(7, 5)

    assert network(kind, 2)(*inputs).shape == (7, 2)
    assert network(kind, 2, output="sequence")(*inputs).shape == (7, 5, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [0, 3, 7])
def test_changing_later_steps_changes_no_bit_of_earlier_outputs(kind: str, step: int) -> None:
    built = network(kind, 2, output="sequence")
    x_BLF, static_BS, entity_B = called()
    changed = x_BLF.clone()
    changed[:, step + 1 :] = 5 * torch.randn_like(changed[:, step + 1 :])

    ours, theirs = built(x_BLF, static_BS, entity_B), built(changed, static_BS, entity_B)

    assert torch.equal(ours[:, : step + 1], theirs[:, : step + 1])
    assert (ours[:, step + 1 :] != theirs[:, step + 1 :]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_gradient_of_an_output_reaches_a_later_step_and_some_reaches_every_earlier_one(kind: str) -> None:
    built = network(kind, output="sequence")
    x_BLF, static_BS, entity_B = called()
    x_BLF.requires_grad_()

    built(x_BLF, static_BS, entity_B)[:, 4].sum().backward()

    assert x_BLF.grad is not None
    reach = x_BLF.grad.abs().sum(dim=(0, 2))
    assert (reach[:5] > 0).all()
    assert (reach[5:] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_step_of_a_sequence_is_what_the_same_weights_give_for_the_last_step(kind: str) -> None:
    last, sequence = network(kind), network(kind, output="sequence")
    sequence.load_state_dict(last.state_dict())
    inputs = called()

    torch.testing.assert_close(sequence(*inputs)[:, -1], last(*inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_does_not_depend_on_the_other_samples_of_its_batch(kind: str) -> None:
    built = network(kind)
    ours, theirs = called(seed=1), called(seed=2)
    mixed = tuple(torch.cat([mine[:1], other[1:]]) for mine, other in zip(ours, theirs, strict=True))

    assert torch.equal(built(*ours)[0], built(*mixed)[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("output", ["last", "sequence"])
def test_a_new_network_predicts_the_mean_of_the_scaled_target(kind: str, output: str) -> None:
    built = build_model(config_of(kind, output=output), shape_of())

    assert not built(*called()).any()


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_acts_in_training_only(kind: str) -> None:
    built, inputs = network(kind, dropout=0.5), called()

    assert torch.equal(built(*inputs), built(*inputs))
    built.train()
    assert not torch.equal(built(*inputs), built(*inputs))


def outputs(kind: str, inputs: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    predicted: Tensor = network(kind)(*inputs)
    return predicted


def test_static_attributes_matter_to_a_network_with_a_branch_for_them_and_to_no_other() -> None:
    x_BLF, static_BS, entity_B = called()

    for kind in KINDS:
        same = torch.equal(outputs(kind, (x_BLF, static_BS, entity_B)), outputs(kind, (x_BLF, static_BS + 1, entity_B)))
        assert same == (kind != "branch_lstm")


def test_a_network_with_a_branch_says_what_it_misses() -> None:
    with pytest.raises(ValueError, match="called with static attributes"):
        network("branch_lstm")(called()[0])


def test_the_entity_matters_to_a_network_with_an_embedding_and_an_unknown_one_adds_nothing() -> None:
    x_BLF, static_BS, _ = called(1)
    unknown, first, second = (torch.full((1,), number) for number in (0, 1, 2))

    known = [outputs("tcn_attention", (x_BLF, static_BS, entity)) for entity in (unknown, first, second)]

    assert len({value.item() for value in known}) == 3
    nameless = network("tcn_attention")(x_BLF)
    assert torch.equal(known[0], nameless)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("choices", [{}, {"hidden_size": 8, "output": "sequence"}, {"hidden_size": 64}])
@pytest.mark.parametrize("sizes", [(3, 1), (12, 20)])
def test_the_plan_counts_the_weights_there_are(kind: str, choices: dict[str, object], sizes: tuple[int, int]) -> None:
    config, shape = config_of(kind, **choices), shape_of(*sizes)

    built = build_model(config, shape)

    assert sum(parameter.numel() for parameter in built.parameters()) == config.num_parameters(shape)


def deeper(kind: str) -> dict[str, object]:
    return {"num_blocks": 6, "kernel_size": 2} if kind == "tcn_attention" else {"num_layers": 3}


@pytest.mark.parametrize("kind", ["lstm", "lstm_attention", "branch_lstm"])
@pytest.mark.parametrize("hidden_size", [4, 16, 64])
@pytest.mark.parametrize("num_features", [64, 200, 400])
def test_the_plan_of_an_lstm_fits_wide_tables_too(kind: str, hidden_size: int, num_features: int) -> None:
    config, shape = config_of(kind, hidden_size=hidden_size), shape_of(num_features, 1)

    measured = peak_bytes(build_model(config, shape), called(64, 20, num_features), training=True)

    planned = config.activation_bytes(64, 20, shape, training=True) + 4 * config.num_parameters(shape)
    assert measured <= planned <= 1.25 * measured


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("output", ["last", "sequence"])
@pytest.mark.parametrize("place", [(128, 20, 12), (64, 60, 32), (2, 500, 6)])
@pytest.mark.parametrize("hidden_size", [4, 64])
def test_the_plan_bounds_what_a_step_of_training_holds_and_is_not_fat(
    kind: str, output: str, place: tuple[int, int, int], hidden_size: int
) -> None:
    num_samples, num_steps, num_features = place
    shape = shape_of(num_features, 20 if output == "sequence" else 1)
    inputs = called(num_samples, num_steps, num_features)

    for more in ({}, deeper(kind)):
        config = config_of(kind, output=output, hidden_size=hidden_size, **more)
        built = build_model(config, shape)

        measured = peak_bytes(built, inputs, training=True)
        planned = config.activation_bytes(num_samples, num_steps, shape, training=True)
        weights = 4 * config.num_parameters(shape)
        assert planned + weights >= measured  # gradients of weights are claimed beside activations
        assert planned <= 1.5 * measured
        judged = peak_bytes(built, inputs, training=False)
        assert config.activation_bytes(num_samples, num_steps, shape, training=False) >= judged
