"""Warnings about valid but questionable pods and pod templates (podutil.GetWarningsForPod)."""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain

from pilothouse.api.validate.node_labels import DEPRECATED, term_warnings
from pilothouse.api.validate.persistentvolumeclaim import claim_spec_warnings
from pilothouse.api.validate.pod.annotations import (
    APPARMOR,
    PROFILE,
    SECCOMP_CONTAINER,
    SECCOMP_POD,
    may_matter,
)
from pilothouse.api.validate.pod.overlaps import overlap_warnings
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.templates import Template
from pilothouse.api.validate.pod.visit import containers, visit
from pilothouse.api.validate.resources import fractional_warning, is_whole
from pilothouse.api.values import addresses, names
from pilothouse.api.values._structs import distinct, only
from pilothouse.api.values.fields import Object
from pilothouse.api.values.warnings import enough
from pilothouse.gotext import quote

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NULL_SELECTOR = "a null labelSelector results in matching no pod"
_OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
}
_OLD_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "ephemeral": "",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_QUIET_VOLUMES = frozenset(
    (
        "name",
        "emptyDir",
        "hostPath",
        "persistentVolumeClaim",
        "csi",
        "nfs",
    )
)
"""Members of volumes for which there are no warnings."""
_PROFILE_FIELD = 'non-functional in v1.27+; use the "seccompProfile" field instead'


def pod_warnings(pod: Object, policy: PodPolicy = STRICT) -> list[str]:
    """Warnings for a new pod, including its name; an update of a pod gives none."""
    wrong = names.dns_label(pod["metadata"].get("name", ""))
    out = []
    if wrong:
        what = "this is used in the Pod's hostname, which can result in surprising behavior"
        out.append(f"metadata.name: {what}; a DNS label is recommended: [{' '.join(wrong)}]")
    return enough(chain(out, _warnings(pod, "", policy.template_judged(pod.get("spec") or {}))))


def template_warnings(template: Object, path: str) -> list[str]:
    """Warnings for a pod template at `path` (`spec.template`)."""
    return enough(_warnings(template, path + "."))


def _warnings(pod: Object, prefix: str, known: Template | None = None) -> Iterator[str]:
    """`prefix` is the path of a pod template with a trailing dot, "" for a pod.

    known: what the pod shares with others that were valid.
    """
    spec, annotations = pod.get("spec") or {}, (pod.get("metadata") or {}).get("annotations") or {}
    path, noted = f"{prefix}spec", f"{prefix}metadata.annotations"
    if not spec.keys().isdisjoint(_PLACES):
        yield from _placement(spec, path)
    old = may_matter(annotations)
    if old:
        for name, text in _OLD_ANNOTATIONS.items():
            if name in annotations:
                yield f"{noted}[{name}]: {text}"
    volumes = spec.get("volumes")
    if volumes and not only(volumes, _QUIET_VOLUMES):
        yield from _volumes(spec, path)
        yield from overlap_warnings(volumes)
    if "hostAliases" in spec or "imagePullSecrets" in spec:
        yield from _doubles(spec, path)
    if "overhead" in spec:
        for name in ("memory", "ephemeral-storage"):
            yield from fractional_warning(f"{path}.overhead", spec["overhead"], name)
    context = spec.get("securityContext") or {}
    profiled = old and any(map(PROFILE, annotations))
    if profiled and context.get("seccompProfile") is None and SECCOMP_POD in annotations:
        yield f"{noted}[{SECCOMP_POD}]: {_PROFILE_FIELD}"
    integral, clashes = _facts(spec, path, known)
    if profiled or not integral or _have_doubles(spec):
        for container, at in visit(spec, path):
            if profiled:
                yield from _profiles(container, context, annotations, noted, templated=bool(prefix))
            yield from _container(container, at)
    yield from clashes
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        why = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path}.terminationGracePeriodSeconds: {why}"
    if spec.get("affinity"):
        yield from _pod_affinity(spec["affinity"], f"{path}.affinity")
    if "dnsConfig" in spec or "hostAliases" in spec:
        yield from _ips(spec, path)


def _profiles(
    container: Object, context: Object, annotations: Object, noted: str, *, templated: bool
) -> Iterator[str]:
    """Warns about deprecated annotations with profiles; `context` is the pod's security context."""
    own = container.get("securityContext") or {}
    key = SECCOMP_CONTAINER + container.get("name", "")
    if own.get("seccompProfile") is None and key in annotations:
        yield f"{noted}[{key}]: {_PROFILE_FIELD}"
    key = APPARMOR + container.get("name", "")
    profiled = context.get("appArmorProfile") or own.get("appArmorProfile")
    if templated and not profiled and key in annotations:
        yield f'{noted}[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'


_PLACES = frozenset(("nodeSelector", "affinity", "topologySpreadConstraints"))


def _placement(spec: Object, path: str) -> Iterator[str]:
    for label in sorted(spec.get("nodeSelector") or ()):
        if label in DEPRECATED:
            yield f"{path}.nodeSelector[{label}]: {DEPRECATED[label]}"
    node = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    at = f"{path}.affinity.nodeAffinity"
    for i, term in enumerate((node.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()):
        yield from term_warnings(term, f"{at}.{_REQUIRED}.nodeSelectorTerms[{i}]")
    for i, term in enumerate(node.get(_PREFERRED) or ()):
        where = f"{at}.{_PREFERRED}[{i}].preference"
        yield from term_warnings(term.get("preference") or {}, where, check_values=True)
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        key, at = constraint.get("topologyKey", ""), f"{path}.topologySpreadConstraints[{i}]"
        if key in DEPRECATED:
            yield f"{at}.topologyKey: {key} is {DEPRECATED[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{at}.labelSelector: {_NULL_SELECTOR}"


def _volumes(spec: Object, path: str) -> Iterator[str]:
    for i, volume in enumerate(spec["volumes"]):
        if volume.keys().isdisjoint(_OLD_VOLUMES):
            continue
        for member, text in _OLD_VOLUMES.items():
            if volume.get(member) is None:
                continue
            at = f"{path}.volumes[{i}].{'storageOS' if member == 'storageos' else member}"
            if member != "ephemeral":
                yield f"{at}: {text}"
            elif volume[member].get("volumeClaimTemplate") is not None:
                claim = volume[member]["volumeClaimTemplate"].get("spec") or {}
                yield from claim_spec_warnings(claim, f"{at}.volumeClaimTemplate.spec")


def _doubles(spec: Object, path: str) -> Iterator[str]:
    for member, part, what in (("hostAliases", "ip", "ip"), ("imagePullSecrets", "name", "name")):
        seen: set[str] = set()
        for i, entry in enumerate(spec.get(member) or ()):
            value = entry.get(part, "")
            if value in seen:
                yield f"{path}.{member}[{i}].{part}: duplicate {what} {quote(value)}"
            seen.add(value)
    for i, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield f'{path}.imagePullSecrets[{i}].name: invalid empty name ""'


def _have_doubles(spec: Object) -> bool:
    """Whether two variables of a container have the same name."""
    for container in containers(spec):
        if "env" in container and not distinct(container["env"] or [], "name"):
            return True
    return False


def _facts(spec: Object, path: str, template: Template | None) -> tuple[bool, list[str]]:
    """Whether all amounts of bytes in containers are whole numbers, and the warnings about their ports."""
    if template is not None and template.facts is not None:
        return template.facts
    listed = list(visit(spec, path))
    integral = not any(True for container, at in listed for _ in _fractions(container, at))
    facts = integral, enough(_ports(listed))
    if template is not None:
        template.facts = facts
    return facts


def _fractions(container: Object, path: str) -> Iterator[str]:
    resources = container.get("resources") or {}
    for name in ("memory", "ephemeral-storage"):
        for member in ("limits", "requests"):
            amount = (resources.get(member) or {}).get(name)
            if amount is not None and not is_whole(amount):
                yield from fractional_warning(f"{path}.resources.{member}", resources[member], name)


def _container(container: Object, path: str) -> Iterator[str]:
    yield from _fractions(container, path)
    seen: set[str] = set()
    for i, variable in enumerate(container.get("env") or ()):
        name = variable.get("name", "")
        if name not in seen:
            seen.add(name)
            continue
        value, reference = variable.get("value", ""), f"$({name})"
        if variable.get("valueFrom") is not None or value == reference or reference not in value:
            what = "hides previous definition of"
            yield f"{path}.env[{i}]: {what} {quote(name)}, which may be dropped when using apply"


def _shown_port(port: Object) -> str:
    """A port as Go's %+v prints it."""
    members = ("name", "hostPort", "containerPort", "protocol", "hostIP")
    values = [port.get(m, 0 if m.endswith("Port") else "") for m in members]
    shown = [f"{m[:1].upper()}{m[1:]}:{v}" for m, v in zip(members, values, strict=True)]
    return f"{{{' '.join(shown)}}}"


class _SamePorts:
    """Ports with the same number and protocol in the pod's order; many are indexed by host port and address."""

    __slots__ = ("_all", "_by_host", "_by_sort")

    def __init__(self) -> None:
        self._all: list[tuple[int, str, int, str]] = []
        self._by_host: dict[tuple[int, str], list[tuple[int, str]]] = {}
        self._by_sort: dict[tuple[int, bool], list[tuple[int, str]]] = {}

    def add(self, at: str, port: int, host: str) -> None:
        """Add a port that is at a path."""
        self._all.append((len(self._all), at, port, host))
        if len(self._all) > _FEW:
            for one in self._all if len(self._all) == _FEW + 1 else self._all[-1:]:
                self._index(*one)

    def _index(self, index: int, at: str, port: int, host: str) -> None:
        self._by_host.setdefault((port, host), []).append((index, at))
        self._by_sort.setdefault((port, bool(host)), []).append((index, at))

    def clashes(self, port: int, host: str) -> Iterator[tuple[str, str]]:
        """Ports that conflict with a new one, in order: the conflict, and the other port's path."""
        if not port or len(self._all) <= _FEW:
            for _, at, other_port, other_host in self._all:
                if (other_port, other_host) == (port, host):
                    yield _DOUBLE, at
                elif not port or not other_port:
                    yield _OVERLAPPING, at
                elif other_port == port and (not other_host or not host):
                    yield _AMBIGUOUS, at
            return
        found = [(self._by_host.get((port, host), ()), _DOUBLE)]
        found += [(self._by_sort.get((0, has_host), ()), _OVERLAPPING) for has_host in (False, True)]
        found.append((self._by_sort.get((port, not host), ()), _AMBIGUOUS))
        for _, at, what in merge(*(_conflicts(entries, what) for entries, what in found)):
            yield what, at


_DOUBLE, _OVERLAPPING, _AMBIGUOUS = "duplicate", "overlapping", "dangerously ambiguous"
_FEW = 8
"""Ports that are looked at one after another."""


def _conflicts(entries: Iterable[tuple[int, str]], what: str) -> Iterator[tuple[int, str, str]]:
    return ((index, at, what) for index, at in entries)


def _ports(visited: Iterable[tuple[Object, str]]) -> Iterator[str]:
    known: dict[tuple[int, str], _SamePorts] = {}
    named: dict[str, str] = {}
    for container, where in visited:
        for i, port in enumerate(container.get("ports") or ()):
            at = f"{where}.ports[{i}]"
            host, host_port = port.get("hostIP", ""), port.get("hostPort", 0)
            if host and not host_port:
                yield f"{at}: hostIP set without hostPort: {_shown_port(port)}"
            sort = port.get("containerPort", 0), port.get("protocol", "")
            alike = known.get(sort)
            if alike is None:
                alike = known[sort] = _SamePorts()
            else:
                for what, other in alike.clashes(host_port, host):
                    yield f"{at}: {what} port definition with {other}"
            alike.add(at, host_port, host)
            name = port.get("name", "")
            if name and named.setdefault(name, at) != at:
                first = named[name]
                if first.rpartition(".ports[")[0] != where:
                    what = f"duplicate port name {quote(name)} with {first}"
                    yield f"{at}: {what}, services and probes that select ports by name will use {first}"


def _pod_affinity(affinity: Object, path: str) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        for i, term in enumerate(rules.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                yield f"{path}.{kind}.{_REQUIRED}[{i}].labelSelector: {_NULL_SELECTOR}"
        for i, term in enumerate(rules.get(_PREFERRED) or ()):
            if (term.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{path}.{kind}.{_PREFERRED}[{i}].podAffinityTerm.labelSelector: {_NULL_SELECTOR}"


def _ips(spec: Object, path: str) -> Iterator[str]:
    for i, server in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or ()):
        yield from addresses.ip_warnings(f"{path}.dnsConfig.nameservers[{i}]", server)
    for i, alias in enumerate(spec.get("hostAliases") or ()):
        yield from addresses.ip_warnings(f"{path}.hostAliases[{i}].ip", alias.get("ip", ""))
