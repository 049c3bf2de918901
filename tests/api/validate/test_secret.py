"""Every cause that secrets and config maps can have (pkg/apis/core/validation)."""

import base64

from rules import put, table

from pilothouse.api.validate import secret as rules
from pilothouse.api.values.fields import Object

SECRET, CONFIG = rules.validate_secret, rules.validate_config_map


def of(kind: str, **data: str) -> Object:
    return {"metadata": {}, "type": kind, "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}


def docker(text: str) -> Object:
    return of("kubernetes.io/dockerconfigjson", **{".dockerconfigjson": text})


FIXED = {**of("Opaque", a="b"), "immutable": True}

test_causes = table([
    (SECRET, of("Opaque", a="b"), []),
    (SECRET, of("Opaque", **{"a b": ""}), ['data[a b]: Invalid value: "a b": <config key>']),
    (SECRET, of("Opaque", a="x" * (1024 * 1024 + 1)), ["data: Too long: may not be more than 1048576 bytes"]),
    (SECRET, of(rules.SERVICE_ACCOUNT_TOKEN), ["metadata.annotations[kubernetes.io/service-account.name]: Required value"]),
    (SECRET, put(of(rules.SERVICE_ACCOUNT_TOKEN), {"metadata.annotations": {rules.SERVICE_ACCOUNT_NAME: "s"}}), []),
    (SECRET, of("kubernetes.io/basic-auth"), ["data[username]: Required value", "data[password]: Required value"]),
    (SECRET, of("kubernetes.io/basic-auth", username="u"), []),
    (SECRET, of("kubernetes.io/ssh-auth"), ["data[ssh-privatekey]: Required value"]),
    (SECRET, of("kubernetes.io/tls", **{"tls.crt": ""}), ["data[tls.key]: Required value"]),
    (SECRET, of("kubernetes.io/dockercfg"), ["data[.dockercfg]: Required value"]),
    (SECRET, docker("{}"), []),
    (SECRET, docker("{"), ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": unexpected end of JSON input']),
    (SECRET, docker("[]"), ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": json: cannot unmarshal array into Go value of type map[string]interface {}']),
    (SECRET, docker('"a"'), ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": json: cannot unmarshal string into Go value of type map[string]interface {}']),
    (SECRET, docker("1"), ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": json: cannot unmarshal number into Go value of type map[string]interface {}']),
    (rules.validate_secret_update, (of("Opaque"), of("kubernetes.io/tls")), ['type: Invalid value: "Opaque": field is immutable']),
    (rules.validate_secret_update, (of("Opaque", a="c"), FIXED), ["immutable: Forbidden: field is immutable when `immutable` is set", "data: Forbidden: field is immutable when `immutable` is set"]),
    (CONFIG, {"data": {"a": "b"}, "binaryData": {"c": "AA=="}}, []),
    (CONFIG, {"data": {"a": "b", "a b": ""}, "binaryData": {"a": "AA==", "c d": ""}}, ['data[a]: Invalid value: "a": duplicate of key present in binaryData',
        'data[a b]: Invalid value: "a b": <config key>', 'binaryData[c d]: Invalid value: "c d": <config key>']),
    (CONFIG, {"data": {"a": "x" * (1024 * 1024)}, "binaryData": {"b": "AA=="}}, [": Too long: may not be more than 1048576 bytes"]),
    (rules.validate_config_map_update, ({"data": {"a": "c"}}, {"data": {"a": "b"}, "immutable": True}), ["immutable: Forbidden: field is immutable when `immutable` is set",
        "data: Forbidden: field is immutable when `immutable` is set"]),
    (SECRET, of("kubernetes.io/dockerconfigjson"), ["data[.dockerconfigjson]: Required value"]),
    (SECRET, of("Opaque", a="x" * (1 << 20), b="y"), ["data: Too long: may not be more than 1048576 bytes"]),
    (SECRET, of("kubernetes.io/dockercfg", **{".dockercfg": "[" * 100_000}), ['data[.dockercfg]: Invalid value: "<secret contents redacted>": exceeded max depth']),
    (rules.validate_secret_update, (of("a"), of("b")), ['type: Invalid value: "a": field is immutable']),
    (rules.validate_config_map_update, ({"immutable": True, "data": {"a": "Yg=="}}, {"immutable": True, "data": {"a": "YQ=="}}), ["data: Forbidden: field is immutable when `immutable` is set"]),
    (rules.validate_config_map_update, ({"immutable": True, "binaryData": {"a": "Yg=="}}, {"immutable": True, "binaryData": {"a": "YQ=="}}),
        ["binaryData: Forbidden: field is immutable when `immutable` is set"]),
    (CONFIG, {"data": {"a": "b"}, "binaryData": {"a": "Yg=="}}, ['data[a]: Invalid value: "a": duplicate of key present in binaryData']),
])  # fmt: skip
