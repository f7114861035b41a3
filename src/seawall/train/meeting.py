"""Several ranks of one fold, each in a process that others have started, on one machine or on several.

They meet through a file in a folder that all see, so no port is open to strangers while they look for each other, and
talk over the network interface that holds the address named to them.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError
from seawall.train.config import TrainConfig

if TYPE_CHECKING:
    from seawall.train.calls import Tell

MEETING = ".meeting"


@dataclass(frozen=True, slots=True)
class Meeting:
    """One rank's place among those that train a fold."""

    rank: int
    store: Path
    """The file through which ranks find each other; a new one for each start."""
    address: str
    """Of this machine, as the other ranks reach it."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Read it from plain JSON values."""
        return cls(int(record["rank"]), Path(record["store"]), str(record["address"]))


def interface_of(address: str) -> str:
    """Name the network interface that has an address.

    Raises
    ------
    ConfigError
        Where none has.
    """
    for name, found in psutil.net_if_addrs().items():
        if any(own.family in (socket.AF_INET, socket.AF_INET6) and own.address == address for own in found):
            return name
    raise ConfigError("ranks", "this machine has no such address", found=repr(address), do="Check how it was started.")


def train_together(
    meeting: Meeting, config: TrainConfig, settings: dict[str, Any], beat: Beat, tell: "Tell | None"
) -> dict[str, Any]:
    """Do one rank's part of training a fold; all of them return the same, and the first one writes the files.

    Parameters
    ----------
    settings
        As :func:`seawall.train.rank.do_part` takes them.
    tell
        Called on the first rank alone.
    """
    interface = interface_of(meeting.address)
    os.environ |= {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}
    # Here and not on top: torch is 130 MiB.
    from seawall.train.determinism import resolve_device
    from seawall.train.rank import do_part
    from seawall.train.ranks import file_store, joined

    device, store = resolve_device(config.device).type, file_store(meeting.store, config.ranks)
    with joined(meeting.rank, config.ranks, store, device=device) as ranks:
        return do_part("train", settings, config, ranks, (beat, tell if ranks.is_first else None))
