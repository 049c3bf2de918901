"""Validates new pods and pod templates (apis/core/validation, ValidatePodSpec)."""

from collections.abc import Mapping, Sequence

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import report, validate_annotations, validate_ip, validate_labels
from pilothouse.api.validate.pod import scheduling, security
from pilothouse.api.validate.pod.annotations import (
    validate_annotations_match_fields,
    validate_pod_annotations,
)
from pilothouse.api.validate.pod.container import (
    Surroundings,
    trimmed_image,
    validate_containers,
    validate_own_parts,
)
from pilothouse.api.validate.pod.options import NEW, PodOptions, options_for
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.resources import validate_pod_resources
from pilothouse.api.validate.pod.visit import visit
from pilothouse.api.validate.pod.volumes import validate_volumes
from pilothouse.api.validate.remembered import RememberedRule
from pilothouse.api.validate.resources import validate_requirements
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

__all__ = [
    "NEW",
    "PodOptions",
    "options_for",
    "validate_pod",
    "validate_pod_metadata_and_spec",
    "validate_pod_spec",
    "validate_pod_template",
    "validate_pod_template_spec",
]
MAX_NAMESERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH_CHARS = 2048
rules = Rules(
    __name__,
    scheduling.rules,
    security.rules,
    resources=validate_pod_resources,
    tolerations=RememberedRule(scheduling.validate_tolerations),
    trimmed_image=trimmed_image,
    known_ip=lambda address, path, errs, options: validate_ip(address, path, errs, options.old_ips),
    spread=lambda constraints, path, errs, options: scheduling.validate_spread_constraints(
        constraints, path, errs, any_selector=options.allow_invalid_spread_selector
    ),
    overhead=lambda overhead, path, errs, options: validate_requirements(
        {"limits": overhead}, path, errs, any_huge_page=options.allow_indivisible_huge_pages
    ),
)


def _file_volumes(spec: Object, path: str, errs: Errors) -> None:
    """Variables can be read only from files in an emptyDir volume (KEP-3721)."""
    volumes: Mapping[str, Object] | None = None
    for container, at in visit(spec, path):
        for i, variable in enumerate(container.get("env") or ()):
            source = variable.get("valueFrom")
            ref = source.get("fileKeyRef") if source else None
            name = (ref or {}).get("volumeName")
            if not name:
                continue
            if volumes is None:
                volumes = {v.get("name", ""): v for v in spec.get("volumes") or ()}
            where = f"{at}.env[{i}].valueFrom.fileKeyRef.volumeName"
            if name not in volumes:
                errs.not_found(where, name)
            elif volumes[name].get("emptyDir") is None:
                errs.invalid(where, name, "referenced volume must be of type emptyDir")


@rules
def _host_ports(spec: Object, path: str, errs: Errors, options: PodOptions) -> None:
    """Ports in the host's network equal host ports; templates may leave that to the pod's defaults."""
    for i, container in enumerate(spec.get("containers") or ()):
        for j, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort", 0)
            if (options.is_pod or host) and host != port.get("containerPort", 0):
                why = "must match `containerPort` when `hostNetwork` is true"
                errs.invalid(f"{path}.containers[{i}].ports[{j}].hostPort", host, why)


@rules
def _dns_config(spec: Object, path: str, errs: Errors, options: PodOptions) -> None:
    config, path = spec.get("dnsConfig"), f"{path}.dnsConfig"
    servers = (config or {}).get("nameservers") or []
    if spec.get("dnsPolicy") == "None":
        if config is None:
            errs.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not servers:
            why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            errs.required(f"{path}.nameservers", why)
            return
    if config is None:
        return
    if len(servers) > MAX_NAMESERVERS:
        errs.invalid(f"{path}.nameservers", servers, f"must not have more than {MAX_NAMESERVERS} nameservers")
    for i, server in enumerate(servers):
        validate_ip(server, f"{path}.nameservers[{i}]", errs, options.old_ips)
    searches = config.get("searches") or []
    if len(searches) > MAX_SEARCHES:
        errs.invalid(f"{path}.searches", searches, f"must not have more than {MAX_SEARCHES} search paths")
    if names.size(" ".join(searches)) > MAX_SEARCH_CHARS:
        why = f"must not have more than {MAX_SEARCH_CHARS} characters (including spaces) in the search list"
        errs.invalid(f"{path}.searches", searches, why)
    for i, search in enumerate(searches):
        if search != ".":
            search = search.removesuffix(".")
            report(f"{path}.searches[{i}]", search, names.dns_subdomain_underscore(search), errs)
    _dns_options(config, path, errs)


_of_pod = rules.table("api.core.v1.PodSpec")("""
    if not serviceAccountName
      volumes[]
        projected.sources[]
          serviceAccountToken-?         : must not be specified when serviceAccountName is not set
    containers[]
      image                             trimmed-image
    initContainers[]
      image                             trimmed-image
""")
"""Rules for members that a template may have and a pod may not."""
_spec = rules.table("api.core.v1.PodSpec")("""
    if resources given
      @resources
    if hostNetwork
      @host-ports
    restartPolicy!                      Always|OnFailure|Never
    dnsPolicy!                          ClusterFirstWithHostNet|ClusterFirst|Default|None
    nodeSelector                        labels
    @security-context
    affinity+                           affinity
    if dnsConfig given or dnsPolicy == None
      @dns-config
    readinessGates[]
      conditionType                     qualified-name
    schedulingGates                     scheduling-gates
    topologySpreadConstraints+          spread
    @host-process
    @host-users
    serviceAccountName+                 dns-subdomain
    nodeName+                           dns-subdomain
    activeDeadlineSeconds               1..2147483647
    hostname+                           dns-label
    subdomain+                          dns-label
    if hostnameOverride given
      setHostnameAsFQDN-                as:hostnameOverride : may not be specified when setHostnameAsFQDN is true
      hostNetwork-                      as:hostnameOverride : may not be specified when hostNetwork is true
      hostnameOverride                  dns-subdomain max:64
    tolerations                         tolerations
    hostAliases[]
      ip                                known-ip
      hostnames[]                       dns-subdomain
    priorityClassName+                  dns-subdomain
    runtimeClassName                    dns-subdomain
    if preemptionPolicy given
      preemptionPolicy!                 PreemptLowerPriority|Never
    overhead                            overhead
    os
      name!                             : cannot be empty
    if os.name == linux
      @linux
    elif os.name == windows
      @windows
    elif os.name
      os.name                           linux|windows as:
""")
_claim_names = rules.table("api.core.v1.PodResourceClaim")("""
    resourceClaimName,resourceClaimTemplateName dns-subdomain
""")
_dns_options = rules.table("api.core.v1.PodDNSConfig")("""
    options[]
      name!                             as: : must not be empty
""")


def validate_pod_template_spec(template: Object, path: str, errs: Errors, options: PodOptions) -> None:
    """Validates a PodTemplateSpec at `path`; `options` are those of options_for() if it replaces another."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    annotations = metadata.get("annotations")
    validate_labels(metadata.get("labels"), f"{path}.labels", errs)
    validate_annotations(annotations, f"{path}.annotations", errs)
    any_cost = options.allow_invalid_deletion_cost
    validate_pod_annotations(annotations or {}, spec, f"{path}.annotations", errs, any_cost=any_cost)
    validate_pod_spec(spec, f"{path}.spec", errs, options)
    validate_annotations_match_fields(annotations or {}, spec, f"{path}.spec", errs)
    if spec.get("ephemeralContainers"):
        errs.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def validate_pod_template(
    template: Object, errs: Errors, old: Object | None = None, policy: PodPolicy = STRICT
) -> None:
    """Validates a PodTemplate object."""
    before = (old or {}).get("template") or {}
    options = options_for(before.get("spec"), before.get("metadata"), policy=policy)
    validate_pod_template_spec(template.get("template") or {}, "template", errs, options)


_own = rules.table("api.core.v1.PodSpec")("""
    affinity+                           affinity
    nodeName+                           dns-subdomain
    hostname+                           dns-label
""")
"""Rules for members that often differ among the pods of one template (templates.OWN)."""


def validate_pod(pod: Object, errs: Errors, policy: PodPolicy = STRICT, *, large: bool = False) -> None:
    """Validates a new pod. PERF: what a valid pod of the same template had, too, is not judged again.

    large: its template is not looked for, nor remembered: to compare and to copy it would hold up other
    threads.
    """
    spec, count = pod.get("spec") or {}, len(errs)
    known = not large and policy.template_of(spec) is not None
    validate_pod_metadata_and_spec(pod, errs, options_for(None, is_pod=True, policy=policy), known=known)
    if spec.get("ephemeralContainers"):
        errs.forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("nodeName") and spec.get("schedulingGates"):
        errs.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")
    validate_annotations_match_fields(pod["metadata"].get("annotations") or {}, spec, "spec", errs)
    if not (known or large) and len(errs) == count:
        policy.remember_template(spec)


def validate_pod_metadata_and_spec(
    pod: Object, errs: Errors, options: PodOptions, *, known: bool = False
) -> None:
    """Rules for a pod at its creation and after every update; `known` if only members of its own can be wrong."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    annotations, any_cost = metadata.get("annotations") or {}, options.allow_invalid_deletion_cost
    validate_pod_annotations(annotations, spec, "metadata.annotations", errs, any_cost=any_cost)
    validate_pod_spec(spec, "spec", errs, options, meta=metadata, known=known)
    if not known or not spec.get("serviceAccountName"):
        _of_pod(spec, "spec", errs)


def validate_pod_spec(
    spec: Object,
    path: str,
    errs: Errors,
    options: PodOptions = NEW,
    *,
    meta: Object | None = None,
    known: bool = False,
) -> None:
    """Validates a PodSpec at `path`; `meta` is the pod's metadata, None for a template."""
    if spec.get("terminationGracePeriodSeconds") is None:
        errs.required(f"{path}.terminationGracePeriodSeconds")
    pod_name = (meta or {}).get("name", "")
    volumes = validate_volumes(spec.get("volumes") or [], pod_name, f"{path}.volumes", errs, options)
    claims = spec.get("resourceClaims") or []
    if claims:
        _resource_claims(claims, f"{path}.resourceClaims", errs)
    around = Surroundings(
        volumes=volumes,
        claims=frozenset(c["name"] for c in claims if c.get("name")) if claims else frozenset(),
        restart_policy=spec.get("restartPolicy", ""),
        grace=spec.get("terminationGracePeriodSeconds"),
        host_users=spec.get("hostUsers") is not False,
        options=options,
    )
    (validate_own_parts if known else validate_containers)(spec, path, errs, around)
    if around.reads_files:
        _file_volumes(spec, path, errs)
    (_own if known else _spec)(spec, path, errs, options)


def _resource_claims(claims: Sequence[Object], path: str, errs: Errors) -> None:
    seen: set[str] = set()
    for i, claim in enumerate(claims):
        at, name = f"{path}[{i}]", claim.get("name", "")
        count = sum(claim.get(m) is not None for m in ("resourceClaimName", "resourceClaimTemplateName"))
        if not name:
            errs.required(f"{at}.name")
        elif name in seen:
            errs.duplicate(f"{at}.name", name)
        else:
            d.dns_label(name, f"{at}.name", errs)
            seen.add(name)
        if count != 1:
            why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            if count:
                why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errs.invalid(at, go(claim, "api.core.v1.PodResourceClaim"), why)
        _claim_names(claim, at, errs)
