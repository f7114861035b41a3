"""The parent's side of the process that speaks to the cluster: orders in, news out, and its end noticed."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from seawall.errors import StageError
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.pipeline.cluster.engine import address_of, engine_environment, require_engine, token_of

CONNECT_SECONDS = 120.0
"""A head that is up answers within seconds."""

STOP_SECONDS = 40.0
"""Longer than the units themselves get to end in order."""


class Crew(Protocol):
    """Those who do units elsewhere: orders in, news out."""

    config: ClusterConfig
    nodes: list[dict[str, Any]]
    """What is known of the nodes that are alive."""
    units_at_once: int | None
    """Units that share a node's budget; None: as many as fit."""

    def __enter__(self) -> Self:
        """Give itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""

    def check(self) -> object:
        """Find what is needed to reach them, without speaking to anybody; raises ConfigError where it is missing."""

    def start(self) -> None:
        """Begin to reach them, without waiting."""

    def connect(self, wait_seconds: float = CONNECT_SECONDS) -> None:
        """Reach them; raises StageError where they do not answer."""

    @property
    def is_alive(self) -> bool:
        """Tell whether orders still reach them."""

    def order(self, order: dict[str, Any]) -> None:
        """Give an order."""

    def news(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Give what is heard within some time."""

    def close(self, *, in_order: bool = True) -> None:
        """End it; in order it ends units first, so that each can keep what it has done."""


@dataclass(slots=True)
class RayCrew:
    """One process that speaks to one cluster; it ends with this one."""

    config: ClusterConfig
    nodes: list[dict[str, Any]] = field(default_factory=list)
    """What is known of the nodes that are alive."""
    units_at_once: int | None = None
    _process: "subprocess.Popen[bytes] | None" = None
    _heard: bytes = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> tuple[str, Path]:
        """Find the head's address and the token, without speaking to anybody.

        Raises
        ------
        ConfigError
            Where the engine is not installed, there is no token, or no address.
        """
        require_engine()
        return address_of(self.config), token_of(self.config)

    def start(self, wait_seconds: float = CONNECT_SECONDS) -> None:
        """Start the process, which waits so long for the head; raises as :meth:`check` does."""
        address, token = self.check()
        self._heard, self.nodes = b"", []
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "seawall.pipeline.cluster.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **engine_environment(token, address)},
            start_new_session=True,
        )
        self._write({"address": address, "wait_seconds": wait_seconds, "parent": os.getpid()})

    def connect(self, wait_seconds: float = CONNECT_SECONDS) -> None:
        """Wait until the process, started here where it is not yet, has told which nodes there are.

        Raises
        ------
        ConfigError
            As :meth:`check` does.
        StageError
            Where the head does not answer.
        """
        if self._process is None:
            self.start(wait_seconds)
        address = self.check()[0]
        while not self.nodes:
            for news in self.news(1.0):
                if news["news"] == "no cluster":
                    raise _no_cluster(address, news["text"])
            if self._process is None or self._process.poll() is not None:
                raise _no_cluster(address, "the connection ended at once")

    @property
    def is_alive(self) -> bool:
        """Tell whether the nodes are known, and orders still reach them."""
        return bool(self.nodes) and self._process is not None and self._process.poll() is None

    def order(self, order: dict[str, Any]) -> None:
        """Give an order; one that is not heard any more shows in :attr:`is_alive`."""
        with suppress(OSError):
            self._write(order)

    def news(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Give what is heard within some time; what is told of nodes is also kept."""
        if self._process is None or self._process.stdout is None:
            return
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], seconds)[0]:
            return
        *lines, self._heard = (self._heard + os.read(descriptor, 1 << 20)).split(b"\n")
        for line in lines:
            news = json.loads(line)
            if news["news"] == "nodes":
                self.nodes = news["nodes"]
            yield news

    def _write(self, order: dict[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def close(self, *, in_order: bool = True) -> None:
        """End the process: in order it ends units first, so that each can keep what it has done."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            if in_order and self.nodes:  # without nodes it has no units, and may wait for a head for long
                process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()


def _no_cluster(address: str, text: str) -> StageError:
    do = "Check that the head runs (seawall cluster head), its address, and that both have the same token."
    return StageError(f"cluster {address}", "cannot be reached", found=text, do=do)
