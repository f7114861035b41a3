"""The child: one unit of work in a fresh process, behind the fence. Its end is the only full release of memory."""

import faulthandler
import json
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from traceback import extract_tb
from types import FrameType, TracebackType
from typing import Any

from seawall.budget.beginning import die_with_parent, leave_out_pandas, use_ordinary_pages
from seawall.budget.causes import cause_of_exception
from seawall.budget.fence import enter, loosen
from seawall.budget.heartbeat import Heartbeat
from seawall.budget.processes import read_bytes
from seawall.budget.relief import Relief
from seawall.errors import Interrupted, SeawallError
from seawall.stores.atomic import write_json

EXTRAS = {"lightgbm": "lightgbm", "torch": "train", "safetensors": "train", "plotly": "report"}
"""Which extra of the package brings a library."""

REPORT_BYTES = 4000
"""A pipe takes this much in one piece without a reader."""


def main() -> int:
    """Run the unit described in the request file named on the command line; write the result file.

    An exception that is not ours ends the process: the parent hears of it through a pipe, which also works where the
    disk is full, and the log has the whole of it.
    """
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    die_with_parent(request["parent"])
    use_ordinary_pages()
    entered = enter(request["fence"])
    leave_out_pandas()
    faulthandler.enable()
    sys.excepthook = partial(_unforeseen, request["report"])
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    heartbeat = Heartbeat(Path(request["heartbeat"]), relief=Relief(Path(request["shrink"])), fence=entered)
    try:
        from seawall.pipeline.work import do_unit

        result = do_unit(request, heartbeat)
    except SeawallError as error:
        cause = cause_of_exception(error.__cause__) if error.__cause__ is not None else ""
        _report(request["report"], {"error": error.record(), "cause": cause})
        return error.exit_code
    spent = os.times()
    cpu_seconds = spent.user + spent.system + spent.children_user + spent.children_system
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


if __name__ == "__main__":
    raise SystemExit(main())
