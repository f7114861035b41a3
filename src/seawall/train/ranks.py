"""What the processes of one training tell each other: sums of gradients, and what the first of them decides."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from seawall.train.start import GOLDEN


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process among those that train one model together. Every method is called by all of them, in one order.

    Alone, each method gives back what it was given, and nothing is copied. Sums are over ranks in an order that does
    not change between runs, so training stays repeatable; every rank gets the same bits.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes files and reports."""
        return self.rank == 0

    @property
    def are_several(self) -> bool:
        """Whether there is anybody to talk to."""
        return self.world_size > 1

    def add_up(self, values: Sequence[float]) -> list[float]:
        """Sum float64 numbers over all ranks."""
        if not self.are_several:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        found: list[float] = sums.tolist()
        return found

    def first_says(self, *answers: bool) -> tuple[bool, ...]:
        """Take the first rank's answers: what depends on its clock must be the same for all."""
        if not self.are_several:
            return answers
        return tuple(value > 0 for value in self.add_up([float(answer and self.is_first) for answer in answers]))

    def from_rank(self, source: int, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - any JSON value
        """Let one rank make a JSON value, and give it to all; floats keep every bit."""
        if not self.are_several:
            return make()
        text = json.dumps(make()).encode() if self.rank == source else b""
        size = int(self.add_up([len(text)])[0])
        payload = torch.tensor(list(text), dtype=torch.uint8) if text else torch.empty(size, dtype=torch.uint8)
        dist.broadcast(payload, src=source)
        return json.loads(bytes(payload.tolist()))

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Make each gradient the sum of all ranks' gradients, in one message.

        A gradient that no rank has stays None. Memory is two copies of the weights while it lasts: the message, and
        what the library receives into.
        """
        if not self.are_several:
            return
        has = [parameter.grad is not None for parameter in parameters]
        counts = torch.tensor(has, dtype=parameters[0].dtype, device=parameters[0].device)
        parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        message = torch.cat([*(part.detach().reshape(-1) for part in parts), counts])
        del parts
        for parameter in parameters:
            parameter.grad = None
        dist.all_reduce(message)
        start = 0
        for parameter, count in zip(parameters, message[-len(has) :].tolist(), strict=True):
            stop = start + parameter.numel()
            if count:
                parameter.grad = message[start:stop].view_as(parameter)
            start = stop

    def share_buffers(self, model: nn.Module) -> None:
        """Give all ranks the first one's buffers: statistics of a batch norm, which differ by what a rank has seen."""
        if self.are_several:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def gather(self, tensors: list[Tensor]) -> list[Tensor]:
        """List the tensors of all ranks, those of the first rank first; they must be alike in shape, on the CPU."""
        if not self.are_several:
            return tensors
        found = [[torch.empty_like(tensor) for _ in range(self.world_size)] for tensor in tensors]
        for places, tensor in zip(found, tensors, strict=True):
            dist.all_gather(places, tensor)
        return [places[rank] for rank in range(self.world_size) for places in found]

    def wait(self) -> None:
        """Wait until all ranks are here."""
        self.add_up([0.0])

    def part_ways(self, seed: int) -> None:
        """Let the generators of ranks differ from here on, so that each draws dropout of its own."""
        if not self.is_first:
            torch.manual_seed((seed ^ (self.rank * GOLDEN)) % 2**63)


ALONE = Ranks()


def file_store(path: Path, world_size: int) -> Any:  # noqa: ANN401 - torch does not name its stores
    """Make the place where ranks of one machine find each other: a file, so no port can be taken by another."""
    return dist.FileStore(str(path), world_size)  # type: ignore[attr-defined] # exported all the same


@contextmanager
def joined(
    rank: int,
    world_size: int,
    store: Any,  # noqa: ANN401 - as above
    *,
    device: str,
) -> Iterator[Ranks]:
    """Meet the other ranks through a store; gloo carries what is on the CPU, NCCL what is on GPUs.

    Rank r takes the r-th GPU of those the process sees.
    """
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    if device == "cuda":
        torch.cuda.set_device(rank % torch.cuda.device_count())
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    try:
        yield Ranks(rank, world_size)
    finally:
        dist.destroy_process_group()
