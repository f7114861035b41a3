"""Every way a stage is known to end badly: what it is called, how it is told from its evidence, and what helps."""

import errno
import signal
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to end."""

    name: str
    """Short name for records and programs."""
    words: str
    """What happened, as the end of ``stage: ...``."""
    advice: str
    """What to change, in a sentence."""
    is_memory: bool = False
    """The plan that died of it is not tried again as it was."""


_MORE = "Declare more memory, or lower what the largest claim speaks of."
_AGAIN = "Nothing has to be changed."
_REPORT = "Please report it with that file. Trying again does no harm: what was finished is kept."

_ALL = (
    Cause("oom-own", "killed by the kernel for memory, at the stage's own limit", _MORE, is_memory=True),
    Cause(
        "oom-lowered",
        "killed by the kernel for memory, at its own limit, which somebody lowered while it ran",
        "Ask who lowers limits here (a resource manager, an administrator), and declare what is left to you: the plan"
        " adapts.",
        is_memory=True,
    ),
    Cause(
        "oom-container",
        "killed by the kernel for memory, because the container around it was full",
        "Give the container more memory, end something else in it, or declare less so that the plan adapts.",
        is_memory=True,
    ),
    Cause(
        "oom-machine",
        "killed by the kernel for memory, because the machine was full",
        "End something else, keep room for it with --reserve, or declare less.",
        is_memory=True,
    ),
    Cause(
        "killed",
        "killed by signal 9 from outside, sender unknown (no counter of kills for memory has moved)",
        f"Somebody, or a service that limits time, ended it. {_AGAIN}",
    ),
    Cause(
        "killed-uncounted",
        "killed by signal 9, perhaps by the kernel for memory: this machine keeps no counter that would tell",
        f"If it happens again: {_MORE}",
    ),
    Cause("terminated", "ended by signal 15 (SIGTERM) from outside, sender unknown", _AGAIN),
    Cause("interrupted", "ended by signal 2 (SIGINT) from outside, sender unknown", _AGAIN),
    Cause(
        "hung-up",
        "ended by signal 1 (SIGHUP): its terminal or session was closed",
        "Start it under nohup, tmux or a service manager.",
    ),
    Cause("stopped-memory", "stopped in order at 95 % of the budget, before the kernel would", _MORE, is_memory=True),
    Cause(
        "livelock",
        "stopped in order, because it read the same data from disk again and again",
        "The memory at hand is too small for what it reads at random: declare more, or give the container more.",
    ),
    Cause("memory-fence", "an allocation was refused by the memory fence", _MORE, is_memory=True),
    Cause("memory-numpy", "NumPy was refused memory by the fence", _MORE, is_memory=True),
    Cause("memory-arrow", "Arrow was refused memory by the fence", _MORE, is_memory=True),
    Cause("memory-torch", "torch was refused memory by the fence", _MORE, is_memory=True),
    Cause("memory-duckdb", "DuckDB reached its own memory limit", _MORE, is_memory=True),
    Cause(
        "memory-gpu",
        "the GPU's memory was full",
        "Lower train.batch_size, or set memory.gpu_budget to what is free.",
        is_memory=True,
    ),
    Cause("memory-abort", "a library gave up because memory was refused to it", _MORE, is_memory=True),
    Cause("crash-segv", "crashed by signal 11 (SIGSEGV), an error in a compiled library", _REPORT),
    Cause("crash-abort", "crashed by signal 6 (SIGABRT): a compiled library gave up", _REPORT),
    Cause("crash-ill", "crashed by signal 4 (SIGILL): a library was built for another processor", "Reinstall it."),
    Cause("crash-fpe", "crashed by signal 8 (SIGFPE), an error in a compiled library", _REPORT),
    Cause(
        "crash-near-limit",
        "crashed ({signal}) near its planned memory, probably after a refused allocation",
        _MORE,
    ),
    Cause(
        "crash-bus",
        "crashed by signal 7 (SIGBUS): a mapped file became shorter, or its disk failed, while it was read",
        "Leave the files of a run alone while it goes; check the panel with seawall verify.",
    ),
    Cause(
        "cpu-limit",
        "ended by the limit of CPU time (signal 24, SIGXCPU)",
        "Raise it with ulimit -t unlimited, or ask who set it.",
    ),
    Cause(
        "file-size-limit",
        "a file reached the limit of file sizes",
        "Raise it with ulimit -f unlimited, or choose a file system that takes larger files.",
    ),
    Cause("disk-full", "the disk is full", "Free some space, or choose another output folder."),
    Cause("quota", "the disk quota is used up", "Free some space, or ask for a larger quota."),
    Cause("read-only", "the folder cannot be written", "Make it writable, or choose another output folder."),
    Cause(
        "disk-error",
        "the disk reports an error",
        "Check the disk (dmesg, smartctl) before it is trusted with anything.",
    ),
    Cause("too-many-files", "too many open files", "Raise the limit with ulimit -n 4096."),
    Cause("too-many-processes", "no more threads or processes may be started", "Raise ulimit -u or the pids limit."),
    Cause("file-missing", "a file it needs is gone", "Put it back, or run the stage that makes it again."),
    Cause("file", "a file cannot be read or written", "Mend that."),
    Cause("missing-library", "a library this stage needs is not installed", "Install it."),
    Cause("bug", "an error that was not foreseen: a bug of seawall or of a library", _REPORT),
    Cause("exit", "ended without a result", _REPORT),
    Cause("signal", "ended by signal {signal}", _AGAIN),
    Cause("parent-lost", "the command that watched it was killed, and it was ended with it", _AGAIN),
    Cause(
        "group-oom",
        "the kernel killed the whole run for memory, the watching command too",
        "Give the container more memory, or declare less, so that the stage is held before the container is full.",
        is_memory=True,
    ),
    Cause("machine-restarted", "the machine was restarted while it ran", _AGAIN),
)

CAUSES = {cause.name: cause for cause in _ALL}

_OF_ERRNO = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "quota",
    errno.EROFS: "read-only",
    errno.EACCES: "read-only",
    errno.EPERM: "read-only",
    errno.EIO: "disk-error",
    errno.EMFILE: "too-many-files",
    errno.ENFILE: "too-many-files",
    errno.EFBIG: "file-size-limit",
    errno.ENOENT: "file-missing",
    errno.ENOMEM: "memory-fence",
    errno.EAGAIN: "too-many-processes",
}

_OF_SIGNAL = {
    signal.SIGTERM: "terminated",
    signal.SIGINT: "interrupted",
    signal.SIGHUP: "hung-up",
    signal.SIGSEGV: "crash-segv",
    signal.SIGABRT: "crash-abort",
    signal.SIGBUS: "crash-bus",
    signal.SIGILL: "crash-ill",
    signal.SIGFPE: "crash-fpe",
    signal.SIGXCPU: "cpu-limit",
    signal.SIGXFSZ: "file-size-limit",
}

_REFUSED_TEXTS = ("bad_alloc", "memory allocation of", "can't allocate memory", "cannot allocate memory")
"""What libraries print when they give up after a refused allocation: C++, Rust, torch, the C library."""


def cause_of_exception(error: BaseException) -> str:
    """Name the cause of an exception that ended a stage; libraries are told apart by the names of their classes.

    Nothing is imported: a library that was not loaded has raised nothing.
    """
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    text = str(error)
    if "pyarrow.ArrowMemoryError" in kinds:
        return "memory-arrow"
    if isinstance(error, MemoryError):
        return "memory-numpy" if any(kind.startswith("numpy.") for kind in kinds) else "memory-fence"
    if any(kind.endswith("duckdb.OutOfMemoryException") for kind in kinds):
        return "memory-duckdb"
    if "torch.OutOfMemoryError" in kinds or "CUDA out of memory" in text:
        return "memory-gpu"
    if isinstance(error, RuntimeError) and "DefaultCPUAllocator" in text:
        return "memory-torch"
    if isinstance(error, RuntimeError) and "start new thread" in text:
        return "too-many-processes"
    if isinstance(error, ModuleNotFoundError | ImportError):
        return "missing-library"
    if isinstance(error, OSError):
        return _OF_ERRNO.get(error.errno or 0, "file")
    return "bug"


def cause_of_signal(number: int, printed: str) -> str:
    """Name the cause of an end by a signal other than 9; ``printed`` is what the process wrote last."""
    if number == signal.SIGABRT and any(text in printed.lower() for text in _REFUSED_TEXTS):
        return "memory-abort"
    return _OF_SIGNAL.get(signal.Signals(number), "signal") if number in signal.valid_signals() else "signal"
