"""Torch settings a stage needs to be repeatable, put back when it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.utils.deterministic

from seawall.errors import ConfigError

_FILL: Any = torch.utils.deterministic
"""Its switch is a property of the module itself, which type checkers cannot see."""


def resolve_device(asked: str) -> torch.device:
    """Choose the device: ``auto`` takes a GPU where there is one.

    Raises
    ------
    ConfigError
        Where a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise ConfigError("train.device", "no GPU can be used here", found="'cuda'", allowed="'cpu' or 'auto'")
    return torch.device("cuda" if available and asked != "cpu" else "cpu")


def check_precision(precision: str, device: torch.device) -> None:
    """Raise where the device cannot learn in this precision.

    Raises
    ------
    ConfigError
        For fp16 on a processor, which has no recurrent layers of it.
    """
    if precision == "fp16" and device.type == "cpu":
        allowed = "float32 or bf16"
        raise ConfigError("train.precision", "fp16 needs a GPU", found="'fp16' on a CPU", allowed=allowed)


@contextmanager
def repeatable(device: torch.device, *, threads: int, seed: int) -> Iterator[None]:
    """Fix threads, algorithms and random draws for a block of work.

    On a CPU the same inputs then give the same bits on the same machine and torch version. On a GPU they need not: the
    fast recurrent kernels have no repeatable form.
    """
    threads_before, mode_before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fill_before = _FILL.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_num_threads(threads)
        # Not use_deterministic_algorithms, which does the same and imports the compiler: 70 MiB.
        torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "default")
        # Filling new tensors before they are written costs 12 % of a step and guards only code that reads them unset.
        _FILL.fill_uninitialized_memory = False
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.set_deterministic_debug_mode(mode_before)
            _FILL.fill_uninitialized_memory = fill_before


def random_state(device: torch.device) -> list[torch.Tensor]:
    """Take the state of the generators that dropout draws from."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def restore_random_state(states: list[torch.Tensor], device: torch.device) -> None:
    """Put generators back where :func:`random_state` found them."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
