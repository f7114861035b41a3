"""The leader of several ranks: starts them, hands on what they tell, and starts all anew from the last checkpoint."""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seawall.budget.causes import CAUSES
from seawall.budget.cgroup import read_table
from seawall.budget.heartbeat import Beat
from seawall.errors import SeawallError, StageError, from_record

MOST_RESTARTS = 3
"""What dies four times in one fold has a reason that another start does not cure."""

LOOK_SECONDS = 0.2
"""How often the leader looks whether its ranks live, beside listening to them."""

LAST_WORDS_SECONDS = 2.0
"""What ranks get to say why they fail after one of them has: the cause is rarely told by the first to notice."""

LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
"""Ranks of one machine talk over the loopback alone; ports are chosen by the kernel and told through a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GangWork:
    """What the ranks are to do, as plain JSON values."""

    act: str
    """``train`` or ``predict``."""
    num_ranks: int
    settings: dict[str, Any]
    folder: Path
    """Scratch folder of this gang alone; removed when it ends."""
    where: str
    """Name of the work in messages."""


Tell = Callable[[Mapping[str, float | None]], None]


def lead(work: GangWork, beat: Beat, tell: Tell | None = None) -> dict[str, Any]:
    """Let ranks do the work, in processes of their own, and give the first one's result.

    Where a rank dies, all are ended and started again: they go on from the last checkpoint, to the same bits. That is
    done ``MOST_RESTARTS`` times at most, and each time is in the result under ``restarts``. Ranks do not outlive this
    process. It imports nothing heavy: its memory is some KiB.

    Raises
    ------
    SeawallError
        What a rank raised; StageError where ranks died once too often, caused by a MemoryError where it was memory.
    """
    restarts: list[dict[str, Any]] = []
    try:
        while True:
            shutil.rmtree(work.folder, ignore_errors=True)
            work.folder.mkdir(parents=True)
            end = _Gang(work, beat, tell).run()
            if end.result is not None:
                return end.result | ({"restarts": restarts} if restarts else {})
            if end.error is not None:
                raise end.error
            if end.is_memory or len(restarts) == MOST_RESTARTS:
                raise _given_up(work, end, restarts)
            restarts.append({"cause": end.cause})
            beat(f"start {len(restarts) + 1} of {work.num_ranks} ranks: {end.cause}")
    finally:
        shutil.rmtree(work.folder, ignore_errors=True)


def _given_up(work: GangWork, end: "_End", restarts: list[dict[str, Any]]) -> StageError:
    again = f", after {len(restarts)} starts from the last checkpoint" if restarts else ""
    error = StageError(work.where, f"{end.cause}{again}", do="Run the same command again to continue.")
    if end.is_memory:
        error.__cause__ = MemoryError(end.cause)
    return error


@dataclass(slots=True)
class _End:
    """How a gang ended."""

    result: dict[str, Any] | None = None
    error: SeawallError | None = None
    cause: str = ""
    is_memory: bool = False


@dataclass(slots=True)
class _Rank:
    process: subprocess.Popen[bytes]
    heard: bytes = b""
    said: dict[str, Any] = field(default_factory=dict)


class _Gang:
    """One start of all ranks."""

    def __init__(self, work: GangWork, beat: Beat, tell: Tell | None) -> None:
        self._work, self._beat, self._tell = work, beat, tell
        self._ranks: list[_Rank] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> _End:
        """Start ranks, listen until they end, and leave none behind."""
        kills_before = _kernel_kills()
        try:
            for number in range(self._work.num_ranks):
                self._ranks.append(self._start(number))
            self._listen()
            return self._end(kills_before)
        finally:
            for rank in self._ranks:
                rank.process.kill()
            for rank in self._ranks:
                rank.process.wait()
            for key in list(self._selector.get_map().values()):
                os.close(key.fd)
            self._selector.close()

    def _start(self, number: int) -> _Rank:
        reader, writer = os.pipe()
        self._selector.register(reader, selectors.EVENT_READ, number)
        work = self._work
        request = {"act": work.act, "settings": work.settings, "rank": number, "num_ranks": work.num_ranks}
        request |= {"parent": os.getpid(), "report": writer, "store": str(work.folder / "store")}
        path = work.folder / f"rank_{number}.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "seawall.train.rank", str(path)],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **LOOPBACK},
                start_new_session=True,
                pass_fds=(writer,),
            )
        finally:
            os.close(writer)
        return _Rank(process)

    def _listen(self) -> None:
        """Hand on what ranks tell until all have ended well, or one has not and the others have had their say."""
        deadline = float("inf")
        while time.monotonic() < deadline:
            for key, _ in self._selector.select(LOOK_SECONDS):
                self._hear(key.data, key.fd)
            codes = [rank.process.poll() for rank in self._ranks]
            if any(codes) and deadline == float("inf"):
                deadline = time.monotonic() + LAST_WORDS_SECONDS
            if None not in codes and not self._selector.get_map():
                return

    def _hear(self, number: int, descriptor: int) -> None:
        rank, heard = self._ranks[number], os.read(descriptor, 65536)
        if not heard:
            self._selector.unregister(descriptor)
            os.close(descriptor)
        *lines, rank.heard = (rank.heard + heard).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "beat" in said:
                substep, done, total, numbers = said["beat"]
                self._beat(substep, done, total, **numbers)
            elif "told" in said and self._tell is not None:
                self._tell(said["told"])
            else:
                rank.said |= said

    def _end(self, kills_before: int) -> _End:
        said = [rank.said for rank in self._ranks]
        codes = [rank.process.poll() for rank in self._ranks]
        if not any(codes) and "result" in said[0]:
            return _End(result=said[0]["result"])
        for words in said:
            if "error" in words:
                return _End(error=from_record(words["error"]))
        killed = [(number, code) for number, code in enumerate(codes) if code is not None and code < 0]
        for number, code in killed:
            name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
            cause = f"rank {number} of {len(codes)} was ended by signal {-code} ({name})"
            return _End(cause=cause, is_memory=code == -signal.SIGKILL and _kernel_kills() > kills_before)
        return self._failure(said, codes)

    def _failure(self, said: list[dict[str, Any]], codes: list[int | None]) -> _End:
        failures = [(number, words["failure"]) for number, words in enumerate(said) if "failure" in words]
        failures.sort(key=lambda item: not _is_memory(item[1]["cause"]))
        for number, failure in failures:
            return _End(cause=f"rank {number}: {failure['text']}", is_memory=_is_memory(failure["cause"]))
        return _End(cause=f"ranks ended with exit codes {codes}")


def _is_memory(cause: str) -> bool:
    return cause in CAUSES and CAUSES[cause].is_memory


def _kernel_kills() -> int:
    """Count the processes that the kernel has killed for memory, on this machine, since it started."""
    return read_table(Path("/proc/vmstat")).get("oom_kill", 0)
