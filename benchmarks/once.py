"""`--once`: a benchmark does each thing a single time, to show that it still works, and judges no goal."""

import sys

ASKED = "--once" in sys.argv


def rounds(count: int) -> int:
    """So many, or one."""
    return 1 if ASKED else count


def arguments() -> list[str]:
    """The other arguments of the command line."""
    return [one for one in sys.argv[1:] if one != "--once"]


def code(missed: int) -> int:
    """The exit status of a program that has missed a goal or not."""
    return 0 if ASKED else missed
