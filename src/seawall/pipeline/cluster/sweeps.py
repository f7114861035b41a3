"""A search whose large sweeps are summed in parts on the nodes of a cluster, to the same bits as by one process."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from seawall.budget.claims import StagePlan
from seawall.budget.meter import Timeline
from seawall.pipeline.cluster.crew import Crew
from seawall.pipeline.executor import Todo
from seawall.pipeline.stages import Unit
from seawall.pipeline.unit import UnitRun

PARTS_PER_CORE = 2
"""So that a node that is done early takes another part."""

FanOut = Callable[[UnitRun, list[Todo]], object]
"""Does units beside one another."""


def search_in_parts(
    work: UnitRun,
    one: Todo,
    plan_for: Callable[[Unit, int, int], StagePlan],
    timeline: Timeline,
    crew: Crew,
    fan_out: FanOut,
) -> None:
    """Search here, and have parts of each large sweep summed on the nodes in between; raises as a unit does.

    The search itself keeps all that is small: it stops where it needs a large sweep, and goes on from its files.
    """
    unit, key = one
    if not crew.is_alive:
        crew.connect()
    num_cores = int(sum(node["cpus"] for node in crew.nodes))
    wish = {"most": PARTS_PER_CORE * num_cores, "least_evaluations": crew.config.shard_evaluations}
    asking = replace(work, shards=wish)
    while True:
        done = asking.tried(unit, key, partial(plan_for, unit), timeline, asking.whole)
        order = done.result["summary"].get("sweep")
        if order is None:
            return asking.record(done)
        todo = [(Unit("sweep", number), order["keys"][number]) for number in order["missing"]]
        work.listener.noted(f"search: a sweep in {len(order['shards'])} parts on {len(crew.nodes)} nodes")
        fan_out(replace(work, shards=order), todo)
