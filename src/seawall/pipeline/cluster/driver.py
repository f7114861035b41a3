"""The process that speaks to Ray: takes orders and gives news, a line of JSON each, so that a run's parent stays small.

It decides nothing: what is begun again, and where not, is the parent's word. Where the cluster's head is lost this
process may be ended by Ray; the parent then starts another one.
"""

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seawall.budget.beginning import die_with_parent, leave_out_pandas
from seawall.pipeline.cluster.engine import ray_module
from seawall.pipeline.cluster.gang import GangLead
from seawall.pipeline.cluster.node import do_assignment

LOOK_SECONDS = 0.1
NODES_SECONDS = 1.0
RETRY_SECONDS = 1.0
"""Between two attempts to reach the head."""

STOP_SECONDS = 25.0
"""What units get to end in order: their children are given 20 seconds."""


def main() -> int:
    """Take orders from standard input until it ends; news go to standard output."""
    says = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not come between the lines
    settings = json.loads(sys.stdin.readline())
    die_with_parent(settings["parent"])
    leave_out_pandas()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    voice = _Voice(says)
    error = _connect(settings["address"], settings["wait_seconds"])
    if error:
        voice.say({"news": "no cluster", "text": error})
        return 1
    driver = Driver(voice)
    inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(inbox,), daemon=True).start()
    driver.run(inbox)
    return 0


def _connect(address: str, wait_seconds: float) -> str:
    """Connect to the head, which may be about to come back; gives why not."""
    ray = ray_module()

    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            ray.init(
                address=address,
                namespace="seawall",
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, TimeoutError, ValueError, ray.exceptions.RayError) as error:
            is_refused = isinstance(error, ray.exceptions.AuthenticationError)
            if time.monotonic() >= deadline or is_refused:
                return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"
            time.sleep(RETRY_SECONDS)
        else:
            return ""


def _listen(inbox: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    for line in sys.stdin:
        inbox.put(json.loads(line))
    inbox.put(None)


class _Voice:
    """Says one thing at a time, whichever thread says it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._lock = descriptor, threading.Lock()

    def say(self, news: Mapping[str, Any]) -> None:
        """Write one line."""
        line, start = json.dumps(news).encode() + b"\n", 0
        with self._lock:
            while start < len(line):
                start += os.write(self._descriptor, line[start:])


@dataclass(slots=True)
class Driver:
    """Units in the cluster, by a name that the parent gives each start of them."""

    voice: _Voice
    refs: dict[Any, str] = field(default_factory=dict)
    gangs: dict[str, GangLead] = field(default_factory=dict)
    nodes: list[dict[str, Any]] = field(default_factory=list)

    def run(self, inbox: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
        """Do what the parent says until it says no more."""
        next_look = 0.0
        while True:
            if time.monotonic() >= next_look:
                self._look()
                next_look = time.monotonic() + NODES_SECONDS
            self._hear_units()
            try:
                order = inbox.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            if order is None:
                return self._stop()
            if order["order"] == "begin":
                self._begin(order)
            else:
                self._cancel(order["name"])

    def _look(self) -> None:
        """Tell which nodes there are, when that changes."""
        ray = ray_module()

        alive = [node for node in ray.nodes() if node["Alive"]]
        seen = [
            {
                "id": node["NodeID"],
                "address": node["NodeManagerAddress"],
                "cpus": node["Resources"].get("CPU", 0.0),
                "gpus": node["Resources"].get("GPU", 0.0),
                "memory_bytes": int(node["Resources"].get("memory", 0)),
            }
            for node in sorted(alive, key=lambda node: str(node["NodeID"]))
        ]
        if seen != self.nodes:
            self.nodes = seen
            self.voice.say({"news": "nodes", "nodes": seen})

    def _begin(self, order: dict[str, Any]) -> None:
        ray = ray_module()

        name = order["name"]
        if order["num_ranks"] > 1:
            self.gangs[name] = GangLead(order, lambda end: self.voice.say({"news": "ended", "name": name, **end}))
            self.gangs[name].start()
            return
        options = {
            "num_cpus": order["cpus"],
            "num_gpus": order["gpus"],
            "memory": order["memory_bytes"],
            "max_retries": 0,  # the parent begins again, elsewhere
            "scheduling_strategy": self._strategy(order),
            "name": name,
        }
        ref = ray.remote(_on_node).options(**options).remote(order["assignment"])
        self.refs[ref] = name

    def _strategy(self, order: dict[str, Any]) -> Any:  # noqa: ANN401 - a string or a class of Ray's
        """Spread over nodes; a unit that has reason to avoid some goes to another one that is large enough."""
        strategies = ray_module("ray.util.scheduling_strategies")

        others = [
            node
            for node in self.nodes
            if node["address"] not in order["avoid"]
            and node["cpus"] >= order["cpus"]
            and node["memory_bytes"] >= order["memory_bytes"]
        ]
        if not order["avoid"] or not others:
            return "SPREAD"
        chosen = others[order["start"] % len(others)]
        return strategies.NodeAffinitySchedulingStrategy(chosen["id"], soft=True)

    def _hear_units(self) -> None:
        ray = ray_module()

        if not self.refs:
            return
        ended, _ = ray.wait(list(self.refs), num_returns=1, timeout=0)
        for ref in ended:
            name = self.refs.pop(ref)
            try:
                end = ray.get(ref)
            except ray.exceptions.RayError as error:
                end = lost(error)
            self.voice.say({"news": "ended", "name": name, **end})

    def _cancel(self, name: str) -> None:
        ray = ray_module()

        for ref, known in self.refs.items():
            if known == name:
                ray.cancel(ref, force=True)
        if name in self.gangs:
            self.gangs[name].stop()

    def _stop(self) -> None:
        """End units in order, then leave the cluster."""
        ray = ray_module()

        if not self.refs and not any(gang.is_alive() for gang in self.gangs.values()):
            os._exit(0)  # the node sees this process end; saying goodbye to it takes two seconds
        for gang in self.gangs.values():
            gang.stop()
        for ref in self.refs:
            ray.cancel(ref)
        if self.refs:
            ray.wait(list(self.refs), num_returns=len(self.refs), timeout=STOP_SECONDS)
        ray.shutdown()


def _on_node(assignment: dict[str, Any]) -> dict[str, Any]:
    """Do a unit where Ray has put it; module-level, so that its name alone travels."""
    ray = ray_module()

    return do_assignment(assignment, ray.util.get_node_ip_address())


def lost(error: Exception) -> dict[str, Any]:
    """Say how a unit was lost that has no result."""
    ray = ray_module()

    if isinstance(error, ray.exceptions.RayTaskError) and not isinstance(error, ray.exceptions.TaskCancelledError):
        lines = str(error.cause).strip().splitlines() or [type(error.cause).__name__]
        return {"failed": f"{type(error.cause).__name__}: {lines[0][:300]}"}
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return {"lost": f"{type(error).__name__}: {lines[0][:300]}"}


if __name__ == "__main__":
    raise SystemExit(main())
