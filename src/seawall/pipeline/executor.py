"""Who does units that need nothing of each other: this machine's processes, or a cluster."""

from collections.abc import Sequence
from typing import Protocol

from seawall.pipeline.stages import Unit

Todo = tuple[Unit, str]
"""A unit that is not done, and its key."""


class Executor(Protocol):
    """Does units, each restarted from files alone, and has each recorded by the run's parent once it is done."""

    def run(self, todo: Sequence[Todo]) -> list[Todo]:
        """Do all units; gives those that are left to be done in order, with all the memory there is.

        Raises
        ------
        SeawallError
            Of the first unit that failed.
        KeyboardInterrupt
            Once every unit was stopped in order.
        """
