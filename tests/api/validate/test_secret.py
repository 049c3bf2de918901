"""Every cause that secrets and config maps can have (pkg/apis/core/validation)."""

import base64

from rules import put, table, valid

from pilothouse.api.validate import secret as rules
from pilothouse.api.values.fields import Object

SECRET, CONFIG = rules.validate_secret, rules.validate_config_map


def of(kind: str, **data: str) -> Object:
    return {"metadata": {}, "type": kind, "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}


def docker(text: str) -> Object:
    return of("kubernetes.io/dockerconfigjson", **{".dockerconfigjson": text})


FIXED = {**of("Opaque", a="b"), "immutable": True}

test_causes = table([
    *valid(SECRET, of("Opaque", a="b"), put(of(rules.SERVICE_ACCOUNT_TOKEN), {"metadata.annotations": {rules.SERVICE_ACCOUNT_NAME: "s"}}), of("kubernetes.io/basic-auth", username="u"), docker("{}")),
    (SECRET, of("Opaque", **{"a b": ""}), 'data[a b]="a b" : <config key>'),
    (SECRET, of("Opaque", a="x" * (1024 * 1024 + 1)), "data max:1048576"),
    (SECRET, of(rules.SERVICE_ACCOUNT_TOKEN), "metadata.annotations[kubernetes.io/service-account.name]!"),
    (SECRET, of("kubernetes.io/basic-auth"), "data[username],[password]!"),
    (SECRET, of("kubernetes.io/ssh-auth"), "data[ssh-privatekey]!"),
    (SECRET, of("kubernetes.io/tls", **{"tls.crt": ""}), "data[tls.key]!"),
    (SECRET, of("kubernetes.io/dockercfg"), "data[.dockercfg]!"),
    (SECRET, docker("{"), 'data[.dockerconfigjson]="<secret contents redacted>" : unexpected end of JSON input'),
    (SECRET, docker("[]"), 'data[.dockerconfigjson]="<secret contents redacted>" : json: cannot unmarshal array into Go value of type map[string]interface {}'),
    (SECRET, docker('"a"'), 'data[.dockerconfigjson]="<secret contents redacted>" : json: cannot unmarshal string into Go value of type map[string]interface {}'),
    (SECRET, docker("1"), 'data[.dockerconfigjson]="<secret contents redacted>" : json: cannot unmarshal number into Go value of type map[string]interface {}'),
    (rules.validate_secret_update, (of("Opaque"), of("kubernetes.io/tls")), "type fixed"),
    (rules.validate_secret_update, (of("Opaque", a="c"), FIXED), "immutable- : field is immutable when `immutable` is set", "data- : field is immutable when `immutable` is set"),
    (CONFIG, {"data": {"a": "b"}, "binaryData": {"c": "AA=="}}),
    (CONFIG, {"data": {"a": "b", "a b": ""}, "binaryData": {"a": "AA==", "c d": ""}}, 'data[a]="a" : duplicate of key present in binaryData', 'data[a b]="a b" : <config key>',
        'binaryData[c d]="c d" : <config key>'),
    (CONFIG, {"data": {"a": "x" * (1024 * 1024)}, "binaryData": {"b": "AA=="}}, ": Too long: may not be more than 1048576 bytes"),
    (rules.validate_config_map_update, ({"data": {"a": "c"}}, {"data": {"a": "b"}, "immutable": True}), "immutable- : field is immutable when `immutable` is set",
        "data- : field is immutable when `immutable` is set"),
    (SECRET, of("kubernetes.io/dockerconfigjson"), "data[.dockerconfigjson]!"),
    (SECRET, of("Opaque", a="x" * (1 << 20), b="y"), "data max:1048576"),
    (SECRET, of("kubernetes.io/dockercfg", **{".dockercfg": "[" * 100_000}), 'data[.dockercfg]="<secret contents redacted>" : exceeded max depth'),
    (rules.validate_config_map_update, ({"immutable": True, "binaryData": {"a": "Yg=="}}, {"immutable": True, "binaryData": {"a": "YQ=="}}),
        "binaryData- : field is immutable when `immutable` is set"),
])  # fmt: skip
