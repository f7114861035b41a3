"""Trees of /proc and /sys as other machines show them: version 1 as recorded, version 2 as documented."""

from pathlib import Path

from seawall.units import GIB, KIB, MIB

UNLIMITED = 9223372036854771712
"""What version 1 writes where there is no limit."""


def write_tree(root: Path, files: dict[str, str]) -> Path:
    """Write files by their path below ``root``, and a machine with 10 GiB available where nothing else is said."""
    meminfo = f"MemTotal:       {20 * GIB // KIB} kB\nMemFree:        1 kB\nMemAvailable:   {10 * GIB // KIB} kB\n"
    for name, text in {"proc/meminfo": meminfo, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def v1_group(folder: str, *, limit: int = UNLIMITED, inherited: int | None = None, held: int = 0) -> dict[str, str]:
    """Give the files of one version 1 memory group; ``held`` is split over private, shared and kernel memory."""
    cached = 700 * MIB
    stat = {
        "cache": cached,
        "rss": 1,
        "hierarchical_memory_limit": min(limit, UNLIMITED if inherited is None else inherited),
        "total_cache": cached,
        "total_rss": held // 2,
        "total_shmem": held // 4,
    }
    return {
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.usage_in_bytes": f"{held + cached}\n",
        f"{folder}/memory.max_usage_in_bytes": f"{held + cached + 5}\n",
        f"{folder}/memory.kmem.usage_in_bytes": f"{held - held // 2 - held // 4}\n",
        f"{folder}/memory.stat": "".join(f"{name} {value}\n" for name, value in stat.items()),
        f"{folder}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    }


def v2_group(folder: str, *, maximum: str = "max", high: str = "max", held: int = 0) -> dict[str, str]:
    """Give the files of one version 2 group; ``held`` is split over private, shared and kernel memory."""
    stat = {
        "anon": held // 2,
        "file": 900 * MIB,
        "kernel": held - held // 2 - held // 4 + 50 * MIB,
        "kernel_stack": 16384,
        "pagetables": 32768,
        "shmem": held // 4,
        "slab_reclaimable": 50 * MIB,
        "slab_unreclaimable": 4096,
    }
    return {
        f"{folder}/memory.max": f"{maximum}\n",
        f"{folder}/memory.high": f"{high}\n",
        f"{folder}/memory.current": f"{held + 900 * MIB}\n",
        f"{folder}/memory.stat": "".join(f"{name} {value}\n" for name, value in stat.items()),
        f"{folder}/memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
    }


V1_MOUNTS = (
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)
V2_MOUNTS = (
    "24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "35 29 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
)
