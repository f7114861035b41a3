"""What commands on anybody's tables do alike: act in a child under a budget, then show or print what came out."""

from collections.abc import Callable
from typing import Any, NamedTuple

from seawall.budget.limits import Budget, find_budget
from seawall.budget.limits import Reserve as Left
from seawall.cli.display import Display, outside_json, print_json
from seawall.cli.run import own_command
from seawall.pipeline.run import Listener


class Asked(NamedTuple):
    """How much memory may be used, and what is shown."""

    memory: str | None
    reserve: str | None
    as_json: bool
    quiet: bool


def act_outside(
    act: Callable[[Budget, Listener, str], dict[str, Any]], asked: Asked, show: Callable[[dict[str, Any]], None]
) -> None:
    """Act, then print the record as JSON, or show its summary."""
    with Display(quiet=asked.quiet or asked.as_json) as display:
        record = act(find_budget(asked.memory, reserve=Left(asked.reserve)), display, own_command())
    if asked.as_json:
        print_json(outside_json(record))
    elif not asked.quiet:
        show(record["summary"])
