"""The child: one unit of work in a fresh process, behind the fence. Its end is the only full release of memory."""

import ctypes
import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from traceback import extract_tb
from types import FrameType, ModuleType, TracebackType
from typing import Any

from seawall.budget.causes import cause_of_exception
from seawall.budget.fence import enter, loosen
from seawall.budget.heartbeat import Heartbeat
from seawall.budget.processes import read_bytes
from seawall.budget.relief import Relief
from seawall.errors import Interrupted, SeawallError
from seawall.stores.atomic import write_json

PR_SET_PDEATHSIG = 1

EXTRAS = {"lightgbm": "lightgbm", "torch": "train", "safetensors": "train", "plotly": "report"}
"""Which extra of the package brings a library."""

REPORT_BYTES = 4000
"""A pipe takes this much in one piece without a reader."""


class _WithoutPandas(MetaPathFinder):
    """Keep pandas out of the child: pyarrow would import it, 30 MiB that no claim names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not used in stages", name=name)
        return None


def main() -> int:
    """Run the unit described in the request file named on the command line; write the result file.

    An exception that is not ours ends the process: the parent hears of it through a pipe, which also works where the
    disk is full, and the log has the whole of it.
    """
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    _die_with_parent(request["parent"])
    entered = enter(request["fence"])
    sys.meta_path.insert(0, _WithoutPandas())
    faulthandler.enable()
    sys.excepthook = partial(_unforeseen, request["report"])
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    started = time.process_time()
    heartbeat = Heartbeat(Path(request["heartbeat"]), relief=Relief(Path(request["shrink"])), fence=entered)
    try:
        from seawall.pipeline.work import do_unit

        result = do_unit(request, heartbeat)
    except SeawallError as error:
        cause = cause_of_exception(error.__cause__) if error.__cause__ is not None else ""
        _report(request["report"], {"error": error.record(), "cause": cause})
        return error.exit_code
    cpu_seconds = time.process_time() - started
    measures = {"cpu_seconds": cpu_seconds, "read_bytes": read_bytes(os.getpid())}
    write_json(Path(request["result"]), {"ok": True, "fence_kind": entered, **result, **measures})
    return 0


def _unforeseen(report: int, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell the parent about an exception, then print all of it into the log."""
    loosen()
    failure = {"cause": cause_of_exception(error), "text": _text(error), "at": _place(trace), "do": _do(error)}
    _report(report, {"failure": failure})
    sys.__excepthook__(kind, error, trace)


def _report(descriptor: int, record: dict[str, Any]) -> None:
    with suppress(OSError):  # the parent is gone, and the kernel is about to end this process too
        os.write(descriptor, json.dumps(record).encode()[:REPORT_BYTES])


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror or error}: {str(error.filename)[:300]}"
    lines = str(error).strip().splitlines() or ["no text"]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _place(trace: TracebackType | None) -> str:
    """Name the last line of ours that was running, or the last line at all."""
    frames = extract_tb(trace)
    ours = [frame for frame in frames if "/seawall/" in frame.filename]
    if not frames:
        return ""
    frame = (ours or frames)[-1]
    file = frame.filename.rpartition("/seawall/")[2] if ours else Path(frame.filename).name
    return f"line {frame.lineno} of {file} ({frame.name})"


def _do(error: BaseException) -> str:
    """Name the extra that brings a missing library."""
    if not isinstance(error, ImportError):
        return ""
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    return f"Install it: pip install 'seawall[{extra}]'." if extra else "Install seawall again: pip install seawall."


def _stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted("stage", "stopped on request")


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process if the parent is lost; Linux only, elsewhere the stage runs to its end."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was lost before the kernel was asked; whoever adopts this process need not be 1
        raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main())
