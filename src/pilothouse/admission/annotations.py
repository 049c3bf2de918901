"""The audit annotations that plugins give a request (apiserver admission/attributes.go)."""

from pilothouse.api.values import names
from pilothouse.logs import Logger
from pilothouse.registry.admission import AdmissionAttributes

log = Logger(__name__)


def annotate(a: AdmissionAttributes, key: str, value: str) -> None:
    """Add an audit annotation; one that is there stays,
    and a key that is no name with a prefix is left out."""
    if key.count("/") != 1 or names.qualified_name(key):
        log.warning("An audit annotation was left out: its key is no qualified name", key=key)
    elif a.annotations.setdefault(key, value) != value:
        log.warning("An audit annotation was left out: there is another one of its key", key=key)


def annotate_request(a: AdmissionAttributes, key: str, value: str) -> None:
    """Add an audit annotation that is logged at the level Request and above only."""
    a.request_annotations.setdefault(key, value)
