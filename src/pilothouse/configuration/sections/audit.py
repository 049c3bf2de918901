"""The audit policy, and the log and the webhook that take its events."""

from collections.abc import Iterator
from typing import Any

from pilothouse.configuration.sections.section import Section, auditing
from pilothouse.process.frozen import frozen

MODES = ("batch", "blocking", "blocking-strict")
VERSION = "audit.k8s.io/v1"


@frozen(eq=False)
class AuditOptions(Section):
    """The audit policy, and the log and the webhook that take its events."""

    # fmt: off
    audit_log_batch_buffer_size: int = auditing(10000, "int",
        "Events kept before the log back end takes them (mode batch).")
    audit_log_batch_max_size: int = auditing(1, "int", "Events in one batch (mode batch).")
    audit_log_batch_max_wait: float = auditing(0.0, "duration",
        "Time after which a batch is written though it is not full (mode batch).")
    audit_log_batch_throttle_burst: int = auditing(0, "int", "Batches at once above the rate (mode batch).")
    audit_log_batch_throttle_enable: bool = auditing(False, "bool", "Limit the rate of batches (mode batch).")
    audit_log_batch_throttle_qps: float = auditing(0.0, "float", "Batches a second (mode batch).")
    audit_log_compress: bool = auditing(False, "bool", "Compress rotated log files with gzip.")
    audit_log_format: str = auditing("json", "string", "Form of the log: json or legacy.")
    audit_log_maxage: int = auditing(366, "int", "Days to keep rotated log files; 0 for any age.")
    audit_log_maxbackup: int = auditing(100, "int", "Rotated log files to keep; 0 for all.")
    audit_log_maxsize: int = auditing(100, "int",
        "Megabytes of a log file before it is rotated; 0 for no rotation.")
    audit_log_mode: str = auditing("blocking", "string",
        "How events reach the log. batch: a thread writes them, nobody waits. blocking: requests wait. "
        "blocking-strict: and are refused when the event of their beginning cannot be written.")
    audit_log_path: str = auditing("", "string",
        "File of the audit log; - for standard output. Without it there is none. Needs --audit-policy-file.")
    audit_log_truncate_enabled: bool = auditing(False, "bool",
        "Cut events and batches that are too large.")
    audit_log_truncate_max_batch_size: int = auditing(10485760, "int", "Bytes of a batch before it is split.")
    audit_log_truncate_max_event_size: int = auditing(102400, "int",
        "Bytes of an event before its objects are left out.")
    audit_log_version: str = auditing("audit.k8s.io/v1", "string",
        "Version of the events in the log; only audit.k8s.io/v1 is known.")
    audit_policy_file: str = auditing("", "file",
        "Policy: which requests are recorded, and how much of them. It is read again when the file changes.")
    audit_webhook_batch_buffer_size: int = auditing(10000, "int",
        "Events kept before the webhook takes them (mode batch).")
    audit_webhook_batch_initial_backoff: float = auditing(10.0, "duration",
        "The same as --audit-webhook-initial-backoff.",
        gone="Deprecated, use --audit-webhook-initial-backoff instead.")
    audit_webhook_batch_max_size: int = auditing(400, "int", "Events in one batch (mode batch).")
    audit_webhook_batch_max_wait: float = auditing(30.0, "duration",
        "Time after which a batch is sent though it is not full (mode batch).")
    audit_webhook_batch_throttle_burst: int = auditing(15, "int",
        "Batches at once above the rate (mode batch).")
    audit_webhook_batch_throttle_enable: bool = auditing(True, "bool",
        "Limit the rate of batches (mode batch).")
    audit_webhook_batch_throttle_qps: float = auditing(10.0, "float", "Batches a second (mode batch).")
    audit_webhook_config_file: str = auditing("", "file", "kubeconfig of the audit webhook.")
    audit_webhook_initial_backoff: float = auditing(10.0, "duration",
        "Time before the first repetition of a failed call.")
    audit_webhook_mode: str = auditing("batch", "string",
        "How events reach the webhook. batch: lists are sent beside the requests. blocking: requests wait. "
        "blocking-strict: and are refused when the event of their beginning is not taken.")
    audit_webhook_truncate_enabled: bool = auditing(False, "bool",
        "Cut events and batches that are too large.")
    audit_webhook_truncate_max_batch_size: int = auditing(10485760, "int",
        "Bytes of a batch before it is split.")
    audit_webhook_truncate_max_event_size: int = auditing(102400, "int",
        "Bytes of an event before its objects are left out.")
    audit_webhook_version: str = auditing("audit.k8s.io/v1", "string",
        "Version of the events that are sent; only audit.k8s.io/v1 is known.")
    # fmt: on

    @property
    def backoff(self) -> float:
        """Seconds before the webhook is called again, by whichever of its two flags was given."""
        if "audit-webhook-initial-backoff" in self.given:
            return self.audit_webhook_initial_backoff
        return self.audit_webhook_batch_initial_backoff

    def faults(self) -> Iterator[str]:
        """Yield the faults of the back ends that are switched on (apiserver pkg/server/options/audit.go)."""
        if self.audit_log_path:
            yield from self._backend("log")
            if self.audit_log_format not in ("json", "legacy"):
                yield f'invalid audit log format {self.audit_log_format}, allowed formats are "legacy,json"'
            for name in ("maxage", "maxbackup", "maxsize"):
                value = getattr(self, f"audit_log_{name}")
                if value < 0:
                    yield f"--audit-log-{name} {value} can't be a negative number"
        if self.audit_webhook_config_file:
            yield from self._backend("webhook")

    def _backend(self, name: str) -> Iterator[str]:
        def value(flag: str) -> Any:
            return getattr(self, f"audit_{name}_{flag}")

        if value("mode") not in MODES:
            yield f'invalid audit {name} mode {value("mode")}, allowed modes are "{",".join(MODES)}"'
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
        elif version != VERSION:
            yield f'invalid group version, allowed versions are ["{VERSION}"]'
