"""Keeps the memory of a process that crashes off the disk."""

import resource


def forbid_core_files() -> None:
    """Leave no file of the memory, which holds keys and Secrets, when the process crashes (core(5)).

    With a soft limit of one byte the kernel writes no file, and starts no program of `core_pattern` either,
    which it does with a limit of zero.
    The hard limit stays: an administrator can allow a core file by prlimit(1).
    """
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (1 if hard == resource.RLIM_INFINITY else min(1, hard), hard))
