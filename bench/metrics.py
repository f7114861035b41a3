"""Epoch-end metrics: exact sums over any number of pairs, beside reading the same arrays once, and torchmetrics."""

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np

from seawall.metrics import PointwiseMoments
from seawall.units import MIB, format_bytes

ARRAY_VALUES = 2**25
"""Values of each of the two arrays: 128 MiB each, far more than any cache; passed over as often as it takes."""

BATCH_VALUES = 16 * 500 * 20
"""Values of a batch of the training run whose epoch end ran out of memory."""


def metrics() -> None:
    """Tell the throughput on 67 million pairs; ``python -m bench metrics --values 1760000000`` is the whole epoch."""
    _measure(2 * ARRAY_VALUES)


def main(words: Sequence[str]) -> None:
    """Run with options."""
    parser = argparse.ArgumentParser(prog="bench metrics")
    parser.add_argument("--values", type=int, default=2 * ARRAY_VALUES, help="pairs in all")
    _measure(parser.parse_args(words).values)


def _measure(num_values: int) -> None:
    rng = np.random.default_rng(0)
    size = min(num_values, ARRAY_VALUES)
    target = rng.standard_normal(size, np.float32)
    prediction = np.float32(0.3) * target + rng.standard_normal(size, np.float32)
    num_passes = -(-num_values // size)
    moments = PointwiseMoments()

    def read_sum() -> None:
        prediction.sum()
        target.sum()

    def exact() -> None:
        for start in range(0, size, BATCH_VALUES):
            batch = slice(start, start + BATCH_VALUES)
            moments.update(prediction[batch], target[batch])

    methods: dict[str, Callable[[], None]] = {"read-sum of both arrays": read_sum, "exact metrics": exact}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(num_passes):
        for name, method in methods.items():
            started = time.process_time()
            method()
            seconds[name].append(time.process_time() - started)
    print(f"\nmetrics: {num_passes * size:,} pairs in batches of {BATCH_VALUES:,}; a pass is {size:,} pairs")
    for name, taken in seconds.items():
        print(f"  {name:<28} {statistics.median(taken):8.3f} s CPU a pass ({sum(taken):8.1f} s in all)")
    ratio = statistics.median(a / b for a, b in zip(*seconds.values(), strict=True))
    print(f"  throughput {ratio:.3f} x the read-sum (aim 0.15); torchmetrics, float32: {_torchmetrics(size):.3f} x")
    held, peak = _memory(prediction, target)
    state_bytes = len(json.dumps(moments.state()))
    print(f"  state {state_bytes:,} B as JSON; {format_bytes(held)} held, {format_bytes(peak)} at work (aim < 1 MiB)")
    if peak >= MIB:
        raise SystemExit("the state has grown over 1 MiB")
    print(f"  {moments.result()}")


def _memory(prediction: np.ndarray, target: np.ndarray) -> tuple[int, int]:
    """Give bytes held after, and at the worst moment of, a hundred batches."""
    tracemalloc.start()
    moments = PointwiseMoments()
    for start in range(0, 100 * BATCH_VALUES, BATCH_VALUES):
        moments.update(prediction[start : start + BATCH_VALUES], target[start : start + BATCH_VALUES])
    found = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found


def _torchmetrics(size: int) -> float:
    """Time torchmetrics' four metrics of the same kind against the read-sum, over one pass of an eighth of the size."""
    import torch
    from torchmetrics import MeanAbsoluteError, MeanSquaredError, PearsonCorrCoef, R2Score

    torch.set_num_threads(1)
    pair = [torch.from_numpy(np.ones(size // 8, np.float32) * k) + torch.rand(size // 8) for k in (1, 2)]
    collection = [MeanAbsoluteError(), MeanSquaredError(), PearsonCorrCoef(), R2Score()]
    started = time.process_time()
    for values in pair:
        values.numpy().sum()
    read = time.process_time() - started
    started = time.process_time()
    for prediction, target in zip(pair[0].split(BATCH_VALUES), pair[1].split(BATCH_VALUES), strict=True):
        for metric in collection:
            metric.update(prediction, target)
    return read / (time.process_time() - started)
