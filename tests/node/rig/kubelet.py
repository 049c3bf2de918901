"""The configuration of a kubelet on a host that others use, too:
no cgroups for pods, small logs, directories of its own."""

import pathlib
from typing import Any

import yaml

NODE = "rig"


def flags(directory: pathlib.Path, socket: pathlib.Path, address: str, more: dict[str, Any]) -> list[str]:
    """Write the configuration, with what `more` adds, to the directory; the flags that name it.

    `socket` is containerd's.
    """
    resolv, config = directory / "resolv.conf", directory / "kubelet.yaml"
    resolv.write_text("")
    config.write_text(yaml.safe_dump(_common(directory, socket) | more))
    return [
        f"--config={config}",
        f"--root-dir={directory}/kubelet",
        f"--cert-dir={directory}/kubelet/pki",
        f"--hostname-override={NODE}",
        f"--node-ip={address}",
    ]


def _common(directory: pathlib.Path, socket: pathlib.Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{socket}",
        "resolvConf": str(directory / "resolv.conf"),
        "podLogsDir": str(directory / "pods"),
        "containerLogMaxSize": "100Ki",
        "containerLogMaxFiles": 5,
        "containerLogMonitorInterval": "3s",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "evictionHard": {"imagefs.available": "0%", "memory.available": "0%", "nodefs.available": "0%"},
        "volumePluginDir": str(directory / "kubelet" / "volumeplugins"),
    }


def forget_logs(directory: pathlib.Path) -> None:
    """Remove the links to the logs of pods,
    which a kubelet puts in one place of the host, wherever the logs are."""
    for link in pathlib.Path("/var/log/containers").glob("*"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{directory}/"):
            link.unlink()
