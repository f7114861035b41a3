"""Which crew a config names: a Ray cluster's, or the tasks of a job.

What speaks to them is imported only where one is named: a run on one machine keeps its parent small.
"""

from typing import TYPE_CHECKING

from seawall.pipeline.cluster.config import TASKS
from seawall.pipeline.config import RunConfig

if TYPE_CHECKING:
    from seawall.pipeline.cluster.crew import Crew


def lends_a_hand(config: RunConfig) -> bool:
    """Work for the first task of a job where this process is another one of it; False where it is not.

    Raises
    ------
    ConfigError
        Where the config says that this is a task of a job, and it is none.
    StageError
        Where nothing is seen of the first task for long.
    """
    if config.cluster is None or config.cluster.address != TASKS:
        return False
    from seawall.pipeline.cluster.hand import Task
    from seawall.pipeline.cluster.tasks import lend_a_hand

    task = Task.here()
    if task.number:
        lend_a_hand(config.output.absolute(), config.cluster, task)
    return task.number > 0


def crew_of(config: RunConfig) -> "Crew | None":
    """Give a crew, not connected yet, where the config names a cluster."""
    cluster = config.cluster
    if cluster is None or cluster.address is None:
        return None
    if cluster.address == TASKS:
        from seawall.pipeline.cluster.tasks import TaskCrew

        return TaskCrew(cluster, config.output)
    from seawall.pipeline.cluster.crew import RayCrew

    return RayCrew(cluster)
