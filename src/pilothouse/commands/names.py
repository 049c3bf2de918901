"""The names of the commands beside `serve`."""

COMMANDS = (
    "kubeconfig",
    "token",
    "why",
    "etcd",
    "snapshot",
    "store",
    "doctor",
    "top",
    "bench",
    "console",
    "check-config",
    "completion",
)
"""Each is a module of this package (with _ for -) that has USAGE, FLAGS, SERVER_FLAGS and run(arguments)."""

GROUPS = ("token", "etcd", "snapshot", "store", "completion")
"""Commands that consist of other commands: without arguments they print their help."""
