"""The names of the commands beside `serve`."""

COMMANDS = (
    "kubeconfig",
    "token",
    "cluster",
    "envtest",
    "fork",
    "clock",
    "why",
    "report",
    "history",
    "blame",
    "diff",
    "undo",
    "restore",
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
"""Each is a module of this package (with _ for -) that has USAGE, FLAGS, SERVER_FLAGS and run(arguments),
which may return an exit status. FAILED: that of a failure, where it is not 1."""

GROUPS = ("token", "cluster", "fork", "etcd", "snapshot", "store", "completion")
"""Commands that consist of other commands: without arguments they print their help."""
