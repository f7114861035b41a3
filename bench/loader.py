"""The window stream beside other loaders: windows a second, and shuffle quality."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Self
from unittest.mock import patch

import numpy as np

from bench.panels import synthetic_panel
from seawall.stores.panel import Panel
from seawall.units import MIB
from seawall.windows import cutter
from seawall.windows.choose import Order
from seawall.windows.gather import Gather
from seawall.windows.samples import Samples, select_samples
from seawall.windows.scaling import Scaling
from seawall.windows.stream import Windows

LOOKBACK, BATCH, ROUNDS, PEER_ROUNDS = 60, 512, 5, 3
WINDOW_BYTES = LOOKBACK * 32 * 4
PEERS = ("qlib", "datasets", "litdata", "grain", "tensorstore", "lance")


@dataclass
class Rates:
    """Windows a second of one loader, by CPU and by wall, over rounds."""

    name: str
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


def loader() -> None:
    """Tell windows a second, 60 x 32 float32, batches of 512, warm store of 512 MB, in turn with torch's ways."""
    with tempfile.TemporaryDirectory() as folder:
        panel = synthetic_panel(Path(folder) / "x.panel", num_entities=2000, num_rows=2000, num_features=32)
        np.add.reduce(np.asarray(panel.features))
        rates = _in_turn(_loaders(panel), ROUNDS, _limit(panel, Path(folder)))
        _show(rates)
        _show_quality(panel)
        _show_wait(panel)


def loader_peers() -> None:
    """Put all of it in one table of one run: memcpy, C, ours, torch's ways, and whole libraries as they advise.

    Libraries run in processes of their own that wait between their turns; needs .venv-peers.
    """
    python = Path(".venv-peers/bin/python")
    if not python.exists():
        raise SystemExit("no .venv-peers here: run `make bench-peers`, which makes it")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        panel = synthetic_panel(Path(folder) / "x.panel", num_entities=2000, num_rows=2000, num_features=32)
        argv = [python, "bench/peers/loaders.py", panel.path / "seg-000000" / "features.npy", "2000"]
        peers = {name: opened.enter_context(_Peer([*argv, name])) for name in PEERS}
        _show(_in_turn(_loaders(panel), PEER_ROUNDS, _limit(panel, Path(folder)), peers))


class _Peer:
    """A library in a process of its own, ready to feed windows for some seconds whenever it is asked."""

    def __init__(self, argv: list[str | Path]) -> None:
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def time(self, rates: Rates) -> None:
        """Let it feed, and note how fast it was."""
        print("go", file=self._process.stdin, flush=True)
        told = json.loads(self._answer())
        rates.cpu.append(told["windows_per_cpu_second"])
        rates.wall.append(told["windows_per_second"])

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return line
        raise SystemExit(f"{self._process.args} ended")


def _loaders(panel: Panel) -> dict[str, tuple[Iterator[int], int]]:
    """Endless iterators of batch sizes, and how many batches of each to time."""
    samples = select_samples(panel, (0, panel.shape.num_dates), LOOKBACK)
    ours: list[tuple[str, Order, int | None]] = [
        ("shuffle", "shuffle", None),
        ("blocks, pool 16 MiB", "blocks", 16 * MIB),
        ("blocks, pool 64 MiB", "blocks", 64 * MIB),
        ("blocks, pool 256 MiB", "blocks", 256 * MIB),
        ("by_time", "by_time", None),
    ]
    found: dict[str, tuple[Iterator[int], int]] = {
        f"seawall, {name}": (_ours(panel, samples, order, pool), 800 if order == "by_time" else 2500)
        for name, order, pool in ours
    }
    scaling = Scaling(np.zeros(32, np.float32), np.full(32, 1.1, np.float32), 5.0)
    found["seawall, shuffle, scaled"] = (_ours(panel, samples, "shuffle", None, scaling), 1500)
    found["seawall, shuffle, scaled, NumPy"] = (_by_numpy(panel, samples, scaling), 500)
    found["seawall, shuffle, NumPy"] = (_by_numpy(panel, samples, None), 1500)
    source = np.asarray(panel.features)
    found["torch Dataset a sample, 0 workers"] = (_torch(source, samples, batched=False, num_workers=0), 150)
    found["torch Dataset a sample, 2 workers"] = (_torch(source, samples, batched=False, num_workers=2), 150)
    found["torch __getitems__, 0 workers"] = (_torch(source, samples, batched=True, num_workers=0), 600)
    found["torch __getitems__, 2 workers"] = (_torch(source, samples, batched=True, num_workers=2), 300)
    return found


def _by_numpy(panel: Panel, samples: Samples, scaling: Scaling | None) -> Iterator[int]:
    """Give what an installation without a C compiler gives; it is made now, not at the first batch."""
    with patch.object(cutter, "library", return_value=None):
        gather = Gather(panel, LOOKBACK, scaling=scaling)
    return _endless(Windows(gather, samples, batch_size=BATCH))


def _ours(
    panel: Panel, samples: Samples, order: Order, pool_bytes: int | None, scaling: Scaling | None = None
) -> Iterator[int]:
    gather = Gather(panel, LOOKBACK, scaling=scaling)
    return _endless(Windows(gather, samples, batch_size=BATCH, order=order, pool_bytes=pool_bytes))


def _endless(stream: Windows) -> Iterator[int]:
    while True:
        for batch in stream:
            yield len(batch)


def _torch(source: np.ndarray, samples: Samples, *, batched: bool, num_workers: int) -> Iterator[int]:
    import torch
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(1)
    rows, tensor = samples.rows(np.arange(samples.num_samples)) - (LOOKBACK - 1), torch.from_numpy(np.array(source))

    class PerSample(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, number: int) -> torch.Tensor:
            return tensor[rows[number] : rows[number] + LOOKBACK]

    class Batched(PerSample):
        def __getitems__(self, numbers: list[int]) -> torch.Tensor:
            starts = torch.from_numpy(rows[numbers])
            view = tensor.as_strided((len(tensor) - LOOKBACK + 1, LOOKBACK * 32), (32, 1))
            return torch.index_select(view, 0, starts).view(-1, LOOKBACK, 32)

    dataset = Batched() if batched else PerSample()
    collate = (lambda batch: batch) if batched else None
    while True:
        for batch in DataLoader(
            dataset, batch_size=BATCH, shuffle=True, num_workers=num_workers, collate_fn=collate, drop_last=True
        ):
            yield len(batch)


def _limit(panel: Panel, folder: Path) -> list[str | Path]:
    """Build the program that says what windows at random places cost in C; nothing where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return []
    program = folder / "window_limit"
    subprocess.run([compiler, "-O2", "-o", program, Path(__file__).parent / "window_limit.c"], check=True)
    return [program, panel.path / "seg-000000" / "features.npy", "1"]


def _in_turn(
    loaders: dict[str, tuple[Iterator[int], int]],
    rounds: int,
    limit: list[str | Path],
    peers: Mapping[str, _Peer] = MappingProxyType({}),
) -> list[Rates]:
    rates = {name: Rates(name) for name in (*loaders, *peers)}
    copies = Rates("memcpy, 256 MiB, in windows")
    in_c = [Rates("C, memcpy of each window"), Rates("C, the same with prefetch")] if limit else []
    for batches, _ in loaders.values():
        next(batches)
    for _ in range(rounds):
        _copy(copies)
        if limit:
            told = subprocess.run(limit, capture_output=True, text=True, check=True).stdout.split()
            for rate, value in zip(in_c, told[1:], strict=True):
                rate.cpu.append(float(value))
                rate.wall.append(float(value))
        for name, (batches, count) in loaders.items():
            _time(rates[name], batches, count)
        for name, peer in peers.items():
            peer.time(rates[name])
    return [copies, *in_c, *rates.values()]


def _copy(rates: Rates) -> None:
    source, target = np.ones(2**25), np.ones(2**25)
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(4):
        np.copyto(target, source)
    rates.cpu.append(4 * source.nbytes / WINDOW_BYTES / (time.process_time() - cpu))
    rates.wall.append(4 * source.nbytes / WINDOW_BYTES / (time.perf_counter() - started))


def _time(rates: Rates, batches: Iterator[int], num_batches: int) -> None:
    """Time an iterator that goes on; CPU is that of this process and its children that ended, so not of workers."""
    next(batches)
    started, cpu = time.perf_counter(), time.process_time()
    count = sum(next(batches) for _ in range(num_batches))
    rates.cpu.append(count / (time.process_time() - cpu))
    rates.wall.append(count / (time.perf_counter() - started))


def _show(rates: list[Rates]) -> None:
    first = rates[0]
    print(f"\nwindows of {LOOKBACK} x 32 float32 in batches of {BATCH}, warm: medians of {len(first.cpu)} and ratios")
    print(f"  {'loader':<36} {'windows / CPU s':>16} {'ratio':>7} {'windows / s':>14} {'ratio':>7}")
    for rate in rates:
        cpu, wall = median(rate.cpu), median(rate.wall)
        print(
            f"  {rate.name:<36} {cpu:>16,.0f} {cpu / median(first.cpu):>7.3f}"
            f" {wall:>14,.0f} {wall / median(first.wall):>7.3f}"
        )


def _show_quality(panel: Panel) -> None:
    """Tell what each order gives up of a global shuffle, for the very pools that were timed."""
    samples = select_samples(panel, (0, panel.shape.num_dates), LOOKBACK)
    print("\nshuffle quality, mean of 200 batches spread over an epoch")
    print(f"  {'order':<24} {'entities / batch':>16} {'overlapping pairs':>18} {'neighbours':>16} {'label spread':>13}")
    for name, order, pool in (
        ("shuffle", "shuffle", None),
        ("blocks, pool 16 MiB", "blocks", 16 * MIB),
        ("blocks, pool 64 MiB", "blocks", 64 * MIB),
        ("blocks, pool 256 MiB", "blocks", 256 * MIB),
    ):
        chosen: Order = "blocks" if order == "blocks" else "shuffle"
        stream = Windows(Gather(panel, LOOKBACK), samples, batch_size=BATCH, order=chosen, pool_bytes=pool)
        steps = range(0, len(stream) - 1, max(1, len(stream) // 200))
        quality = np.array([_quality(panel, batch.row) for batch in stream.source.batches(0, steps)]).mean(axis=0)
        print(f"  {name:<24} {quality[0]:>16.1f} {quality[1]:>18.1f} {quality[2]:>16.4f} {quality[3]:>13.4f}")


def _show_wait(panel: Panel) -> None:
    """Tell how long steps of a few milliseconds, one thread without the interpreter's lock, wait for their batch."""
    samples = select_samples(panel, (0, panel.shape.num_dates), LOOKBACK)
    print("\nwait for the next batch, share of the time of 300 steps (needs a free core beside the steps')")
    for size in (500, 1000):
        weights = np.ones((size, size))
        for name, order, pool in (("shuffle", "shuffle", None), ("blocks, pool 64 MiB", "blocks", 64 * MIB)):
            batches = _ours(panel, samples, "blocks" if order == "blocks" else "shuffle", pool)
            next(batches)
            waited, started = 0.0, time.perf_counter()
            for _ in range(300):
                weights @ weights
                asked = time.perf_counter()
                next(batches)
                waited += time.perf_counter() - asked
            taken = time.perf_counter() - started
            print(f"  {name:<24} steps of {(taken - waited) / 300e-3:6.2f} ms: {waited / taken:8.4f}")


def _quality(panel: Panel, rows: np.ndarray) -> tuple[float, float, float, float]:
    """Distinct entities, pairs of windows that share rows, correlation of neighbours' entities, spread of a label.

    The label is a slow one: the sine of the date plus a number of the entity's, which a poor shuffle shows at once.
    """
    entity, day = panel.entity_of(rows), np.asarray(panel.time_index[rows])
    order = np.lexsort((day, entity))
    e, d = entity[order], day[order]
    overlapping = sum(
        int(((e[gap:] == e[:-gap]) & (d[gap:] - d[:-gap] < LOOKBACK)).sum()) for gap in range(1, min(40, len(e)))
    )
    label = np.sin(day / 300) + (entity * 0.618) % 1
    neighbours = float(np.corrcoef(entity[1:], entity[:-1])[0, 1])
    return len(np.unique(entity)), overlapping, neighbours, float(label.mean() - LABEL_MEAN) ** 2


LABEL_MEAN = float(np.sin(np.arange(59, 2000) / 300).mean() + 0.5)
