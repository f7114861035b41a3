"""All ranks of one fold on the cluster: an actor each in a placement group; where one is lost, all begin again."""

import threading
import time
from collections.abc import Callable
from typing import Any

from seawall.pipeline.cluster.engine import ray_module
from seawall.pipeline.cluster.node import begin, do_assignment
from seawall.train.gang import LAST_WORDS_SECONDS, MOST_RESTARTS

LOOK_SECONDS = 0.1
STRATEGIES = {"pack": "STRICT_PACK", "spread": "SPREAD"}


class GangLead(threading.Thread):
    """Leads the ranks of one unit; the outcome is that of the first rank.

    Parameters
    ----------
    order
        The parent's order: its resources are those of one rank.
    tell
        Called once with how it ended.
    """

    def __init__(self, order: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(name=order["name"], daemon=True)
        self._order, self._tell = order, tell
        self._is_stopped = threading.Event()

    def stop(self) -> None:
        """End all ranks."""
        self._is_stopped.set()

    def run(self) -> None:
        """Wait for room, start ranks until they end well or have died too often, and tell."""
        ray = ray_module()

        from seawall.pipeline.cluster.driver import lost

        try:
            self._tell(self._lead())
        except ray.exceptions.RayError as error:
            self._tell(lost(error))

    def _lead(self) -> dict[str, Any]:
        ray = ray_module()
        util = ray_module("ray.util")

        order = self._order
        bundle = {"CPU": order["cpus"], "memory": order["memory_bytes"], "GPU": order["gpus"]}
        bundles = [{name: value for name, value in bundle.items() if value}] * order["num_ranks"]
        group = util.placement_group(bundles, strategy=STRATEGIES[order["placement"]])
        restarts: list[dict[str, str]] = []
        try:
            while not group.wait(LOOK_SECONDS):
                if self._is_stopped.is_set():
                    return {"lost": "stopped"}
            while True:
                end = self._start(group)
                if "lost" not in end or self._is_stopped.is_set():
                    return with_restarts(end, restarts)
                if len(restarts) == MOST_RESTARTS:
                    return {"failed": f"{end['lost']}, after {len(restarts)} starts from the last checkpoint"}
                restarts.append({"cause": end["lost"]})
        finally:
            if ray.is_initialized():
                util.remove_placement_group(group)

    def _start(self, group: Any) -> dict[str, Any]:  # noqa: ANN401 - Ray's
        """Start every rank once, and wait for all, or for the last words after one is lost."""
        ray = ray_module()

        actors = [self._actor(group, rank) for rank in range(self._order["num_ranks"])]
        try:
            assignment = self._order["assignment"]
            assignment = assignment | {"capsule": ray.get(actors[0].begin.remote(assignment))}
            waiting = [actor.do.remote(assignment | {"rank": rank}) for rank, actor in enumerate(actors)]
            return self._ends(waiting)
        except ray.exceptions.RayActorError as error:
            return {"lost": f"a rank's node was lost: {str(error).strip().splitlines()[0][:200]}"}
        finally:
            for actor in actors:
                ray.kill(actor)

    def _actor(self, group: Any, rank: int) -> Any:  # noqa: ANN401 - Ray's
        ray = ray_module()
        strategies = ray_module("ray.util.scheduling_strategies")

        order = self._order
        options = {
            "num_cpus": order["cpus"],
            "num_gpus": order["gpus"],
            "memory": order["memory_bytes"],
            "max_restarts": 0,
            "scheduling_strategy": strategies.PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=rank
            ),
        }
        return ray.remote(RankHost).options(**options).remote()

    def _ends(self, refs: list[Any]) -> dict[str, Any]:
        """Collect the ranks' ends; where one is not well, the others get a moment to say what they know."""
        ray = ray_module()

        ends: dict[int, dict[str, Any]] = {}
        numbers, deadline = {ref: rank for rank, ref in enumerate(refs)}, float("inf")
        while numbers and time.monotonic() < deadline and not self._is_stopped.is_set():
            ready, _ = ray.wait(list(numbers), timeout=LOOK_SECONDS)
            for ref in ready:
                rank = numbers.pop(ref)
                try:
                    ends[rank] = ray.get(ref)
                except ray.exceptions.RayError as error:
                    ends[rank] = {"lost": f"rank {rank}: {str(error).strip().splitlines()[0][:200]}"}
                if "record" not in ends[rank]:
                    deadline = min(deadline, time.monotonic() + LAST_WORDS_SECONDS)
        return verdict(ends, len(refs))


def verdict(ends: dict[int, dict[str, Any]], num_ranks: int) -> dict[str, Any]:
    """Give the first rank's record, else a mistake that another start would repeat, else what was lost."""
    if len(ends) == num_ranks and all("record" in end for end in ends.values()):
        return ends[0]
    failed = [(rank, end) for rank, end in sorted(ends.items()) if "error" in end]
    for _, end in failed:
        if end["error"]["kind"] != "StageError":
            return end
    for rank, end in failed:
        if end["error"]["cause"] != "terminated":
            return {"lost": f"rank {rank} of {num_ranks}: {end['error']['headline'] or end['error']['what']}"}
    gone = [end["lost"] for end in ends.values() if "lost" in end]
    return {"lost": gone[0] if gone else "stopped"}


def with_restarts(end: dict[str, Any], restarts: list[dict[str, str]]) -> dict[str, Any]:
    """Add to a finished unit's record how often its ranks were started again, and why."""
    if restarts and "record" in end:
        summary = end["record"]["summary"] | {"restarts": restarts}
        return end | {"record": end["record"] | {"summary": summary}}
    return end


class RankHost:
    """An actor that holds one rank's place on a node; the rank itself is a child of it, behind our fence."""

    def begin(self, assignment: dict[str, Any]) -> str:
        """Begin a start for all ranks; gives its folder."""
        ray = ray_module()

        return begin(assignment, ray.util.get_node_ip_address())

    def do(self, assignment: dict[str, Any]) -> dict[str, Any]:
        """Do one rank's part."""
        ray = ray_module()

        return do_assignment(assignment, ray.util.get_node_ip_address())
