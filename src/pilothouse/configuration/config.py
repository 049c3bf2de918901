"""The typed configuration of a server: one table with every flag."""

import ipaddress
import os
import pathlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, partial
from typing import Any

from pilothouse.configuration.backends import ADDRESSED, BACKENDS
from pilothouse.configuration.flags import Flag
from pilothouse.process.version import GIT_VERSION


def _flag(
    group: str, default: Any, kind: str, text: str, *, effective: bool = True, short: str = "", gone: str = ""
) -> Any:
    meta = {
        "kind": kind,
        "group": group,
        "help": text,
        "effective": effective,
        "short": short,
        "deprecated": gone,
    }
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=meta)
    return field(default=default, metadata=meta)


_generic = partial(_flag, "generic")
_etcd = partial(_flag, "etcd")
_serving = partial(_flag, "secure serving")
_audit = partial(_flag, "auditing")
_features = partial(_flag, "features")
_authn = partial(_flag, "authentication")
_authz = partial(_flag, "authorization")
_api = partial(_flag, "API enablement")
_egress = partial(_flag, "egress selector")
_admission = partial(_flag, "admission")
_metrics = partial(_flag, "metrics")
_logs = partial(_flag, "logs")
_traces = partial(_flag, "traces")
_misc = partial(_flag, "misc")
_own = partial(_flag, "pilothouse")
_global = partial(_flag, "global")

OBJECT_LIMIT = 3 << 19
"""1.5 MiB, etcd's default limit of a request (its --max-request-bytes)."""

CONTROLLERS = {
    "bootstrapsigner": "bootstrap-signer-controller",
    "clusterrole-aggregation": "clusterrole-aggregation-controller",
    "csrapproving": "certificatesigningrequest-approving-controller",
    "csrcleaner": "certificatesigningrequest-cleaner-controller",
    "csrsigning": "certificatesigningrequest-signing-controller",
    "garbagecollector": "garbage-collector-controller",
    "namespace": "namespace-controller",
    "resourcequota": "resourcequota-controller",
    "serviceaccount": "serviceaccount-controller",
    "tokencleaner": "token-cleaner-controller",
    "validatingadmissionpolicy-status": "validatingadmissionpolicy-status-controller",
}
"""Built-in controllers: the short name,
and the one by which kube-controller-manager knows it today, which goes as well."""

ON_REQUEST = frozenset(("bootstrapsigner", "csrapproving", "csrcleaner", "csrsigning", "tokencleaner"))
"""The controllers that `*` leaves off: they run when --controllers names them."""

NODE_ADDRESSES = ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Config:
    """The settings of a server: one field for each flag, hyphens as underscores.

    Durations are seconds, addresses text, lists tuples. `given` has the names of the flags that were passed.
    """

    # fmt: off
    advertise_address: str = _generic("", "ip",
        "Address by which the members of the cluster reach this server; the bind address, or the host's "
        "own, when unset.")
    cors_allowed_origins: tuple[str, ...] = _generic((), "strings",
        "Regular expressions of the origins that may use the API from a browser; each names the start and "
        "the end of a host, as in ^https://example\\.com$.")
    emulated_version: tuple[str, ...] = _generic((), "strings",
        "Versions whose behaviour is imitated.", effective=False)
    emulation_forward_compatible: bool = _generic(False, "bool",
        "Serve newer API versions while an older one is imitated.", effective=False)
    external_hostname: str = _generic("", "string",
        "Host name in the URLs that the server gives out, such as those of the token issuer's keys.")
    feature_gates: Mapping[str, bool] = _generic({}, "gates",
        "Features to switch on or off, as Name=true,Other=false.", effective=False)
    goaway_chance: float = _generic(0.0, "float",
        "Share of requests after which the connection is closed so that clients spread; at most 0.02.")
    livez_grace_period: float = _generic(0.0, "duration",
        "Time after the start in which livez does not yet fail.")
    max_mutating_requests_inflight: int = _generic(200, "int",
        "Writes that may be under way at once; with --max-requests-inflight the seats of priority and "
        "fairness.")
    max_requests_inflight: int = _generic(400, "int",
        "Reads that may be under way at once; with --max-mutating-requests-inflight the seats of "
        "priority and fairness.")
    min_compatibility_version: tuple[str, ...] = _generic((), "strings",
        "Oldest version that other servers of the cluster may have.", effective=False)
    min_request_timeout: int = _generic(1800, "int",
        "Seconds that a watch stays open at least; each ends at random between this and twice this.")
    request_timeout: float = _generic(60.0, "duration",
        "Time for a request that asks for none itself; watches are not concerned.")
    runtime_config_emulation_forward_compatible: bool = _generic(False, "bool",
        "Let --runtime-config name newer API versions while an older one is imitated.", effective=False)
    send_retry_after_while_not_ready_once: bool = _generic(False, "bool",
        "Answer 429 with Retry-After until the server was ready once.", effective=False)
    shutdown_delay_duration: float = _generic(0.0, "duration",
        "Time between readyz failing and the listener closing, for load balancers to notice.")
    shutdown_send_retry_after: bool = _generic(False, "bool",
        "Answer 429 with Retry-After and close connections once the delay of a shutdown is over; health is "
        "told all the same.")
    shutdown_watch_termination_grace_period: float = _generic(0.0, "duration",
        "Time in which watches are ended, spread out, at shutdown.", effective=False)
    storage_initialization_timeout: float = _generic(60.0, "duration",
        "Time to wait for the storage before readyz reports it.", effective=False)
    strict_transport_security_directives: tuple[str, ...] = _generic((), "strings",
        "Directives of the Strict-Transport-Security header: max-age=N, includeSubDomains, preload.")

    delete_collection_workers: int = _etcd(1, "int", "Workers for a deletecollection.", effective=False)
    enable_garbage_collector: bool = _etcd(True, "bool", "Delete objects whose owners are gone.")
    encryption_provider_config: str = _etcd("", "file",
        "EncryptionConfiguration: which resources are stored encrypted, and with which keys.")
    encryption_provider_config_automatic_reload: bool = _etcd(False, "bool",
        "Read the encryption configuration again when its file changes.")
    etcd_cafile: str = _etcd("", "file", "CA that signed the certificates of etcd.")
    etcd_certfile: str = _etcd("", "file", "Client certificate for etcd.")
    etcd_compaction_interval: float = _etcd(300.0, "duration",
        "Time between compactions of the store, each to what was the newest revision at the one before: "
        "continue tokens and exact resourceVersions are good for that long at least. 0 never compacts.")
    etcd_count_metric_poll_period: float = _etcd(60.0, "duration",
        "Time between counts of the stored objects.", effective=False)
    etcd_db_metric_poll_interval: float = _etcd(30.0, "duration",
        "Time between looks at the size of the store.", effective=False)
    etcd_healthcheck_timeout: float = _etcd(2.0, "duration", "Time for the health check of etcd.")
    etcd_keyfile: str = _etcd("", "file", "Key of the client certificate for etcd.")
    etcd_prefix: str = _etcd("/registry", "string", "Start of every key in the store.")
    etcd_readycheck_timeout: float = _etcd(2.0, "duration",
        "Time for the readiness check of etcd.")
    etcd_servers: tuple[str, ...] = _etcd((), "strings",
        "Addresses of the members of etcd, as http://host:port or https://host:port. Without any, the "
        "store is built in.")
    etcd_servers_overrides: tuple[str, ...] = _etcd((), "strings",
        "Addresses of etcd for single resources.", effective=False)
    lease_reuse_duration_seconds: int = _etcd(60, "int",
        "Seconds for which an etcd lease takes in more keys.")
    storage_backend: str = _etcd("sqlite", "string",
        "Where objects are kept: etcd3 (in --etcd-servers), sqlite (in --data-dir) or memory. Default: "
        "etcd3 when --etcd-servers is given.")
    storage_media_type: str = _etcd("application/json", "string",
        "Form in which objects are stored; always JSON.", effective=False)
    watch_cache: bool = _etcd(True, "bool", "Serve reads from memory; always so.", effective=False)
    watch_cache_sizes: tuple[str, ...] = _etcd((), "strings",
        "Sizes of watch caches, as resource#size; only 0 ever had an effect.", effective=False)

    bind_address: str = _serving("0.0.0.0", "ip", "Address to listen on; 0.0.0.0 or :: for all.")
    cert_dir: str = _serving("", "string",
        "Directory of the serving certificate (apiserver.crt, apiserver.key); made there when missing. "
        "Default: --data-dir.")
    disable_http2_serving: bool = _serving(False, "bool", "Serve HTTP/1.1 only.")
    http2_max_streams_per_connection: int = _serving(0, "int",
        "Requests, watches among them, that one HTTP/2 connection may have at a time; 0 = 1000.")
    permit_address_sharing: bool = _serving(False, "bool",
        "Set SO_REUSEADDR, so that a socket in TIME_WAIT does not stop a restart; always set.",
        effective=False)
    permit_port_sharing: bool = _serving(False, "bool",
        "Set SO_REUSEPORT, so that several servers can listen on one port.")
    secure_port: int = _serving(6443, "int", "Port to serve HTTPS on. It cannot be switched off with 0.")
    tls_cert_file: str = _serving("", "file",
        "Serving certificate, followed by its chain; goes with --tls-private-key-file.")
    tls_cipher_suites: tuple[str, ...] = _serving((), "strings",
        "Cipher suites for TLS 1.2, by their Go names; those of TLS 1.3 cannot be chosen.")
    tls_curve_preferences: tuple[int, ...] = _serving((), "ints",
        "Numbers of the key exchanges to offer, the preferred one first: 23, 24, 25, 29, 4588 (Go's "
        "CurveID).")
    tls_min_version: str = _serving("", "string", "Oldest TLS version: VersionTLS12 or VersionTLS13.")
    tls_private_key_file: str = _serving("", "file", "Key of --tls-cert-file.")
    tls_sni_cert_key: tuple[tuple[str, str, tuple[str, ...]], ...] = _serving((), "certKey",
        "Further certificates as cert,key or cert,key:name,name; repeatable. Without names those of the "
        "certificate count.")

    audit_log_batch_buffer_size: int = _audit(10000, "int",
        "Events kept before the log back end takes them (mode batch).")
    audit_log_batch_max_size: int = _audit(1, "int", "Events in one batch (mode batch).")
    audit_log_batch_max_wait: float = _audit(0.0, "duration",
        "Time after which a batch is written though it is not full (mode batch).")
    audit_log_batch_throttle_burst: int = _audit(0, "int", "Batches at once above the rate (mode batch).")
    audit_log_batch_throttle_enable: bool = _audit(False, "bool", "Limit the rate of batches (mode batch).")
    audit_log_batch_throttle_qps: float = _audit(0.0, "float", "Batches a second (mode batch).")
    audit_log_compress: bool = _audit(False, "bool", "Compress rotated log files with gzip.")
    audit_log_format: str = _audit("json", "string", "Form of the log: json or legacy.")
    audit_log_maxage: int = _audit(366, "int", "Days to keep rotated log files; 0 for any age.")
    audit_log_maxbackup: int = _audit(100, "int", "Rotated log files to keep; 0 for all.")
    audit_log_maxsize: int = _audit(100, "int",
        "Megabytes of a log file before it is rotated; 0 for no rotation.")
    audit_log_mode: str = _audit("blocking", "string",
        "How events reach the log. batch: a thread writes them, nobody waits. blocking: requests wait. "
        "blocking-strict: and are refused when the event of their beginning cannot be written.")
    audit_log_path: str = _audit("", "string",
        "File of the audit log; - for standard output. Without it there is none. Needs --audit-policy-file.")
    audit_log_truncate_enabled: bool = _audit(False, "bool", "Cut events and batches that are too large.")
    audit_log_truncate_max_batch_size: int = _audit(10485760, "int", "Bytes of a batch before it is split.")
    audit_log_truncate_max_event_size: int = _audit(102400, "int",
        "Bytes of an event before its objects are left out.")
    audit_log_version: str = _audit("audit.k8s.io/v1", "string",
        "Version of the events in the log; only audit.k8s.io/v1 is known.")
    audit_policy_file: str = _audit("", "file", "Policy: which requests are recorded, and how much of them. "
        "It is read again when the file changes.")
    audit_webhook_batch_buffer_size: int = _audit(10000, "int",
        "Events kept before the webhook takes them (mode batch).")
    audit_webhook_batch_initial_backoff: float = _audit(10.0, "duration",
        "The same as --audit-webhook-initial-backoff.",
        gone="Deprecated, use --audit-webhook-initial-backoff instead.")
    audit_webhook_batch_max_size: int = _audit(400, "int", "Events in one batch (mode batch).")
    audit_webhook_batch_max_wait: float = _audit(30.0, "duration",
        "Time after which a batch is sent though it is not full (mode batch).")
    audit_webhook_batch_throttle_burst: int = _audit(15, "int",
        "Batches at once above the rate (mode batch).")
    audit_webhook_batch_throttle_enable: bool = _audit(True, "bool",
        "Limit the rate of batches (mode batch).")
    audit_webhook_batch_throttle_qps: float = _audit(10.0, "float", "Batches a second (mode batch).")
    audit_webhook_config_file: str = _audit("", "file", "kubeconfig of the audit webhook.")
    audit_webhook_initial_backoff: float = _audit(10.0, "duration",
        "Time before the first repetition of a failed call.")
    audit_webhook_mode: str = _audit("batch", "string",
        "How events reach the webhook. batch: lists are sent beside the requests. blocking: requests wait. "
        "blocking-strict: and are refused when the event of their beginning is not taken.")
    audit_webhook_truncate_enabled: bool = _audit(False, "bool", "Cut events and batches that are too large.")
    audit_webhook_truncate_max_batch_size: int = _audit(10485760, "int",
        "Bytes of a batch before it is split.")
    audit_webhook_truncate_max_event_size: int = _audit(102400, "int",
        "Bytes of an event before its objects are left out.")
    audit_webhook_version: str = _audit("audit.k8s.io/v1", "string",
        "Version of the events that are sent; only audit.k8s.io/v1 is known.")

    contention_profiling: bool = _features(False, "bool", "Profile locks.", effective=False)
    debug_socket_path: str = _features("", "string",
        "Unix socket for debugging without credentials.", effective=False)
    enable_priority_and_fairness: bool = _features(True, "bool",
        "Queue requests by FlowSchema and priority level; otherwise the two in-flight limits count alone.")
    profiling: bool = _features(True, "bool", "Serve Go's profiles under /debug/pprof.", effective=False)

    anonymous_auth: bool = _authn(True, "bool",
        "Let requests without credentials in as system:anonymous of the group system:unauthenticated.")
    api_audiences: tuple[str, ...] = _authn((), "strings",
        "Audiences that service account tokens may be for; the issuer when unset.")
    authentication_config: str = _authn("", "file",
        "AuthenticationConfiguration: JWT authenticators and anonymous access.")
    authentication_token_webhook_cache_ttl: float = _authn(120.0, "duration",
        "Time for which the token webhook's answers are kept.")
    authentication_token_webhook_config_file: str = _authn("", "file",
        "kubeconfig of the webhook that judges tokens.")
    authentication_token_webhook_version: str = _authn("v1beta1", "string",
        "Version of the TokenReview sent to the webhook.")
    client_ca_file: str = _authn("", "file",
        "CAs of client certificates; the common name is the user, organizations are groups.")
    enable_bootstrap_token_auth: bool = _authn(False, "bool",
        "Let secrets of type bootstrap.kubernetes.io/token in kube-system authenticate. Default: true for "
        "the command pilothouse serve.")
    oidc_ca_file: str = _authn("", "file", "CA of the OpenID issuer; the host's CAs when unset.")
    oidc_client_id: str = _authn("", "string", "Client for which OpenID tokens must be issued.")
    oidc_groups_claim: str = _authn("", "string", "Claim that holds the groups.")
    oidc_groups_prefix: str = _authn("", "string", "Put before each group.")
    oidc_issuer_url: str = _authn("", "string", "OpenID issuer; https only.")
    oidc_required_claim: Mapping[str, str] = _authn({}, "map",
        "Claims that a token must have, as key=value; repeatable.")
    oidc_signing_algs: tuple[str, ...] = _authn(("RS256",), "strings",
        "Signature algorithms that OpenID tokens may use.")
    oidc_username_claim: str = _authn("sub", "string", "Claim that holds the user name.")
    oidc_username_prefix: str = _authn("", "string",
        "Put before the user name; - for nothing. Without it the issuer, unless the claim is email.")
    requestheader_allowed_names: tuple[str, ...] = _authn((), "strings",
        "Common names of the client certificates that may say who a user is; empty for any.")
    requestheader_client_ca_file: str = _authn("", "file", "CAs of those client certificates.")
    requestheader_extra_headers_prefix: tuple[str, ...] = _authn((), "strings",
        "Prefixes of the headers with extra information; X-Remote-Extra- is usual.")
    requestheader_group_headers: tuple[str, ...] = _authn((), "strings",
        "Headers with groups; X-Remote-Group is usual.")
    requestheader_uid_headers: tuple[str, ...] = _authn((), "strings",
        "Headers with the uid; X-Remote-Uid is usual.")
    requestheader_username_headers: tuple[str, ...] = _authn((), "strings",
        "Headers with the user name; X-Remote-User is usual.")
    service_account_extend_token_expiration: bool = _authn(True, "bool",
        "Let the tokens mounted into pods live longer than asked for, so that old clients go on working.")
    service_account_issuer: tuple[str, ...] = _authn((), "stringArray",
        "Issuer of service account tokens; repeated: further ones that are accepted. Default: "
        "https://kubernetes.default.svc.")
    service_account_jwks_uri: str = _authn("", "string", "Address of the key set in the discovery document.")
    service_account_key_file: tuple[str, ...] = _authn((), "files",
        "Keys or certificates (PEM) that check service account tokens; repeatable. Default: the signing key.")
    service_account_lookup: bool = _authn(True, "bool", "Refuse tokens of deleted service accounts.")
    service_account_max_token_expiration: float = _authn(0.0, "duration",
        "Longest life of a service account token; longer requests are cut to it.")
    token_auth_file: str = _authn("", "file", 'CSV of tokens: token,user,uid,"group,group".')

    authorization_config: str = _authz("", "file",
        "AuthorizationConfiguration: the authorizers in their order.")
    authorization_mode: tuple[str, ...] = _authz((), "strings",
        "Authorizers in their order: AlwaysAllow, AlwaysDeny, ABAC, Webhook, RBAC, Node. Default: "
        "Node,RBAC.")
    authorization_policy_file: str = _authz("", "file", "ABAC policy.")
    authorization_webhook_cache_authorized_ttl: float = _authz(300.0, "duration",
        "Time for which the webhook's yes is kept.")
    authorization_webhook_cache_unauthorized_ttl: float = _authz(30.0, "duration",
        "Time for which the webhook's no is kept.")
    authorization_webhook_config_file: str = _authz("", "file", "kubeconfig of the authorization webhook.")
    authorization_webhook_version: str = _authz("v1beta1", "string",
        "Version of the SubjectAccessReview sent to the webhook.")

    runtime_config: Mapping[str, str] = _api({}, "configuration",
        "API versions and resources to switch on or off, as group/version=true, or group/version for on; "
        "api/v1 is the core group, api/all, api/ga, api/beta and api/alpha stand for many.")

    egress_selector_config_file: str = _egress("", "file",
        "EgressSelectorConfiguration: proxies for connections from the server.")

    admission_control: tuple[str, ...] = _admission((), "strings",
        "The admission plugins, in full.",
        gone="Use --enable-admission-plugins or --disable-admission-plugins instead.")
    admission_control_config_file: str = _admission("", "file",
        "AdmissionConfiguration: settings of admission plugins.")
    default_not_ready_toleration_seconds: int = _admission(300, "int",
        "Toleration of not-ready that is added to every pod without one.")
    default_unreachable_toleration_seconds: int = _admission(300, "int",
        "Toleration of unreachable that is added to every pod without one.")
    disable_admission_plugins: tuple[str, ...] = _admission((), "strings",
        "Admission plugins to leave out though they are on by default.")
    enable_admission_plugins: tuple[str, ...] = _admission((), "strings",
        "Admission plugins to use beside the default ones; their order does not matter.")

    allow_metric_labels: Mapping[str, str] = _metrics({}, "stringToString",
        "Values that a label may have, as metric,label=value,value; others are counted as unexpected. "
        "Repeatable.")
    allow_metric_labels_manifest: str = _metrics("", "string",
        "File with the same as a YAML mapping; it excludes --allow-metric-labels.")
    disabled_metrics: tuple[str, ...] = _metrics((), "strings", "Full names of metrics to leave out.")
    show_hidden_metrics_for_version: str = _metrics("", "string",
        "Show the deprecated metrics that are hidden since the last release; its number, 1.35, is the only "
        "value.")

    log_flush_frequency: float = _logs(5.0, "duration",
        "Time between flushes; nothing is held back here.", effective=False)
    log_json_info_buffer_size: str = _logs("", "quantity", "Buffer for split JSON output.", effective=False)
    log_json_split_stream: bool = _logs(False, "bool",
        "JSON: errors to stderr, the rest to stdout.", effective=False)
    log_text_info_buffer_size: str = _logs("", "quantity", "Buffer for split text output.", effective=False)
    log_text_split_stream: bool = _logs(False, "bool",
        "Text: errors to stderr, the rest to stdout.", effective=False)
    logging_format: str = _logs("text", "string", "Form of log lines: text or json.")
    v: int = _logs(0, "level", "How much is logged; higher is more.", short="v")
    vmodule: tuple[tuple[str, int], ...] = _logs((), "vmodule",
        "Levels for single files, as pattern=N,pattern=N.")

    tracing_config_file: str = _traces("", "file", "TracingConfiguration: where spans are sent.")

    aggregator_reject_forwarding_redirect: bool = _misc(True, "bool",
        "Do not pass redirects of aggregated servers on.")
    allow_privileged: bool = _misc(False, "bool", "Allow privileged containers.")
    coordinated_leadership_lease_duration: float = _misc(15.0, "duration",
        "Length of a lease of coordinated leader election.", effective=False)
    coordinated_leadership_renew_deadline: float = _misc(10.0, "duration",
        "Time in which such a lease is renewed.", effective=False)
    coordinated_leadership_retry_period: float = _misc(2.0, "duration",
        "Time between attempts to get such a lease.", effective=False)
    enable_aggregator_routing: bool = _misc(False, "bool",
        "Reach aggregated servers by endpoints instead of the service's address.")
    enable_logs_handler: bool = _misc(False, "bool",
        "Serve /logs.", effective=False, gone="This flag will be removed in v1.19")
    endpoint_reconciler_type: str = _misc("lease", "string",
        "How the endpoints of the service kubernetes are kept: lease or none.")
    event_ttl: float = _misc(3600.0, "duration", "Time for which events are kept.")
    kubelet_certificate_authority: str = _misc("", "file", "CA of kubelets.")
    kubelet_client_certificate: str = _misc("", "file", "Client certificate for kubelets.")
    kubelet_client_key: str = _misc("", "file", "Key of the client certificate for kubelets.")
    kubelet_preferred_address_types: tuple[str, ...] = _misc(NODE_ADDRESSES, "strings",
        "Order in which a node's addresses are tried.")
    kubelet_timeout: float = _misc(5.0, "duration", "Time for calls to kubelets.", effective=False)
    kubernetes_service_node_port: int = _misc(0, "int",
        "Node port of the service kubernetes; with 0 it has a cluster IP only.", effective=False)
    max_connection_bytes_per_sec: int = _misc(0, "int", "Rate of a long-running connection.", effective=False)
    peer_advertise_ip: str = _misc("", "string", "Address for other API servers.", effective=False)
    peer_advertise_port: str = _misc("", "string", "Port for other API servers.", effective=False)
    peer_ca_file: str = _misc("", "file", "CA of other API servers.", effective=False)
    proxy_client_cert_file: str = _misc("", "file",
        "Client certificate by which aggregated servers and webhooks know this server.")
    proxy_client_key_file: str = _misc("", "file", "Key of --proxy-client-cert-file.")
    service_account_signing_endpoint: str = _misc("", "string",
        "Unix socket of a process that signs service account tokens (externaljwt v1).")
    service_account_signing_key_file: str = _misc("", "file",
        "Private key that signs service account tokens. Default: one made in --data-dir.")
    service_cluster_ip_range: str = _misc("10.0.0.0/24", "string",
        "Range of cluster IPs; two of different families, with a comma, for dual stack.")
    service_node_port_range: tuple[int, int] = _misc((30000, 32767), "portRange",
        "Range of node ports, as first-last or first+count.")

    cache_memory_mb: int = _own(64, "int",
        "Megabytes for what is remembered between requests, such as whose a token is and what a user may do.")
    controllers: tuple[str, ...] = _own(("*",), "strings",
        "Built-in controllers to run: * for those that are on by default, NAME for one, -NAME for all but "
        "one; -* for none. On by default: clusterrole-aggregation, garbagecollector, namespace, "
        "resourcequota, serviceaccount, validatingadmissionpolicy-status. Only by name: bootstrapsigner, "
        "csrapproving, csrcleaner, csrsigning, tokencleaner. Over etcd none runs unless this is given.")
    cluster_signing_cert_file: str = _own("", "file",
        "CA of the controller csrsigning; goes with --cluster-signing-key-file. Default: the CA in "
        "--data-dir.")
    cluster_signing_duration: float = _own(8760 * 3600.0, "duration",
        "Longest life of the certificates that the controller csrsigning signs.")
    cluster_signing_key_file: str = _own("", "file", "Key of --cluster-signing-cert-file.")
    console: bool = _own(False, "bool",
        "Serve the console, a page for browsers that shows what the server does, at /console. Default: true "
        "for the command pilothouse serve.")
    data_dir: str = _own("", "string",
        "Where objects, keys and certificates are kept. Default: --cert-dir, else "
        "$XDG_STATE_HOME/pilothouse.")
    end_revoked_requests: bool = _own(False, "bool",
        "End open watches, logs, exec and other streams within seconds when their users' credentials or "
        "rights are gone.")
    explained_requests: int = _own(10000, "int",
        "How many of the latest requests GET /debug/requests and `pilothouse why` can explain, in 1 KB each; "
        "0 for none.")
    list_permitted_namespaces: bool = _own(False, "bool",
        "Answer lists and watches across namespaces, by users who may not make them, with those namespaces "
        "in which they may, and a warning.")
    max_memory: str = _own("", "quantity",
        "Memory that this server may take, such as 2Gi, shared by its workers: requests that do not fit wait "
        "or are refused "
        "with 429. 0 for no limit. Default: 7/8 of the control group's limit, if there is one.")
    max_object_bytes: int = _own(OBJECT_LIMIT, "int",
        "Bytes that an object may have as it is stored. The default is what etcd takes.")
    max_token_bytes: int = _own(16 << 10, "int",
        "Bytes that a bearer token may have; longer ones are answered with 401 before anything in them is "
        "read.")
    max_unauthenticated_connections: int = _own(0, "int",
        "Connections on which nobody was authenticated yet; one more ends the oldest of the address that has "
        "most. Default: 1024, at most half of the files that may be open.")
    metrics_profile: str = _own("full", "string",
        "Which series /metrics shows: full, or small for at most some 3,000 of them, whatever is served "
        "(docs/metrics.md).")
    max_unpaged_list_bytes: str = _own("", "quantity",
        "Size, such as 100Mi, above which a list without `limit` is refused with 400; from half of it there "
        "is a warning. Lists with resourceVersion=0 and watches are not concerned. Default: any list is "
        "answered.")
    workers: int = _own(1, "int",
        "Processes that share the port, each with its own cache; more than one need --etcd-servers.")
    write_kubeconfig: str = _own("", "string",
        "File to write the administrator's kubeconfig to, once the server is ready.")
    version: str = _global("", "version",
        "Print the version and stop; vX.Y.Z... sets the version that is reported.")
    # fmt: on

    given: frozenset[str] = frozenset()

    @property
    def data_directory(self) -> pathlib.Path:
        """The directory where this server keeps what it makes:
        --data-dir, else --cert-dir, else a state directory.

        A server that was given its own --cert-dir (as envtest does) so gets its own data without being asked.
        """
        if self.data_dir or self.cert_dir:
            return pathlib.Path(self.data_dir or self.cert_dir)
        state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        return pathlib.Path(state) / "pilothouse"

    @property
    def reported_version(self) -> str:
        """The version that /version and the metrics tell: that of --version, or our own."""
        return self.version if self.version.startswith("v") else GIT_VERSION

    @property
    def audit_backoff(self) -> float:
        """Seconds before the audit webhook is called again, by whichever of its two flags was given."""
        if "audit-webhook-initial-backoff" in self.given:
            return self.audit_webhook_initial_backoff
        return self.audit_webhook_batch_initial_backoff

    @property
    def backend(self) -> str:
        """The store that is used: the one asked for, else the one that has addresses where there are some."""
        if self.etcd_servers and "storage-backend" not in self.given:
            return ADDRESSED
        return self.storage_backend

    @property
    def certificate_directory(self) -> pathlib.Path:
        """The directory where the serving certificate is looked for, and made."""
        return pathlib.Path(self.cert_dir) if self.cert_dir else self.data_directory

    @property
    def service_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The ranges of cluster IPs, the primary one first."""
        return tuple(
            ipaddress.ip_network(r.strip(), strict=False) for r in self.service_cluster_ip_range.split(",")
        )

    @property
    def authorization_modes(self) -> tuple[str, ...]:
        """The authorizers in their order; unlike upstream's AlwaysAllow,
        the default lets nobody in without a rule."""
        return self.authorization_mode or ("Node", "RBAC")

    @property
    def issuers(self) -> tuple[str, ...]:
        """Issuers of service account tokens; the first one signs."""
        return self.service_account_issuer or ("https://kubernetes.default.svc",)

    def runs(self, controller: str) -> bool:
        """Whether --controllers asks for this controller: a name beats *, and -name beats both.

        Over a store that others write to none runs unless asked for:
        a cluster of several servers has its own controller manager.
        """
        if BACKENDS[self.backend].others_write and "controllers" not in self.given:
            return False
        if controller == "garbagecollector" and not self.enable_garbage_collector:
            return False
        names = {controller, CONTROLLERS.get(controller, controller)}
        if names & set(self.controllers):
            return True
        if any(f"-{name}" in self.controllers for name in names) or controller in ON_REQUEST:
            return False
        return "*" in self.controllers

    def ignored(self) -> list[str]:
        """The flags on the command line that have no effect here, for one line in the log."""
        return [flag.name for flag in all_flags() if not flag.effective and flag.name in self.given]


@cache
def all_flags() -> tuple[Flag, ...]:
    """All flags in the order of their sections."""
    out = []
    for one in fields(Config):
        if one.metadata:
            default = {} if one.default is MISSING else one.default
            out.append(Flag(one.name.replace("_", "-"), default=default, **one.metadata))
    out.append(Flag("help", "bool", False, "global", "Print this help.", short="h"))
    return tuple(out)
