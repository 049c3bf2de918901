"""containerd with directories of its own: its configuration, the network of pods, and the images."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from node.rig import image
from node.rig.daemons import Daemon, Namespace, kill_shims_of, run, unmount_below

PLUGINS = pathlib.Path("/usr/lib/cni")
PODS = "10.244.0.0/24"
TOOLS = ("busybox", "containerd", "ctr", "ip", "iptables", "nsenter", "runc", "sysctl")
PACKAGES = "containerd runc busybox-static containernetworking-plugins iptables iproute2 conntrack"

_CONFIG = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{directory}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    Root = "{directory}/runc"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{directory}/cni"
"""


def missing() -> list[str]:
    """The tools that are not installed."""
    found = [tool for tool in TOOLS if shutil.which(tool) is None]
    return found if (PLUGINS / "bridge").exists() else [*found, str(PLUGINS / "bridge")]


def network(directory: pathlib.Path) -> dict[str, Any]:
    """A CNI configuration: a bridge in the namespace, addresses out of PODS, and host ports.

    Which addresses are taken is kept in `directory`.
    """
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(directory / "addresses"),
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    return {
        "cniVersion": "1.0.0",
        "name": "rig",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


class Runtime:
    """One containerd in a network namespace."""

    def __init__(self, directory: pathlib.Path, namespace: Namespace) -> None:
        self.directory = directory
        self.socket = directory / "containerd.sock"
        config = directory / "config.toml"
        command = namespace.enter("containerd", "--config", str(config))
        self.daemon = Daemon("containerd", command, directory)

    def start(self) -> None:
        (self.directory / "cni").mkdir(parents=True)
        (self.directory / "cni" / "10-rig.conflist").write_text(json.dumps(network(self.directory)))
        config = _CONFIG.format(
            directory=self.directory, socket=self.socket, pause=image.PAUSE, plugins=PLUGINS
        )
        (self.directory / "config.toml").write_text(config)
        self.daemon.start()
        self.daemon.wait_for(self.socket.exists, "the socket of containerd")
        self.daemon.wait_for(lambda: self.ctr("version"), "an answer of containerd")
        archive = self.directory / "images.tar"
        busybox = pathlib.Path(shutil.which("busybox") or "")
        image.archive(archive, busybox, run(str(busybox), "--list").split())
        self.load(archive)

    def load(self, archive: pathlib.Path) -> None:
        """Take images out of an archive."""
        self.ctr("images", "import", "--snapshotter=native", str(archive))

    def ctr(self, *arguments: str) -> str:
        """Run ctr among the images and containers that a kubelet sees."""
        return run(*self._ctr, *arguments)

    @property
    def _ctr(self) -> list[str]:
        return ["ctr", f"--address={self.socket}", "--namespace=k8s.io"]

    def run_command(
        self, container: str, *command: str, image: str = image.NAME, flags: Sequence[str] = ()
    ) -> list[str]:
        """The command line that runs a container without a kubelet."""
        own = ["--snapshotter=native", f"--runc-root={self.directory}/runc"]
        return [*self._ctr, "run", *own, *flags, image, container, *command]

    def stop(self) -> None:
        """End all containers, then containerd; what cannot be ended in order is killed."""
        with contextlib.suppress(AssertionError):
            for task in self.ctr("tasks", "list", "--quiet").split():
                self.ctr("tasks", "delete", "--force", task)
        self.daemon.stop()
        kill_shims_of(self.socket)
        unmount_below(self.directory)
