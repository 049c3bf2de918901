"""No memory of a process that crashes is left on the disk."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from pilothouse.process.core_files import forbid_core_files
resource.setrlimit(resource.RLIMIT_CORE, (0, {hard}))
forbid_core_files()
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.parametrize(("hard", "limits"), [(5000, "1 5000"), (1, "1 1"), (0, "0 0")])
def test_core_files_are_forbidden_within_the_limit(hard: int, limits: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(hard=hard)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == limits
