"""Every accumulator, found by its methods: chunks, merges and states in any order give the exact answer."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seawall.metrics
from seawall.arrays import Float64, Int64
from seawall.metrics import ApproximateQuantiles, ExactQuantiles, GroupMoments, OutputMoments, PointwiseMoments

TOLERANCE = 1e-12
METHODS = ("update", "merge", "result", "state", "from_state")
IN_ORDER_OF_TIME = {"Decay", "HorizonDecay", "RankPersistence"}
"""They compare a date with the one before: parts of the dates cannot be merged, and they say so by having no merge."""

PROBABILITIES = (0.0, 0.01, 0.5, 0.977, 1.0)
NUM_GROUPS = 3


@dataclass(frozen=True)
class Data:
    """float64 pairs that float32 holds exactly, with a group each."""

    prediction: Float64
    target: Float64
    group: Int64

    def part(self, start: int, stop: int) -> "Data":
        return Data(self.prediction[start:stop], self.target[start:stop], self.group[start:stop])


Numbers = dict[str, tuple[float, float]]
"""Name: value and scale."""


def exact(data: Data) -> Numbers:
    """Everything by math.fsum over all pairs: the judge."""
    p, t, n = data.prediction.astype(np.longdouble), data.target.astype(np.longdouble), len(data.target)
    if n == 0:
        return {}
    mean_p, mean_t = (np.longdouble(math.fsum(values)) / n for values in (data.prediction, data.target))
    squares, spread = ((p - mean_p) ** 2).sum(), ((t - mean_t) ** 2).sum()
    products, error = ((p - mean_p) * (t - mean_t)).sum(), ((p - t) ** 2).sum()
    found: Numbers = {
        "n": (n, 0.0),
        "mse": (float(error / n), float(error / n)),
        "mae": (float(np.abs(p - t).sum() / n), float(np.abs(p - t).sum() / n)),
        "bias": (float(mean_p - mean_t), float(np.abs(t).mean())),
    }
    if spread > 0 and squares > 0:
        r, nse = products / np.sqrt(squares * spread), 1 - error / spread
        alpha, beta = np.sqrt(squares / spread), mean_p / mean_t if mean_t else np.nan
        kge = 1 - np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2)
        found |= {
            "pearson": (float(r), 1.0),
            "r2": (float(nse), max(1.0, abs(float(nse)))),
            "nse": (float(nse), max(1.0, abs(float(nse)))),
            "ccc": (float(2 * products / (squares + spread + n * (mean_p - mean_t) ** 2)), 1.0),
            "alpha": (float(alpha), float(alpha)),
        }
        if abs(mean_t) > 1e-3 * float(np.abs(t).mean()):  # beta divides by the mean
            found["kge"] = (float(kge), max(1.0, abs(float(kge))) * 1e3)
    return found


def of_moments(moments: PointwiseMoments, label: str = "") -> dict[str, float]:
    return {f"{label}{name}": value for name, value in (asdict(moments.agreement()) | asdict(moments.result())).items()}


@dataclass(frozen=True)
class Case:
    """How one accumulator is made, fed and judged."""

    make: Callable[[], Any]
    feed: Callable[[Any, Data], None]
    numbers: Callable[[Any], dict[str, float]]
    judge: Callable[[Data], Numbers]
    num_passes: int = 1
    check: Callable[[dict[str, float], Data], None] = lambda found, data: None
    """Of what is approximate by name: holds the numbers to the bound that is stated beside them."""


def assert_right(case: Case, whole: Any, data: Data) -> None:  # noqa: ANN401 - any accumulator
    found = case.numbers(whole)
    case.check(found, data)
    for number, (value, size) in case.judge(data).items():
        assert abs(found[number] - value) <= TOLERANCE * size, (number, found[number], value)


def _judge_outputs(data: Data) -> Numbers:
    swapped = Data(data.target, data.prediction, data.group)
    return {f"{k}:{n}": v for k, part in enumerate((data, swapped)) for n, v in exact(part).items()}


def _judge_groups(data: Data) -> Numbers:
    parts = {g: data.group == g for g in np.unique(data.group).tolist()}
    return {
        f"{g}:{name}": value
        for g, m in parts.items()
        for name, value in exact(Data(data.prediction[m], data.target[m], data.group[m])).items()
    }


def _judge_quantiles(data: Data) -> Numbers:
    if not len(data.target):
        return {}
    values = np.quantile(data.target, PROBABILITIES)
    return {f"q{p}": (float(v), max(abs(float(v)), 1e-30)) for p, v in zip(PROBABILITIES, values, strict=True)}


def _ranks_reached(quantiles: ApproximateQuantiles) -> dict[str, float]:
    """Give each quantile, and the stated bound of its rank: at a confidence that no seed of a test run will miss."""
    values = zip(PROBABILITIES, quantiles.result(), strict=True)
    return {f"q{p}": float(v) for p, v in values} | {"rank_error": quantiles.rank_error(1 - 1e-9)}


def _assert_ranks(found: dict[str, float], data: Data) -> None:
    ordered, n = np.sort(data.target), len(data.target)
    for probability in PROBABILITIES if n else ():
        value, room = found[f"q{probability}"], found["rank_error"] * n + 1e-9
        below, up_to = (int(np.searchsorted(ordered, value, side=side)) for side in ("left", "right"))
        assert below <= max(1.0, probability * n) + room, probability
        assert up_to >= probability * n - room, probability
    assert not n or (found["q0.0"], found["q1.0"]) == (ordered[0], ordered[-1])


CASES: dict[str, Case] = {
    "ApproximateQuantiles": Case(
        lambda: ApproximateQuantiles(PROBABILITIES, capacity=64),
        lambda a, d: a.update(d.target),
        _ranks_reached,
        lambda d: {},
        check=_assert_ranks,
    ),
    "PointwiseMoments": Case(PointwiseMoments, lambda a, d: a.update(d.prediction, d.target), of_moments, exact),
    "OutputMoments": Case(
        lambda: OutputMoments(2),
        lambda a, d: a.update(np.column_stack([d.prediction, d.target]), np.column_stack([d.target, d.prediction])),
        lambda a: {k: v for i, m in enumerate(a.outputs) for k, v in of_moments(m, f"{i}:").items()},
        _judge_outputs,
    ),
    "GroupMoments": Case(
        GroupMoments,
        lambda a, d: a.update(d.prediction, d.target, d.group),
        lambda a: {k: v for g, m in a.groups.items() for k, v in of_moments(m, f"{g}:").items()},
        _judge_groups,
    ),
    "ExactQuantiles": Case(
        lambda: ExactQuantiles(PROBABILITIES),
        lambda a, d: a.update(d.target.astype(np.float32)),
        lambda a: {f"q{p}": float(v) for p, v in zip(PROBABILITIES, a.result(), strict=True)},
        _judge_quantiles,
        num_passes=2,
    ),
}


def accumulators() -> set[str]:
    """Find every class of the public list that takes in more and more."""
    found = (name for name in seawall.metrics.__all__ if isinstance(getattr(seawall.metrics, name), type))
    return {name for name in found if hasattr(getattr(seawall.metrics, name), "update")}


def test_every_accumulator_is_held_to_this_suite() -> None:
    assert accumulators() - IN_ORDER_OF_TIME == set(CASES)
    for name in CASES:
        assert all(callable(getattr(getattr(seawall.metrics, name), method)) for method in METHODS), name
    for name in IN_ORDER_OF_TIME:
        assert not hasattr(getattr(seawall.metrics, name), "merge"), name


def make_data(n: int, offset: float, spread: float, seed: int) -> Data:
    rng = np.random.default_rng(seed)
    target = rng.standard_normal(n)
    prediction = 0.3 * target + rng.standard_normal(n)
    as_stored = ((offset + spread * values).astype(np.float32).astype(np.float64) for values in (prediction, target))
    return Data(next(as_stored), next(as_stored), rng.integers(0, NUM_GROUPS, n))


def accumulated(case: Case, data: Data, draw: Callable[[int, int], int]) -> Any:  # noqa: ANN401 - any accumulator
    """Feed chunks to accumulators of their own and merge them in any order; states cross as JSON on the way."""
    whole, n = case.make(), len(data.target)
    for number in range(case.num_passes):
        if number:
            whole.next_pass()
        start_state = json.dumps(whole.state())
        cuts = sorted(draw(0, n) for _ in range(draw(0, 6)))
        parts = []
        for start, stop in zip([0, *cuts], [*cuts, n], strict=True):
            part = type(whole).from_state(json.loads(start_state)) if number else case.make()
            case.feed(part, data.part(start, stop))
            parts.append(type(whole).from_state(json.loads(json.dumps(part.state()))))
        while len(parts) > 1:
            taken = parts.pop(draw(0, len(parts) - 1))
            parts[draw(0, len(parts) - 1)].merge(taken)
        whole = parts[0]
    return whole


@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 200),
    scale=st.sampled_from([(0.0, 1.0), (1000.0, 1.0), (-1e4, 0.5), (0.0, 0.02), (1.0, 1e4)]),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_any_chunks_merges_and_states_give_the_exact_answer(
    name: str, n: int, scale: tuple[float, float], seed: int, data: st.DataObject
) -> None:
    case, pairs = CASES[name], make_data(n, *scale, seed)
    whole = accumulated(case, pairs, lambda low, high: data.draw(st.integers(low, high)))
    assert_right(case, whole, pairs)


@pytest.mark.parametrize("name", sorted(CASES))
def test_at_mean_1000_and_deviation_1_no_digit_is_lost(name: str) -> None:
    case, pairs = CASES[name], make_data(100_000, 1000.0, 1.0, 7)
    rng = np.random.default_rng(0)
    whole = accumulated(case, pairs, lambda low, high: int(rng.integers(low, high + 1)))
    assert_right(case, whole, pairs)
    found = case.numbers(whole)
    if name == "PointwiseMoments":
        assert -1.0 < found["r2"] < -0.4  # where raw float32 sums give more than +1


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_merge_leaves_the_other_as_it_was_and_an_empty_one_changes_nothing(name: str) -> None:
    case, pairs = CASES[name], make_data(50, 0.0, 1.0, 1)
    one, other, empty = case.make(), case.make(), case.make()
    case.feed(one, pairs)
    case.feed(other, pairs)
    before = json.dumps(other.state())
    one.merge(empty)
    assert json.dumps(one.state()) == before
    one.merge(other)
    assert json.dumps(other.state()) == before
    empty.merge(other)
    assert json.dumps(empty.state()) == before


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_nan_is_left_out_with_its_pair(name: str) -> None:
    case, pairs = CASES[name], make_data(60, 0.0, 1.0, 2)
    holed = Data(pairs.prediction.copy(), pairs.target.copy(), pairs.group)
    holed.target[::7] = np.nan
    kept = ~np.isnan(holed.target)
    rng = np.random.default_rng(0)
    whole = accumulated(case, holed, lambda low, high: int(rng.integers(low, high + 1)))
    assert_right(case, whole, Data(pairs.prediction[kept], pairs.target[kept], pairs.group[kept]))


def test_an_infinite_value_makes_moments_nan_and_orders_as_a_quantile() -> None:
    moments = PointwiseMoments()
    moments.update([1.0, math.inf, 2.0], [1.0, 2.0, 3.0])
    result, agreement = moments.result(), moments.agreement()
    assert result.n == 3
    assert all(math.isnan(value) for value in (agreement.ccc, agreement.nse, agreement.kge, result.pearson))
    quantiles = ExactQuantiles([0.0, 0.5, 1.0])
    for _ in quantiles.passes():
        quantiles.update(np.array([-math.inf, -0.0, 5.0, math.inf, math.nan], np.float32))
    assert quantiles.result().tolist() == [-math.inf, 2.5, math.inf]
    assert quantiles.num_left_out == 1


def test_agreement_is_undefined_where_a_side_does_not_vary() -> None:
    moments = PointwiseMoments()
    moments.update([1.0, 2.0, 3.0], [5.0, 5.0, 5.0])
    found = moments.agreement()
    assert found.ccc == 0.0
    assert all(math.isnan(value) for value in (found.nse, found.kge, found.alpha))
    same = PointwiseMoments()
    same.update([5.0, 5.0], [5.0, 5.0])
    assert math.isnan(same.agreement().ccc)
    assert math.isnan(PointwiseMoments().agreement().kge)


def test_a_perfect_prediction_agrees_to_the_last_digit() -> None:
    target = make_data(500, 1000.0, 1.0, 5).target
    moments = PointwiseMoments()
    moments.update(target, target)
    assert moments.agreement() == type(moments.agreement())(500, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_exact_quantiles_refuse_what_they_cannot_be_exact_about() -> None:
    quantiles = ExactQuantiles([0.5])
    with pytest.raises(ValueError, match="float32"):
        quantiles.update([0.1])
    quantiles.update([0.5, 0.25])
    with pytest.raises(ValueError, match="second pass"):
        quantiles.result()
    quantiles.next_pass()
    quantiles.update([0.5])
    with pytest.raises(ValueError, match="second pass"):
        quantiles.result()
    with pytest.raises(ValueError, match="same pass"):
        quantiles.merge(ExactQuantiles([0.5]))
    with pytest.raises(ValueError, match="from 0 to 1"):
        ExactQuantiles([1.5])


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=60))
def test_exact_quantiles_of_any_floats_are_numpys(values: list[float]) -> None:
    quantiles = ExactQuantiles(PROBABILITIES)
    for _ in quantiles.passes():
        quantiles.update(np.array(values, np.float32))
    with np.errstate(invalid="ignore"):
        expected = np.quantile(np.array(values, np.float64), PROBABILITIES)
    finite = np.isfinite(expected)
    np.testing.assert_allclose(quantiles.result()[finite], expected[finite], rtol=1e-12, atol=0)


def test_quantiles_take_constant_memory_whatever_is_fed() -> None:
    quantiles = ExactQuantiles([0.01, 0.5])
    rng = np.random.default_rng(0)
    for _ in quantiles.passes():
        for _ in range(3):
            quantiles.update(rng.standard_normal(200_000).astype(np.float32))
    held = quantiles._upper.nbytes + sum(counts.nbytes for counts in (quantiles._lower or {}).values())
    assert held <= 512 * 1024 * 5


@pytest.mark.parametrize("jump", [0.0, 1e3, -1e6])
@pytest.mark.parametrize("odd", [None, math.nan, math.inf])
def test_long_arrays_with_a_jump_or_an_odd_value_are_those_of_their_pieces(jump: float, odd: float | None) -> None:
    """Long arrays take a faster path around the means seen so far; where those are far off, it must give way."""
    first, second = make_data(30_000, 0.0, 1.0, 3), make_data(70_000, jump, 1.0, 4)
    prediction = np.concatenate([first.prediction, second.prediction])
    target = np.concatenate([first.target, second.target])
    if odd is not None:
        prediction[[40_000, 90_000]] = odd
    whole, pieces = PointwiseMoments(), PointwiseMoments()
    whole.update(prediction, target)
    for start in range(0, len(target), 1000):
        pieces.update(prediction[start : start + 1000], target[start : start + 1000])
    found, other = of_moments(whole), of_moments(pieces)
    assert whole.num_left_out == pieces.num_left_out == (2 if odd is not None and math.isnan(odd) else 0)
    if odd == math.inf:
        assert math.isnan(found["mse"])
        assert math.isnan(found["pearson"])
        np.testing.assert_array_equal(np.isnan(list(found.values())), np.isnan(list(other.values())))
        return
    kept = ~np.isnan(prediction)
    judge = exact(Data(prediction[kept], target[kept], np.zeros(int(kept.sum()), np.int64)))
    for name, (value, size) in judge.items():
        assert abs(found[name] - value) <= TOLERANCE * size, name
        assert abs(other[name] - value) <= TOLERANCE * size, name
