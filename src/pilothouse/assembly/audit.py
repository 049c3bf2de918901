"""Creates the auditor and its back ends, which the --audit-* flags configure."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pilothouse.audit.auditor import AuditBackend, Auditor
from pilothouse.audit.metrics import AuditMetrics, Telling
from pilothouse.audit.policy import AuditPolicy, load, parse
from pilothouse.caches import CacheBudget
from pilothouse.configuration.sections.audit import AuditOptions
from pilothouse.lifecycle import Opened
from pilothouse.logs import Logger
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.outbound.http import Outbound
from pilothouse.outbound.kubeconfig import files_of, read_kubeconfig
from pilothouse.reload import Followed, Reloads

if TYPE_CHECKING:
    from pilothouse.audit.log_backend import LineFile, LogBackend
    from pilothouse.audit.webhook_backend import Post, WebhookBackend

log = Logger(__name__)

WEBHOOK_SECONDS = 30.0
"""Time for an answer of the webhook, as in upstream's client."""


def auditor(
    options: AuditOptions,
    outbound: Outbound,
    metrics: MetricsRegistry,
    opened: Opened,
    *,
    caches: CacheBudget | None = None,
    reloads: Reloads | None = None,
) -> Auditor | None:
    """The auditor with its back ends started, None when nothing is to be recorded.
    `reloads` follows its files.

    Without a policy nothing is recorded, whatever back ends there are; a policy without back ends is checked
    only. ValueError or OSError when policy, log file or kubeconfig cannot be used.
    """
    policy = load_policy(options.audit_policy_file) if options.audit_policy_file else None
    file = _file(options) if options.audit_log_path else None
    for flag, name in ((options.audit_log_path, "log"), (options.audit_webhook_config_file, "webhook")):
        if flag and policy is None:
            log.info("No audit policy file provided, no events will be recorded", backend=name)
    if policy is None or not (file or options.audit_webhook_config_file):
        if file is not None:
            file.close()
        return None
    group = metrics.add(AuditMetrics())
    reloads = reloads or Reloads()
    backends: list[AuditBackend] = []
    if file is not None:
        logged = _log_backend(options, file, group.losses.add)
        opened.start(logged)
        backends.append(logged)
    if options.audit_webhook_config_file:
        sent = _webhook_backend(options, outbound, group.losses.add)
        opened.start(sent)
        backends.append(sent)
        _follow_webhook(options.audit_webhook_config_file, sent, outbound, reloads)
    made = Auditor(policy, backends, group, caches)
    opened.on_close("the last word on lost audit events", lambda: group.losses.tell(last=True))
    opened.start(Telling(group.losses))
    _follow_policy(options.audit_policy_file, made, reloads)
    return made


def _follow_policy(path: str, made: Auditor, reloads: Reloads) -> None:
    reloads.follow(
        Followed(
            kind="audit-policy",
            paths=lambda: (path,),
            read=lambda files: parse(files[path]),
            use=made.use,
        )
    )


def _follow_webhook(path: str, sent: "WebhookBackend", outbound: Outbound, reloads: Reloads) -> None:
    reloads.follow(
        Followed(
            kind="audit-webhook",
            paths=lambda: files_of(path),
            read=lambda files: _post(outbound, Path(path)),
            use=sent.use,
        )
    )


def load_policy(path: str) -> AuditPolicy:
    """The policy; ValueError with upstream's words."""
    try:
        return load(path)
    except ValueError as error:
        raise ValueError(f"loading audit policy file: {error}") from None


def _file(options: AuditOptions) -> "LineFile":
    from pilothouse.audit.rotation import RotatedFile, Stdout

    path = options.audit_log_path
    if path == "-":
        return Stdout()
    try:
        return RotatedFile(
            path,
            most_bytes=options.audit_log_maxsize << 20,
            most_days=options.audit_log_maxage,
            most_files=options.audit_log_maxbackup,
            compress=options.audit_log_compress,
        )
    except OSError as error:
        raise OSError(f"ensureLogFile: open {path}: {(error.strerror or str(error)).lower()}") from None


def _log_backend(
    options: AuditOptions, file: "LineFile", lost: Callable[[str, int, str], None]
) -> "LogBackend":
    from pilothouse.audit.batching import Batching
    from pilothouse.audit.log_backend import LogBackend
    from pilothouse.audit.truncate import Truncation

    throttled = options.audit_log_batch_throttle_enable
    batching = Batching(
        buffer=options.audit_log_batch_buffer_size,
        most=options.audit_log_batch_max_size,
        wait=options.audit_log_batch_max_wait,
        rate=options.audit_log_batch_throttle_qps if throttled else 0.0,
        burst=options.audit_log_batch_throttle_burst,
    )
    truncation = Truncation(
        options.audit_log_truncate_max_event_size, options.audit_log_truncate_max_batch_size, lost
    )
    return LogBackend(
        file,
        lost,
        mode=options.audit_log_mode,
        legacy=options.audit_log_format == "legacy",
        batching=batching,
        truncation=truncation if options.audit_log_truncate_enabled else None,
    )


def _webhook_backend(
    options: AuditOptions, outbound: Outbound, lost: Callable[[str, int, str], None]
) -> "WebhookBackend":
    from pilothouse.audit.batching import BATCH, Batching
    from pilothouse.audit.truncate import Truncation
    from pilothouse.audit.webhook_backend import WebhookBackend

    throttled = options.audit_webhook_batch_throttle_enable and options.audit_webhook_mode == BATCH
    batching = Batching(
        buffer=options.audit_webhook_batch_buffer_size,
        most=options.audit_webhook_batch_max_size,
        wait=options.audit_webhook_batch_max_wait,
        rate=options.audit_webhook_batch_throttle_qps if throttled else 0.0,
        burst=options.audit_webhook_batch_throttle_burst,
    )
    truncation = Truncation(
        options.audit_webhook_truncate_max_event_size, options.audit_webhook_truncate_max_batch_size, lost
    )
    try:
        post = _post(outbound, Path(options.audit_webhook_config_file))
    except (OSError, ValueError) as error:
        raise ValueError(f"initializing audit webhook: {error}") from None
    return WebhookBackend(
        post,
        lost,
        mode=options.audit_webhook_mode,
        batching=batching,
        truncation=truncation if options.audit_webhook_truncate_enabled else None,
        backoff=options.backoff,
    )


def _post(outbound: Outbound, path: Path) -> "Post":
    """A sender to the cluster of a kubeconfig's current context."""
    url, credentials, trust = read_kubeconfig(path)
    headers = [("Content-Type", "application/json"), ("Accept", "application/json, */*"), *credentials]

    async def post(body: bytes) -> object:
        return await outbound.exchange(
            "POST", url, headers=headers, body=body, trust=trust, timeout=WEBHOOK_SECONDS
        )

    return post
