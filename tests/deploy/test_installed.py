"""The installation beside this Python serves what comes with the package."""

import re
import subprocess
import sys

import pytest

from deploy import installed


@pytest.mark.slow
def test_the_installed_server_is_whole() -> None:
    said = subprocess.check_output([sys.executable, str(installed.__file__)], text=True)
    assert re.fullmatch(r"ready after \d+\.\d\d s, 3\.\d+\.\d+\S*\n", said)
