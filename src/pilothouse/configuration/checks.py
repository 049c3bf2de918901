"""Validates a configuration: one sentence per error, with upstream's message where it has one."""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pilothouse.configuration.backends import BACKENDS
from pilothouse.configuration.config import Config
from pilothouse.configuration.entry_points import Offered, offered
from pilothouse.configuration.flags import Flag

MODES = ("ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook")
TLS_VERSIONS = ("VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13")


def check(
    config: Config, all_flags: Iterable[Flag], installed: Callable[[], list[Offered]] = offered
) -> Iterator[str]:
    """Yield every fault of a configuration, in upstream's words where it has some.

    `installed` gives the admission plugins of installed packages; it is called where flags may mean them.
    """
    yield from _check_numbers(config)
    yield from _check_network(config)
    yield from _check_serving(config)
    yield from _check_auth(config)
    yield from _check_front_proxy(config)
    yield from _check_files(config, all_flags)
    if config.storage_backend not in BACKENDS:
        yield (
            f"--storage-backend invalid, allowed values: {', '.join(BACKENDS)}. "
            "If not specified, it will default to 'sqlite'"
        )
    elif BACKENDS[config.backend].addresses and not config.etcd_servers:
        yield "--etcd-servers must be specified"
    if bool(config.etcd_certfile) != bool(config.etcd_keyfile):
        yield "--etcd-certfile and --etcd-keyfile must be given together"
    if config.encryption_provider_config_automatic_reload and not config.encryption_provider_config:
        yield "--encryption-provider-config-automatic-reload must be set with --encryption-provider-config"
    if bool(config.cluster_signing_cert_file) != bool(config.cluster_signing_key_file):
        yield "--cluster-signing-cert-file and --cluster-signing-key-file must be given together"
    if config.cluster_signing_duration < 600:
        yield "--cluster-signing-duration must be at least 10 minutes"
    if config.cache_memory_mb < 1:
        yield f"--cache-memory-mb {config.cache_memory_mb} must be at least 1"
    yield from _check_sizes(config)
    if config.max_token_bytes < 1:
        yield f"--max-token-bytes {config.max_token_bytes} must be a positive number"
    if config.explained_requests < 0:
        yield f"--explained-requests {config.explained_requests} can not be negative"
    if config.workers < 1:
        yield f"--workers {config.workers} must be at least 1"
    elif config.workers > 1 and not _shared(config):
        yield (
            f"--workers={config.workers} needs --etcd-servers: the {config.backend} store is for one process"
        )
    if config.logging_format not in ("text", "json"):
        yield f'format: Invalid value: "{config.logging_format}": Unsupported log format'
    if config.enable_priority_and_fairness:
        if config.max_requests_inflight + config.max_mutating_requests_inflight <= 0:
            yield "--max-requests-inflight and --max-mutating-requests-inflight must not both be 0"
        for name in ("flowcontrol.apiserver.k8s.io/v1", "api/ga", "api/all"):
            value = config.runtime_config.get(name)
            if value == "false":
                yield f"--runtime-config={name}=false conflicts with --enable-priority-and-fairness=true"
            if value is not None:
                break
    yield from _check_metrics(config)
    yield from _check_audit(config)
    yield from _check_plugins(config, installed)


def _shared(config: Config) -> bool:
    """Whether several processes can have the store."""
    backend = BACKENDS.get(config.backend)
    return backend is not None and backend.others_write


METRIC_FLAGS = frozenset(
    (
        "allow-metric-labels",
        "allow-metric-labels-manifest",
        "disabled-metrics",
        "metrics-profile",
        "show-hidden-metrics-for-version",
    )
)


def _check_metrics(config: Config) -> Iterator[str]:
    """The flags of metrics (component-base/metrics/api/v1)."""
    if not config.given & METRIC_FLAGS:
        return
    from pilothouse.configuration.metric_limits import (
        MINOR,
        ManifestError,
        read_manifest,
        wrong_labels,
        wrong_name,
    )

    version, before = config.show_hidden_metrics_for_version, f"1.{MINOR - 1}"
    if version not in ("", before):
        yield (
            f"metrics.showHiddenMetricsForVersion: Invalid value: {_json(version)}: must be omitted or have"
            f" the value '{before}'; only the previous minor version is allowed"
        )
    if name := next(filter(wrong_name, config.disabled_metrics), None):
        names = _json(config.disabled_metrics)
        yield f"metrics.disabledMetrics: Invalid value: {names}: {wrong_name(name)}"
    labels, manifest = config.allow_metric_labels, config.allow_metric_labels_manifest
    if problem := wrong_labels(labels):
        yield f"metrics.allowListMapping: Invalid value: {_json(labels)}: {problem}"
    if manifest:
        try:
            read_manifest(manifest)
        except ManifestError as error:
            yield f"metrics.allowListMappingManifest: Invalid value: {_json(manifest)}: {error}"
    if labels and manifest:
        both = _json({"allowListMapping": labels, "allowListMappingManifest": manifest})
        yield (
            f"metrics: Invalid value: {both}: cannot specify both allowListMapping and"
            " allowListMappingManifest"
        )
    if config.metrics_profile not in ("full", "small"):
        yield f"--metrics-profile {_json(config.metrics_profile)} must be full or small"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


LEAST_MEMORY = 128 << 20
"""Bytes that a worker needs to do anything at all."""


def _check_sizes(config: Config) -> Iterator[str]:
    """The flags that are quantities of bytes."""
    if not config.max_memory and not config.max_unpaged_list_bytes:
        return
    from pilothouse.api.values import quantity

    for name in ("max_memory", "max_unpaged_list_bytes"):
        flag, text = f"--{name.replace('_', '-')}", getattr(config, name)
        try:
            size = quantity.parse(text).value() if text else 0
        except quantity.QuantityError as error:
            yield f"{flag} {text!r}: {error}"
            continue
        if size < 0:
            yield f"{flag} {text} can not be negative"
        elif name == "max_memory" and 0 < size < LEAST_MEMORY * config.workers:
            yield (
                f"{flag} {text} must be at least {LEAST_MEMORY >> 20}Mi for each of"
                f" --workers={config.workers}, or 0"
            )


AUDIT_MODES = ("batch", "blocking", "blocking-strict")
AUDIT_VERSION = "audit.k8s.io/v1"


def _check_audit(config: Config) -> Iterator[str]:
    """The flags of the audit back ends that are switched on (apiserver pkg/server/options/audit.go)."""
    if config.audit_log_path:
        yield from _check_audit_backend(config, "log")
        if config.audit_log_format not in ("json", "legacy"):
            yield f'invalid audit log format {config.audit_log_format}, allowed formats are "legacy,json"'
        for name in ("maxage", "maxbackup", "maxsize"):
            value = getattr(config, f"audit_log_{name}")
            if value < 0:
                yield f"--audit-log-{name} {value} can't be a negative number"
    if config.audit_webhook_config_file:
        yield from _check_audit_backend(config, "webhook")


def _check_audit_backend(config: Config, name: str) -> Iterator[str]:
    def value(flag: str) -> Any:
        return getattr(config, f"audit_{name}_{flag}")

    if value("mode") not in AUDIT_MODES:
        yield f'invalid audit {name} mode {value("mode")}, allowed modes are "{",".join(AUDIT_MODES)}"'
    elif value("mode") == "batch":
        wanted = [("batch_buffer_size", "buffer size"), ("batch_max_size", "max batch size")]
        if value("batch_throttle_enable"):
            wanted += [("batch_throttle_qps", "throttle QPS"), ("batch_throttle_burst", "throttle burst")]
        for flag, shown in wanted:
            if value(flag) <= 0:
                yield f"invalid audit batch {name} {shown} {value(flag):g}, must be a positive number"
                break
    event, batch = value("truncate_max_event_size"), value("truncate_max_batch_size")
    if event <= 0:
        yield f"invalid audit truncate {name} max event size {event}, must be a positive number"
    elif batch < event:
        yield (
            f"invalid audit truncate {name} max batch size {batch}, must be greater than "
            f"max event size ({event})"
        )
    version = value("version")
    if version.count("/") > 1:
        yield f"unexpected GroupVersion string: {version}"
    elif version != AUDIT_VERSION:
        yield f'invalid group version, allowed versions are ["{AUDIT_VERSION}"]'


PLUGINS = (
    "AlwaysAdmit",
    "NamespaceAutoProvision",
    "NamespaceLifecycle",
    "NamespaceExists",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "ServiceAccount",
    "NodeRestriction",
    "TaintNodesByCondition",
    "AlwaysPullImages",
    "ImagePolicyWebhook",
    "PodSecurity",
    "PodNodeSelector",
    "Priority",
    "DefaultTolerationSeconds",
    "PodTolerationRestriction",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "DefaultStorageClass",
    "StorageObjectInUseProtection",
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "RuntimeClass",
    "CertificateApproval",
    "CertificateSigning",
    "ClusterTrustBundleAttest",
    "CertificateSubjectRestriction",
    "DefaultIngressClass",
    "DenyServiceExternalIPs",
    "PodTopologyLabels",
    "NodeDeclaredFeatureValidator",
    "PodResizeValidator",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
    "ResourceQuota",
    "AlwaysDeny",
)
"""The admission plugins that there are."""

GATED_PLUGINS = ("PodGroupProtection", "PodGroupWorkloadExists", "JobValidation")
"""The plugins that do nothing in kube-apiserver either unless the alpha feature GenericWorkload is on."""


def _check_plugins(config: Config, installed: Callable[[], list[Offered]]) -> Iterator[str]:
    enable, disable = config.enable_admission_plugins, config.disable_admission_plugins
    known = {*PLUGINS, *GATED_PLUGINS}
    if enable or config.admission_control or not known.issuperset(disable):
        packages: dict[str, str] = {}
        for one in installed():
            if one.name in known:
                yield (
                    f'the package {one.package} offers an admission plugin "{one.name}": so is a built-in one'
                    " called"
                )
            elif one.name in packages:
                yield (
                    f"the packages {packages[one.name]} and {one.package} both offer an admission plugin"
                    f' "{one.name}"'
                )
            packages.setdefault(one.name, one.package)
        known |= packages.keys()
    if config.admission_control and (enable or disable):
        yield (
            "admission-control and enable-admission-plugins/disable-admission-plugins flags are "
            "mutually exclusive"
        )
    for flag, names in (
        ("admission-control", config.admission_control),
        ("enable-admission-plugins", enable),
        ("disable-admission-plugins", disable),
    ):
        for name in names:
            if name not in known:
                yield f'{flag} plugin "{name}" is unknown'
    both = set(enable) & set(disable)
    if both:
        yield (
            f"[{' '.join(sorted(both))}] in enable-admission-plugins and disable-admission-plugins overlapped"
        )


_NOT_NEGATIVE = (
    "livez-grace-period",
    "max-requests-inflight",
    "max-mutating-requests-inflight",
    "request-timeout",
    "max-unauthenticated-connections",
    "min-request-timeout",
    "storage-initialization-timeout",
    "shutdown-delay-duration",
    "shutdown-watch-termination-grace-period",
    "event-ttl",
)


def _check_numbers(config: Config) -> Iterator[str]:
    for name in _NOT_NEGATIVE:
        if getattr(config, name.replace("-", "_")) < 0:
            yield f"--{name} can not be a negative value"
    if not 0 <= config.goaway_chance <= 0.02:
        yield "--goaway-chance can not be less than 0 or greater than 0.02"
    for name in ("default_not_ready_toleration_seconds", "default_unreachable_toleration_seconds"):
        if getattr(config, name) < 0:
            yield f"--{name.replace('_', '-')} can not be a negative value"
    longest = config.service_account_max_token_expiration
    if longest and not 3600 <= longest <= 1 << 32:
        yield "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds"


def _check_network(config: Config) -> Iterator[str]:
    port, (first, last) = config.kubernetes_service_node_port, config.service_node_port_range
    if not 0 <= port <= 65535:
        yield (
            f"--kubernetes-service-node-port {port} must be between 0 and 65535, inclusive. "
            "If 0, the Kubernetes master service will be of type ClusterIP"
        )
    elif port and not first <= port <= last:
        yield f"kubernetes service port range {first}-{last} doesn't contain {port}"
    ranges = config.service_cluster_ip_range.split(",")
    if len(ranges) > 2:
        yield "--service-cluster-ip-range must not contain more than two entries"
    networks = []
    for text in ranges:
        try:
            networks.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            yield f'--service-cluster-ip-range: "{text}" is not a valid CIDR'
    for network in networks:
        if network.num_addresses < 8:
            yield "the service cluster IP range must be at least 8 IP addresses"
    if len(networks) == 2 and networks[0].version == networks[1].version:
        yield "the two entries of --service-cluster-ip-range must be of different IP families"


def _check_origin(pattern: str) -> Iterator[str]:
    """An expression for origins must not match the middle of a host's name (CVE-2022-1996)."""
    problem = ""
    if not pattern:
        yield "empty value in --cors-allowed-origins"
        return
    if ("^" not in pattern and "//" not in pattern) or ("$" not in pattern and ":" not in pattern):
        problem = "regular expression does not pin to start/end of host in the origin header"
    else:
        import re2

        try:
            re2.compile(pattern)
        except re2.error as error:
            problem = str(error)
    if problem:
        yield f"--cors-allowed-origins has an invalid regular expression: {problem}"


def _check_serving(config: Config) -> Iterator[str]:
    if not 1 <= config.secure_port <= 65535:
        yield (
            f"--secure-port {config.secure_port} must be between 1 and 65535, inclusive. "
            "It cannot be turned off with 0"
        )
    if config.tls_min_version and config.tls_min_version not in TLS_VERSIONS:
        yield f'unknown tls version "{config.tls_min_version}"'
    for at, number in enumerate(config.tls_curve_preferences):
        from pilothouse.server.tls import CURVES

        if not 1 <= number <= 65535:
            yield f"curve preference {number} is out of range (must be 1-65535)"
        elif number in config.tls_curve_preferences[:at]:
            yield f"duplicate curve preference {number}"
        elif number not in CURVES:
            yield f"curve preference {number} is not supported by the current Go version"
    if config.tls_cipher_suites:
        from pilothouse.server.tls import CIPHERS

        for name in config.tls_cipher_suites:
            if name not in CIPHERS:
                yield f"Cipher suite {name} not supported or doesn't exist"
    if bool(config.tls_cert_file) != bool(config.tls_private_key_file):
        yield "--tls-cert-file and --tls-private-key-file must be given together"
    if bool(config.proxy_client_cert_file) != bool(config.proxy_client_key_file):
        yield "--proxy-client-cert-file and --proxy-client-key-file must be given together"
    for origin in config.cors_allowed_origins:
        yield from _check_origin(origin)
    for directive in config.strict_transport_security_directives:
        if not directive.strip():
            yield "empty value in strict-transport-security-directives"
        elif directive not in ("includeSubDomains", "preload") and not re.fullmatch(
            "max-age=[^=]*", directive
        ):
            yield (
                "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, "
                "includeSubDomains, preload. see https://tools.ietf.org/html/rfc6797#section-6.1 "
                "for more information"
            )


def _check_auth(config: Config) -> Iterator[str]:
    modes = config.authorization_mode
    if config.authorization_config and (modes or config.authorization_webhook_config_file):
        yield (
            "--authorization-config can not be specified when --authorization-mode or "
            "--authorization-webhook-* flags are defined"
        )
    for mode in modes:
        if mode not in MODES:
            yield f'authorization-mode "{mode}" is not a valid mode'
    if len(set(modes)) != len(modes):
        yield f"authorization-mode [{' '.join(modes)}] has mode specified more than once"
    if "ABAC" in modes and not config.authorization_policy_file:
        yield "authorization-mode ABAC's authorization policy file not passed"
    if config.authorization_policy_file and "ABAC" not in modes:
        yield "cannot specify --authorization-policy-file without mode ABAC"
    if "Webhook" in modes and not config.authorization_webhook_config_file:
        yield "authorization-mode Webhook's authorization config file not passed"
    if config.authorization_webhook_config_file and "Webhook" not in modes:
        yield "cannot specify --authorization-webhook-config-file without mode Webhook"
    if any(name.startswith("oidc-") for name in config.given):
        if config.authentication_config:
            yield "authentication-config file and oidc-* flags are mutually exclusive"
        elif not config.oidc_issuer_url or not config.oidc_client_id:
            yield (
                "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set"
            )
    own_keys = config.service_account_signing_key_file or config.service_account_key_file
    if config.service_account_signing_endpoint and own_keys:
        yield (
            "can't set `--service-account-signing-key-file` and/or `--service-account-key-file` with "
            "`--service-account-signing-endpoint` (They are mutually exclusive)"
        )
    signs = config.service_account_signing_key_file or not config.service_account_key_file
    if "service-account-issuer" in config.given and not signs:
        yield (
            "--service-account-signing-key-file, --service-account-issuer, and --api-audiences "
            "should be specified together"
        )
    for issuer in config.service_account_issuer:
        if not issuer or (":" in issuer and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", issuer)):
            yield f"service-account-issuer \"{issuer}\" contained a ':' but was not a valid URL"


def _check_front_proxy(config: Config) -> Iterator[str]:
    """The flags of a front
    proxy (RequestHeaderAuthenticationOptions, and BuiltInAuthenticationOptions of kubeapiserver)."""
    if config.requestheader_client_ca_file and not config.requestheader_username_headers:
        yield "--requestheader-client-ca-file needs --requestheader-username-headers"
    for name in ("username-headers", "group-headers", "extra-headers-prefix", "allowed-names", "uid-headers"):
        flag = f"requestheader-{name}"
        if any(not value.strip() for value in getattr(config, flag.replace("-", "_"))):
            yield f'empty value in "{flag}"'
    uid_headers = config.requestheader_uid_headers
    if uid_headers and "x-remote-uid" not in map(str.lower, uid_headers):
        yield (
            "--requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - "
            "API aggregation will not work"
        )
    clients, proxies = config.client_ca_file, config.requestheader_client_ca_file
    allowed = config.requestheader_allowed_names
    if clients and proxies and not allowed and _certificates(clients) & _certificates(proxies):
        yield (
            "--requestheader-client-ca-file and --client-ca-file contain overlapping certificates;"
            " --requestheader-allowed-names must be specified to ensure regular client certificates cannot"
            " set authenticating proxy headers for arbitrary users"
        )


def _certificates(path: str) -> set[bytes]:
    """The certificates in a PEM file, in base64 without line ends; none when the file cannot be read."""
    try:
        text = Path(path).read_bytes()
    except OSError:
        return set()
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----", text)
    return {b"".join(block.split()) for block in blocks}


def _check_files(config: Config, all_flags: Iterable[Flag]) -> Iterator[str]:
    for flag in all_flags:
        if not flag.effective or flag.name not in config.given:
            continue
        value = getattr(config, flag.name.replace("-", "_"), None)
        if flag.kind == "file":
            paths: tuple[str, ...] = (value,) if value else ()
        elif flag.kind == "files":
            paths = value or ()
        elif flag.kind == "certKey":
            paths = tuple(path for cert, key, _ in value or () for path in (cert, key))
        else:
            continue
        for path in paths:
            try:
                with open(path, "rb"):
                    pass
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                if flag.name == "egress-selector-config-file" and isinstance(error, FileNotFoundError):
                    yield f"{flag.name} {path} does not exist"
                    continue
                yield f"--{flag.name}: open {path}: {why.lower()}"
