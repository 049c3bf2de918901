"""Validates secrets and config maps (apis/core/validation)."""

import base64
import json

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.go_json import syntax_error
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object, key

MAX_SIZE = 1024 * 1024
SERVICE_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"
SERVICE_ACCOUNT_NAME = "kubernetes.io/service-account.name"
_fixed_type = d.fixed("type", "")
_FIXED = "field is immutable when `immutable` is set"
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
}


def _bytes(text: str) -> int:
    """The number of bytes that a base64 text encodes."""
    return len(text) // 4 * 3 - text.count("=", -2) if text else 0


def validate_secret(secret: Object, errs: Errors) -> None:
    data, kind = secret.get("data") or {}, secret.get("type", "")
    for name in sorted(data):
        d.config_key(name, key("data", name), errs)
    if sum(_bytes(text or "") for text in data.values()) > MAX_SIZE:
        errs.too_long("data", MAX_SIZE)
    if kind == SERVICE_ACCOUNT_TOKEN:
        if not (secret["metadata"].get("annotations") or {}).get(SERVICE_ACCOUNT_NAME):
            errs.required(key("metadata.annotations", SERVICE_ACCOUNT_NAME))
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            errs.required("data[username]")
            errs.required("data[password]")
    elif kind == "kubernetes.io/ssh-auth" and not data.get("ssh-privatekey"):
        errs.required("data[ssh-privatekey]")
    for name in _NEEDED.get(kind, ()):
        if name not in data:
            errs.required(key("data", name))
        elif name.startswith(".docker"):
            _docker(data[name] or "", key("data", name), errs)


def _docker(text: str, path: str, errs: Errors) -> None:
    raw = base64.b64decode(text)
    try:
        fault = "" if isinstance(json.loads(raw), dict | None) else _wrong_type(raw)
    except (ValueError, RecursionError):
        fault = syntax_error(raw)
    if fault:
        errs.invalid(path, "<secret contents redacted>", fault)


def _wrong_type(raw: bytes) -> str:
    first = raw.lstrip()[:1]
    kind = {b"[": "array", b'"': "string", b"t": "bool", b"f": "bool"}.get(first, "number")
    return f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"


def validate_secret_update(secret: Object, old: Object, errs: Errors) -> None:
    _fixed_type(secret, old, errs)
    _validate_fixed(secret, old, ("data",), errs)
    validate_secret(secret, errs)


def _validate_fixed(obj: Object, old: Object, members: tuple[str, ...], errs: Errors) -> None:
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        errs.forbidden("immutable", _FIXED)
    for member in members:
        if (obj.get(member) or {}) != (old.get(member) or {}):
            errs.forbidden(member, _FIXED)


def validate_config_map(config: Object, errs: Errors) -> None:
    data, binary = config.get("data") or {}, config.get("binaryData") or {}
    for name in sorted(data):
        d.config_key(name, key("data", name), errs)
        if name in binary:
            errs.invalid(key("data", name), name, "duplicate of key present in binaryData")
    for name in sorted(binary):
        d.config_key(name, key("binaryData", name), errs)
    total = sum(names.size(text or "") for text in data.values()) + sum(
        _bytes(text or "") for text in binary.values()
    )
    if total > MAX_SIZE:
        errs.too_long("", MAX_SIZE)


def validate_config_map_update(config: Object, old: Object, errs: Errors) -> None:
    _validate_fixed(config, old, ("data", "binaryData"), errs)
    validate_config_map(config, errs)
