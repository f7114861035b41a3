"""What the last bits of a training depend on beside its config: library, processor, threads and processes."""

import platform
from pathlib import Path

import torch


def environment(*, world_size: int = 1) -> dict[str, str]:
    """Name everything that a resumed training must find unchanged to be called exact."""
    return {
        "torch": str(torch.__version__),
        "cpu": _cpu_model(),
        "threads": str(torch.get_num_threads()),
        "world_size": str(world_size),
    }


def changes(before: dict[str, str], now: dict[str, str]) -> dict[str, str]:
    """Describe what differs, as ``{"torch": "2.12.0 -> 2.13.0"}``; empty where a resume is exact."""
    names = sorted({*before, *now})
    return {name: f"{before.get(name)} -> {now.get(name)}" for name in names if before.get(name) != now.get(name)}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
