"""The few memory facts that can be had where there is no /proc, through psutil, which is imported only then."""


def available_bytes() -> int:
    """Read how much memory can be taken without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def tree_bytes(pid: int) -> int:
    """Sum the resident bytes of a process and its descendants, file pages included: more than its private memory."""
    import psutil

    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    total_bytes = 0
    for member in members:
        try:
            total_bytes += int(member.memory_info().rss)
        except psutil.Error:
            continue
    return total_bytes


def own_private_bytes() -> int:
    """Measure what this process holds alone."""
    import psutil

    return int(psutil.Process().memory_full_info().uss)
