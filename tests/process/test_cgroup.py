"""The limit of the control group, in both versions."""

from pathlib import Path

import pytest

from pilothouse.process.cgroup import memory_limit


def host(root: Path, groups: str, files: dict[str, str]) -> Path:
    """The root of a host with these groups of the process and these files."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/\n", {"sys/fs/cgroup/memory.max": "1073741824\n"}, 1 << 30),
        ("0::/pods/a\n", {"sys/fs/cgroup/pods/a/memory.max": "max\n"}, None),
        (
            "0::/pods/a\n",
            {
                "sys/fs/cgroup/pods/a/memory.max": "max\n",
                "sys/fs/cgroup/pods/memory.max": "2000\n",
                "sys/fs/cgroup/memory.max": "3000\n",
            },
            2000,
        ),
        (
            "9:cpu,cpuacct:/b\n4:memory:/b\n0::/\n",
            {"sys/fs/cgroup/memory/b/memory.limit_in_bytes": "5000\n"},
            5000,
        ),
        ("4:memory:/\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("nonsense\n", {}, None),
        ("0::/\n", {"sys/fs/cgroup/memory.max": "much\n"}, None),
    ],
)
def test_the_strictest_limit_counts(
    tmp_path: Path, groups: str, files: dict[str, str], limit: int | None
) -> None:
    assert memory_limit(host(tmp_path, groups, files)) == limit


def test_a_host_without_control_groups(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None
