"""Which folders lie in memory."""

from pathlib import Path

import pytest

from seawall.budget.mounts import is_memory_filesystem, read_mounts
from tests.budget.trees import write_tree

MOUNTS = (
    "1 0 0:1 / / rw - rootfs rootfs rw\n"
    "2 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "3 2 0:20 / /tmp rw - tmpfs tmpfs rw,size=1g\n"
    "4 2 8:2 / /tmp/disk rw - xfs /dev/sdb1 rw\n"
    "5 2 0:21 / /shm\\040two rw - ramfs none rw\n"
    "not a mount line\n"
)


@pytest.mark.parametrize(
    ("path", "in_memory"),
    [
        ("/", False),
        ("/tmp", True),
        ("/tmp/not/yet/made", True),
        ("/tmp/disk/x", False),
        ("/tmpfs", False),
        ("/shm two/x", True),
    ],
)
def test_the_longest_and_latest_mount_decides(tmp_path: Path, path: str, in_memory: bool) -> None:
    root = write_tree(tmp_path, {"proc/self/mountinfo": MOUNTS})

    assert is_memory_filesystem(Path(path), root=root) is in_memory


@pytest.mark.parametrize(("upper_kind", "in_memory"), [("tmpfs", True), ("ext4", False)])
def test_an_overlay_is_where_its_upper_folder_is(tmp_path: Path, upper_kind: str, in_memory: bool) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    mounts = (
        "1 0 0:1 / / rw - ext4 /dev/sda1 rw\n"
        f"2 1 0:2 / {tmp_path} rw - {upper_kind} none rw\n"
        f"3 1 0:3 / /merged rw - overlay overlay rw,lowerdir=/low,upperdir={upper},workdir=/work\n"
    )
    root = write_tree(tmp_path / "root", {"proc/self/mountinfo": mounts})

    assert is_memory_filesystem(Path("/merged/x"), root=root) is in_memory


def test_an_overlay_whose_upper_folder_cannot_be_seen_is_taken_for_a_disk(tmp_path: Path) -> None:
    mounts = "1 0 0:1 / / rw - overlay overlay rw,upperdir=/nowhere/at/all\n"

    assert not is_memory_filesystem(tmp_path, root=write_tree(tmp_path, {"proc/self/mountinfo": mounts}))


def test_no_mount_table_means_no_answer_but_disk(tmp_path: Path) -> None:
    assert read_mounts(tmp_path) == []
    assert not is_memory_filesystem(tmp_path, root=tmp_path)


def test_shared_memory_of_this_machine_lies_in_memory() -> None:
    if not any(mount.point == "/dev/shm" for mount in read_mounts()):
        pytest.skip("no /dev/shm here")

    assert is_memory_filesystem(Path("/dev/shm/seawall"))
