"""Write docs/flags.md: every flag with its default, and why some have no effect.

python tools/gen_flags.py [--out FOLDER]
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "src"))

from pilothouse.configuration.config import all_flags  # noqa: E402
from pilothouse.configuration.flags import KINDS, Flag, show  # noqa: E402

HEAD = """# Flags

Every flag of kube-apiserver v1.36 is known, and those of this server beside them: the last group. `make map` writes this
page from their declarations (`src/pilothouse/configuration/sections/`), which `pilothouse serve --help` shows as well. A flag that is given
and has no effect is told in the log at the start.
"""  # noqa: E501

EMULATION = "There is one version, 1.36: no earlier one is imitated."
ELECTION = "Coordinated leader election is an alpha feature of kube-apiserver; its API is not served."
PEERS = "Requests for versions that a server does not know are not passed on to others (a beta feature, off by default)."  # noqa: E501
SPLIT = "Log lines go to standard error by one thread; service managers tell their severity by its first letter or member."  # noqa: E501
PROFILES = "There are no profiles of Go; docs/performance.md tells how to profile this server."
MEMORY = "Reads are always answered from memory, which holds all objects of a resource and as many changes as its budget allows."  # noqa: E501

REASONS = {
    "contention-profiling": PROFILES,
    "coordinated-leadership-lease-duration": ELECTION,
    "coordinated-leadership-renew-deadline": ELECTION,
    "coordinated-leadership-retry-period": ELECTION,
    "debug-socket-path": PROFILES,
    "delete-collection-workers": "One loop writes, and the store gathers the writes: more workers would not be faster.",  # noqa: E501
    "emulated-version": EMULATION,
    "emulation-forward-compatible": EMULATION,
    "enable-logs-handler": "It has been deprecated since v1.19; a user who may read the log directory over HTTP reads too much.",  # noqa: E501
    "etcd-count-metric-poll-period": "Objects are counted in memory at each scrape, so nothing polls.",
    "etcd-db-metric-poll-interval": "The size of the store is read at each scrape, so nothing polls.",
    "feature-gates": "Features that are on by default in v1.36 are always on, others do not exist here.",
    "kubelet-timeout": "Connections to kubelets end with the request that they are for.",
    "kubernetes-service-node-port": "The service kubernetes has a cluster IP only.",
    "log-flush-frequency": "No line is held back.",
    "log-json-info-buffer-size": SPLIT,
    "log-json-split-stream": SPLIT,
    "log-text-info-buffer-size": SPLIT,
    "log-text-split-stream": SPLIT,
    "max-connection-bytes-per-sec": "Streams are paced by their slower side alone.",
    "min-compatibility-version": EMULATION,
    "peer-advertise-ip": PEERS,
    "peer-advertise-port": PEERS,
    "permit-address-sharing": "SO_REUSEADDR is always set.",
    "profiling": PROFILES,
    "runtime-config-emulation-forward-compatible": EMULATION,
    "send-retry-after-while-not-ready-once": "The port is opened when the server is ready, so nobody asks before.",  # noqa: E501
    "shutdown-watch-termination-grace-period": "Watches end at once when requests are drained; clients resume elsewhere.",  # noqa: E501
    "storage-initialization-timeout": "The port is opened when the storage is ready; a service manager bounds the start.",  # noqa: E501
    "storage-media-type": "Objects are stored as JSON, which kube-apiserver reads; what it has stored as protobuf is read.",  # noqa: E501
    "watch-cache": MEMORY,
    "watch-cache-sizes": MEMORY,
}
"""Why a flag has no effect, by its name; a flag that has one is not in here."""


def row(flag: Flag) -> str:
    kind = KINDS[flag.kind].shown or "bool"
    text = flag.help if flag.effective else f"{flag.help} **No effect:** {REASONS[flag.name]}"
    text += f" Deprecated: {flag.deprecated}" if flag.deprecated else ""
    default = show(flag)
    shown = f"`{default}`" if default else ""
    cells = [f"`--{flag.name}`", kind, shown, text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    groups: dict[str, list[Flag]] = {}
    for flag in all_flags():
        groups.setdefault(flag.group, []).append(flag)
    idle = [flag.name for flag in all_flags() if not flag.effective]
    out = [HEAD, f"{len(all_flags())} flags; {len(idle)} of them have no effect here.\n"]
    for group, members in groups.items():
        out.append(f"## {group[0].upper()}{group[1:]}\n\n| flag | type | default | |\n|---|---|---|---|")
        out.append("\n".join(row(flag) for flag in sorted(members, key=lambda flag: flag.name)) + "\n")
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=DOCS)
    (parser.parse_args().out / "flags.md").write_text(page())


if __name__ == "__main__":
    main()
