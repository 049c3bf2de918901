"""The commands beside `serve`, one file each. Imports assembly and everything below it."""

COMMANDS = (
    "kubeconfig",
    "token",
    "why",
    "etcd",
    "snapshot",
    "store",
    "doctor",
    "top",
    "check-config",
    "completion",
)
"""Their names; each is a module (with _ for -) that has USAGE, FLAGS, SERVER_FLAGS and run(arguments)."""
