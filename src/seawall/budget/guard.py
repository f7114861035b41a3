"""What the parent decides at each sample: nothing, ask the stage to shrink, or stop it, and why."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from seawall.budget.claims import StagePlan
from seawall.budget.environment import available_cores
from seawall.units import GIB, MIB, format_bytes, format_seconds

SHRINK_SHARE = 0.85
"""Share of the budget at which the stage is asked to shrink what changes no result."""

STOP_SHARE = 0.95
"""Share of the budget at which the stage is stopped in order."""

SHRINK_SECONDS = 1.0
"""A stage gets this long to answer before it is asked again; then twice as long each time, a minute at most."""

READS_SECONDS = 1.0
"""How often bytes read from disk are looked at: a sum over a few processes, 20 us each."""

READS_FACTOR = 10
"""The planned figure already counts every page as cold at every pass, so ten times as much is no slow disk."""

READS_FLOOR_BYTES = 4 * GIB
"""Library code and small files read again and again under a tight limit stay far below this in any healthy run."""

CALM_SECONDS = 0.2
"""Below the first threshold nothing but the size has to be looked at more often."""

STILL_BYTES = MIB
STILL_SECONDS = 1.0
"""A stage stands still when what it held has moved by less than the one for as long as the other."""

TOUCHED_BYTES_PER_SECOND = 3_000_000_000
"""Fresh memory that one core can touch (1.4-3 GB/s measured)."""

GROWTH_SECONDS = 30.0
"""Growth is told over this much of the past."""

Decision = Literal["", "shrink", "stop", "livelock"]


class Growth:
    """What a stage held over the last half minute, one figure a second."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, seconds: float, held_bytes: int) -> None:
        """Note a sample; of each second the last one is kept."""
        if len(self._points) > 1 and seconds - self._points[-2][0] < 1.0:
            self._points.pop()
        self._points.append((seconds, held_bytes))
        while seconds - self._points[0][0] > GROWTH_SECONDS:
            self._points.popleft()

    def words(self) -> str:
        """Say how fast it grew, or that it did not."""
        (first, low), (last, high) = self._points[0], self._points[-1]
        seconds, grown = last - first, high - low
        if seconds <= 0 or grown <= 0:
            return "it was not growing"
        if seconds < 1.0:
            return f"grew by {format_bytes(grown)} in its last {format_seconds(seconds)}"
        return f"grew by {format_bytes(grown / seconds)} a second over its last {format_seconds(seconds)}"

    def __len__(self) -> int:
        return len(self._points)


@dataclass(slots=True)
class Guard:
    """Hold one stage's samples against its budget and its planned reads.

    Parameters
    ----------
    plan
        Of the stage; reads are watched where it plans them.
    budget_bytes
        What stage and parent may hold together.
    read_bytes
        Gives the bytes the stage has really read from disk so far, or None where nobody counts.
    num_cores
        Cores the stage may use.
    """

    plan: StagePlan
    budget_bytes: int
    read_bytes: Callable[[], int | None]
    num_cores: int = field(default_factory=available_cores)
    num_requests: int = 0
    bytes_read: int | None = None
    growth: Growth = field(default_factory=Growth)
    _calm_until_seconds: float = 0.0
    _still_bytes: int = 0
    _still_since_seconds: float = 0.0
    _next_request_seconds: float = 0.0
    _next_reads_seconds: float = 0.0

    def decide(self, held_bytes: int, now: float, *, others_need: bool = False) -> Decision:
        """Decide at one sample.

        Parameters
        ----------
        held_bytes
            Private and shared memory of stage and parent together.
        now
            Seconds of a clock that does not jump.
        others_need
            The room reserved for other processes is no longer there: the stage is asked to shrink too.
        """
        if abs(held_bytes - self._still_bytes) > STILL_BYTES:
            self._still_bytes, self._still_since_seconds = held_bytes, now
        if now < self._calm_until_seconds and held_bytes <= SHRINK_SHARE * self.budget_bytes and not others_need:
            return ""
        self._calm_until_seconds = now + CALM_SECONDS
        self.growth.add(now, held_bytes)
        if held_bytes > STOP_SHARE * self.budget_bytes:
            return "stop"
        if self._reads_too_much(now):
            return "livelock"
        if (held_bytes > SHRINK_SHARE * self.budget_bytes or others_need) and now >= self._next_request_seconds:
            wait_seconds = min(60.0, SHRINK_SECONDS * 2.0**self.num_requests)
            self.num_requests, self._next_request_seconds = self.num_requests + 1, now + wait_seconds
            return "shrink"
        return ""

    def wait_seconds(self, now: float, usual_seconds: float) -> float:
        """Say how long the next sample may wait: twice as long as usual where no decision can come later by it.

        That is while the stage stands still, and so far below the first threshold that all cores together could not
        touch the rest before a sample in between.
        """
        reach_bytes = int(usual_seconds * TOUCHED_BYTES_PER_SECOND) * self.num_cores
        is_far = self._still_bytes + STILL_BYTES + reach_bytes <= SHRINK_SHARE * self.budget_bytes
        is_still = now - self._still_since_seconds >= STILL_SECONDS
        return 2 * usual_seconds if is_far and is_still else usual_seconds

    @property
    def allowed_read_bytes(self) -> int:
        """What the stage may read from disk before it is said to read in circles."""
        return READS_FACTOR * self.plan.planned_read_bytes + READS_FLOOR_BYTES

    def _reads_too_much(self, now: float) -> bool:
        if now < self._next_reads_seconds:
            return False
        self._next_reads_seconds = now + READS_SECONDS
        self.bytes_read = self.read_bytes()
        planned = self.plan.planned_read_bytes
        return bool(planned) and self.bytes_read is not None and self.bytes_read > self.allowed_read_bytes
