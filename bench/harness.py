"""Time callables in turn, A B A B ..., and report medians and ratios, with memcpy and a Python loop as yardsticks."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timing:
    """CPU seconds of one method over its repetitions."""

    name: str
    seconds: list[float]

    @property
    def median(self) -> float:
        """Median CPU seconds."""
        return statistics.median(self.seconds)


def in_turn(methods: dict[str, Callable[[], object]], *, repeats: int) -> list[Timing]:
    """Run each method once to warm up, then all of them in turn ``repeats`` times; CPU seconds of this process."""
    for method in methods.values():
        method()
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            started = time.process_time()
            method()
            seconds[name].append(time.process_time() - started)
    return [Timing(name, taken) for name, taken in seconds.items()]


def show(title: str, timings: list[Timing], *, unit: str = "", amount: float = 0.0) -> None:
    """Print medians, the ratio to the first method, and the rate where an amount is given."""
    print(f"\n{title}")
    first = timings[0].median
    for timing in timings:
        rate = f"  {amount / timing.median:14,.0f} {unit}/s" if amount else ""
        low, high = min(timing.seconds), max(timing.seconds)
        print(
            f"  {timing.name:<34} {timing.median:9.4f} s CPU ({low:.4f}-{high:.4f})"
            f"  x {timing.median / first:6.2f}{rate}"
        )


def yardsticks() -> list[Timing]:
    """Time a 256 MiB memcpy on one thread and a Python loop of a million additions: what this machine is worth now."""
    source, target = np.ones(2**25), np.empty(2**25)

    def copy() -> None:
        np.copyto(target, source)

    def loop() -> int:
        total = 0
        for number in range(1_000_000):
            total += number
        return total

    return in_turn({"memcpy 256 MiB": copy, "python loop, 1 M additions": loop}, repeats=5)
