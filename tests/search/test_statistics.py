"""The tests of overfitting are calibrated on noise and see an edge; the gate seldom lets noise pass."""

import numpy as np
import pytest

from seawall.arrays import Float64
from seawall.search.bootstrap import draw_weights
from seawall.search.config import ValidationConfig
from seawall.search.deflated_sharpe import deflated_sharpe
from seawall.search.gate import Gate, judge
from seawall.search.pbo import NUM_GROUPS, overfitting
from seawall.search.reality_check import reality_check
from seawall.search.spa import superior_predictive_ability
from seawall.search.trials import Trials
from seawall.search.walkforward import walk_forward

CONFIG = ValidationConfig()
NUM_DRAWS = 300
FEW_GROUPS = 8
"""Of the doses; the slow tests take the groups of the product."""


def noise(seed: int, *, num_trials: int = 100, num_blocks: int = 64, edge: float = 0.0) -> Float64:
    """Profits of correlated trials without skill: exchangeable, cost-free; ``edge`` is added to the last ten."""
    rng = np.random.default_rng(seed)
    common, own = rng.standard_t(5, num_blocks), rng.standard_t(5, (num_trials, num_blocks))
    profits = np.sqrt(0.5) * common + np.sqrt(0.5) * own
    profits[-10:] += edge
    return np.asarray(profits)


def verdict(profits: Float64, seed: int, num_groups: int = FEW_GROUPS) -> tuple[float, Gate]:
    trials = Trials([profits])
    weights = draw_weights(profits.shape[1], NUM_DRAWS, CONFIG.mean_block, seed)
    p = reality_check(trials, weights)
    walk = walk_forward(trials, CONFIG.num_folds, 1)
    halves = overfitting(trials, num_groups=num_groups)
    return p, judge(p, sum(step.test_profit for step in walk), halves.loss_probability, CONFIG)


def rejected(num_sets: int, num_groups: int = FEW_GROUPS) -> tuple[float, float]:
    """Shares of seeded noise sets at which the reality check rejects at 5 %, and that pass the gate."""
    found = [verdict(noise(seed), seed, num_groups) for seed in range(num_sets)]
    return float(np.mean([p <= 0.05 for p, _ in found])), float(np.mean([gate.passed for _, gate in found]))


def test_a_dose_of_noise_is_rejected_at_about_its_level_and_does_not_pass_the_gate() -> None:
    size, passed = rejected(60)

    assert size <= 0.15
    assert passed <= 0.07


@pytest.mark.slow
def test_the_reality_check_rejects_3_to_8_per_cent_of_noise_and_the_gate_passes_at_most_5() -> None:
    size, passed = rejected(400, NUM_GROUPS)
    print(f"reality check rejects {size:.1%}, gate passes {passed:.1%}")

    assert 0.03 <= size <= 0.08
    assert passed <= 0.05


def mean_pbo(num_sets: int, num_groups: int = FEW_GROUPS) -> float:
    """Mean over seeded sets of independent trials with one distribution."""
    draws = (np.random.default_rng(10_000 + seed).normal(size=(40, 64)) for seed in range(num_sets))
    return float(np.mean([overfitting(Trials([profits]), num_groups=num_groups).pbo for profits in draws]))


def test_a_dose_of_exchangeable_noise_has_a_pbo_near_one_half() -> None:
    assert 0.4 <= mean_pbo(80) <= 0.6


@pytest.mark.slow
def test_mean_pbo_of_1000_noise_sets_is_one_half() -> None:
    mean = mean_pbo(1000, NUM_GROUPS)
    print(f"mean PBO {mean:.3f}")

    assert 0.45 <= mean <= 0.55


def test_an_injected_edge_is_found_and_passes_the_gate() -> None:
    for seed in range(5):
        p, gate = verdict(noise(seed, edge=1.2), seed)
        assert p <= 0.01
        assert gate.passed


def test_trials_that_all_lose_have_a_low_pbo_or_a_high_one_but_never_pass() -> None:
    profits = noise(1) - np.linspace(0.5, 3.0, 100)[:, None]
    p, gate = verdict(profits, 1)

    assert overfitting(Trials([profits]), num_groups=8).pbo < 0.3, "bad alike: the least bad stays the least bad"
    assert p > 0.5
    assert not gate.passed


def test_results_do_not_depend_on_how_trials_are_stored() -> None:
    profits = noise(7, num_trials=1500)
    weights = draw_weights(64, 100, 2.0, 0)
    whole, parts = Trials([profits]), Trials([profits[:700], profits[700:]])

    for test in (reality_check, superior_predictive_ability):
        assert test(whole, weights) == test(parts, weights)
    assert overfitting(whole, num_groups=8) == overfitting(parts, num_groups=8)
    assert walk_forward(whole, 8, 2) == walk_forward(parts, 8, 2)
    assert np.array_equal(whole.row(1200), parts.row(1200))


def test_pbo_equals_a_count_by_hand() -> None:
    """The plain way: every split one by one, ranks by sorting."""
    from itertools import combinations

    profits = noise(3, num_trials=7, num_blocks=16)
    groups = profits.reshape(7, 4, 4).sum(axis=2)
    low, lost, total = 0, 0, 0
    for chosen in combinations(range(4), 2):
        rest = [g for g in range(4) if g not in chosen]
        inside, outside = groups[:, list(chosen)].sum(axis=1), groups[:, rest].sum(axis=1)
        winner = int(np.argmax(inside))
        rank = sorted(outside.tolist()).index(outside[winner]) + 1
        low, lost, total = low + (rank / 8 <= 0.5), lost + (outside[winner] < 0), total + 1
    found = overfitting(Trials([profits]), num_groups=4)

    assert (found.pbo, found.loss_probability, found.num_splits) == (low / total, lost / total, total)


def test_the_future_changes_no_earlier_step_of_the_walk_forward() -> None:
    profits = noise(5)
    before = walk_forward(Trials([profits]), 8, 2)
    changed = profits.copy()
    changed[:, 40:] = noise(6)[:, 40:] * 10
    after = walk_forward(Trials([changed]), 8, 2)

    assert [step for step in before if step.test_stop <= 40] == [step for step in after if step.test_stop <= 40]
    assert before != after
    assert all(step.test_start - step.train_stop == 2 for step in before)


def test_the_deflated_sharpe_of_noise_is_low_and_counts_effective_trials() -> None:
    profits = noise(2)
    trials = Trials([profits])
    best = trials.row(int(np.argmax(trials.totals())))
    found = deflated_sharpe(trials, best)

    assert 1 < found.effective_trials < 20, "half of the variance is common"
    assert found.deflated_all < found.deflated_effective < 0.99
    assert np.isnan(deflated_sharpe(Trials([np.zeros((3, 16))]), np.zeros(16)).deflated_all)


def test_undefined_tests_do_not_pass_the_gate() -> None:
    gate = judge(float("nan"), float("nan"), float("nan"), CONFIG)

    assert not gate.passed
    assert [condition.value for condition in gate.conditions] == [None, None, None]
