"""Requests that try to stop a server or use up its memory or time: one row each."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fuzz.growth_fillers import numbered, repeated, text
from fuzz.growth_requests import MAPS, ONE

BODY = 3 * 1024 * 1024 - 4096
"""Bytes of a body, just below what is read."""

HEAD = 900_000
"""Bytes of a head, below what is read as well."""

HEADER = 450_000
"""Bytes of header lines that are read for sure."""

YAML = "application/yaml"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
PODS = "/api/v1/namespaces/default/pods"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CUSTOM = "/apis/fuzz.example.com/v1/namespaces/default/things"
DRY = "?dryRun=All"


@dataclass(frozen=True)
class Attack:
    """`make` gives the bytes of the request; `times` that it is sent, one after the other."""

    name: str
    make: Callable[[], bytes]
    times: int = 1
    before: tuple[bytes, ...] = field(default=())


def http(
    method: str,
    path: str,
    body: bytes = b"",
    media: str = "application/json",
    user: str = "admin",
    lines: str = "",
) -> bytes:
    token = f"Authorization: Bearer {user}\r\n" if user else ""
    kind = f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{token}{kind}{lines}\r\n".encode("latin-1") + body


def around(value: Any, fill: Callable[[int], bytes], size: int = BODY) -> bytes:
    """JSON of a value whose text `@` is replaced with a filler."""
    before, _, after = json.dumps(value).encode().partition(b'"@"')
    return before + fill(size - len(before) - len(after)) + after


def post(
    path: str, value: Any, fill: Callable[[int], bytes], media: str = "application/json", user: str = "admin"
) -> Callable[[], bytes]:
    return lambda: http("POST", path, around(value, fill), media, user)


def patch(path: str, value: Any, fill: Callable[[int], bytes], media: str) -> Callable[[], bytes]:
    return lambda: http("PATCH", path, around(value, fill), media)


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "attack"}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


def meta(**members: Any) -> dict[str, Any]:
    return {"metadata": {"name": "attack", **members}}


def container(**members: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "c", "image": "i", **members}])


_GROUP = "rbac.authorization.k8s.io"
_MAY = {"apiGroups": [_GROUP], "resources": ["roles"], "verbs": ["create", "get"]}
_BOUND = {
    "metadata": {"name": "mary"},
    "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": "mary"},
    "subjects": [{"kind": "User", "name": "mary", "apiGroup": _GROUP}],
}
MARY = (
    http("POST", ROLES, json.dumps({"metadata": {"name": "mary"}, "rules": [_MAY]}).encode()),
    http("POST", ROLES.replace("roles", "rolebindings"), json.dumps(_BOUND).encode()),
)
"""Mary may make roles of one namespace: what she grants is compared with what she has."""


def role_atoms() -> bytes:
    atoms = [f"k{i}" for i in range(150)]
    rule = {"apiGroups": atoms, "resources": atoms, "verbs": atoms}
    body = json.dumps({"metadata": {"name": "attack"}, "rules": [rule]}).encode()
    return http("POST", ROLES + DRY, body, user="mary")


def square(item: str) -> Callable[[int], bytes]:
    """A list of lists with as many as each has."""

    def make(size: int) -> bytes:
        side = int((size / (len(item) + 1)) ** 0.5)
        inner = "[" + ",".join([item] * side) + "]"
        return ("[" + ",".join([inner] * side) + "]").encode()

    return make


def yaml_of(text_of: Callable[[int], bytes]) -> Callable[[], bytes]:
    return lambda: http("POST", REVIEW, text_of(BODY), YAML, "jane")


def deep_yaml(size: int) -> bytes:
    levels = int((2 * size) ** 0.5) - 4
    return b"".join(b" " * level + b"a:\n" for level in range(levels))


def certificate_secret() -> bytes:
    junk = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n" * 37_000).decode()[: BODY - 400]
    junk = junk[: len(junk) // 4 * 4]
    secret = {
        "metadata": {"name": "attack"},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": junk, "tls.key": "YQ=="},
    }
    return http("POST", "/api/v1/namespaces/default/secrets" + DRY, json.dumps(secret).encode())


_SET = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
_SCHEMA = {
    "type": "object",
    "properties": {
        "texts": {"type": "array", "items": {"type": "string"}},
        "enum": {"type": "array", "items": {"type": "string", "enum": [f"e{i}" for i in range(500)]}},
        "multiple": {"type": "array", "items": {"type": "number", "multipleOf": 0.7}},
        "set": _SET,
        "column": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
DEFINITION = {
    "metadata": {"name": "things.fuzz.example.com"},
    "spec": {
        "group": "fuzz.example.com",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": _SCHEMA},
                "additionalPrinterColumns": [
                    {"name": f"C{i}", "type": "string", "jsonPath": ".column"} for i in range(8)
                ],
            }
        ],
    },
}
DEFINE = (http("POST", DEFINITIONS, json.dumps(DEFINITION).encode()),)


def thing(**members: Any) -> dict[str, Any]:
    return {"apiVersion": "fuzz.example.com/v1", "kind": "Thing", "metadata": {"name": "attack"}, **members}


def custom(name: str, value: dict[str, Any], fill: Callable[[int], bytes]) -> Attack:
    return Attack(f"custom resource: {name}", post(CUSTOM + DRY, value, fill), before=DEFINE)


OWNER = b'{"apiVersion":"v1","kind":"Pod","name":"k\\u0000","uid":"k\\u0000"}'
PORT = b'{"containerPort":\\u0000,"hostPort":\\u0000}'
SPREAD = b'{"maxSkew":1,"topologyKey":"k\\u0000","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"a":"b"}}}'
STORED_POD = (http("POST", PODS, json.dumps(pod()).encode()),)
ONE_POD = f"{PODS}/attack"
BY_NAME = {"spec": {"containers": [{"name": "c", "env": "@"}]}}

BODIES: list[Attack] = [
    Attack("yaml: a key again and again", yaml_of(lambda n: b"a: 1\n" * (n // 5))),
    Attack("yaml: keys", yaml_of(lambda n: b"".join(b"k%d: 1\n" % i for i in range(n // 11)))),
    Attack("yaml: deep", yaml_of(deep_yaml)),
    Attack("yaml: flow lists", yaml_of(lambda n: b"a: [" + b"[]," * (n // 3) + b"]")),
    Attack("yaml: aliases", yaml_of(lambda n: b"a: &a [x]\nb: [" + b"*a," * (n // 3) + b"]")),
    Attack("yaml: anchors", yaml_of(lambda n: b"a:\n" + b"".join(b"- &a%d x\n" % i for i in range(n // 13)))),
    Attack("yaml: comments", yaml_of(lambda n: b"#\n" * (n // 2))),
    Attack("yaml: documents", yaml_of(lambda n: b"---\n" * (n // 4))),
    Attack("yaml: long text", yaml_of(lambda n: b'a: "' + b"\\n" * (n // 2) + b'"')),
    Attack("yaml: folded text", yaml_of(lambda n: b"a: >\n" + b" x\n" * (n // 3))),
    Attack("yaml: delete options", lambda: http("DELETE", f"{MAPS}/none", b"a: 1\n" * (BODY // 5), YAML)),
    Attack("yaml: eviction", lambda: http("POST", f"{PODS}/none/eviction", b"a: 1\n" * (BODY // 5), YAML)),
    Attack("json: a key again and again", post(MAPS + DRY, meta(unknown="@"), repeated(b'"a":1', b"{", b"}"))),
    Attack("json: unknown keys", post(MAPS + DRY, meta(unknown="@"), numbered(b'"k\\u0000":1', b"{", b"}"))),
    Attack("json: unknown members, strict", post(MAPS + DRY + "&fieldValidation=Strict", {**meta(), "a": "@"}, lambda n: b"1," + numbered(b'"k\\u0000":1', b"", b"")(n))),
    Attack("json: deep list", post(MAPS + DRY, meta(unknown="@"), lambda n: b"[" * (n // 2) + b"]" * (n // 2))),
    Attack("json: deep lists apart", post(MAPS + DRY, meta(unknown="@"), repeated(b"[" * 90 + b"]" * 90))),
    Attack("json: numbers", post(REVIEW, {"spec": "@"}, repeated(b"1"), user="jane")),
    Attack("json: a long number", post(MAPS + DRY, meta(generation="@"), lambda n: b"9" * n)),
    Attack("owner references", post(MAPS + DRY, meta(ownerReferences="@"), numbered(OWNER))),
    Attack("owner references, wrong", post(MAPS + DRY, meta(ownerReferences="@"), numbered(OWNER.replace(b'"v1"', b'""')))),
    Attack("finalizers", post(MAPS + DRY, meta(finalizers="@"), numbered(b'"a/k\\u0000"'))),
    Attack("label values", post(MAPS + DRY, meta(labels="@"), numbered(b'"k\\u0000":"-"', b"{", b"}"))),
    Attack("annotations", post(MAPS + DRY, meta(annotations="@"), numbered(b'"-k\\u0000":""', b"{", b"}"))),
    Attack("field sets", post(MAPS + DRY, meta(managedFields=[{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": "@"}]), numbered(b'"v:\\"k\\u0000\\"":{}', b"{", b"}"))),
    Attack("field sets: long elements", post(MAPS + DRY, meta(managedFields=[{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": "@"}]), lambda n: b'{"v:\\"' + b"k" * n + b'\\"":{}}')),
    Attack("field sets: deep", post(MAPS + DRY, meta(managedFields=[{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": "@"}]), lambda n: b'{"f:a":' * 250 + b"{}" + b"}" * 250)),
    Attack("managed fields", post(MAPS + DRY, meta(managedFields="@"), numbered(b'{"manager":"k\\u0000","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{}}'))),
    Attack("data keys", post(MAPS + DRY, {**meta(), "data": "@"}, numbered(b'"k \\u0000":""', b"{", b"}"))),
    Attack("host ports", post(PODS + DRY, container(ports="@"), numbered(PORT))),
    Attack("environment", post(PODS + DRY, container(env="@"), numbered(b'{"name":"k\\u0000","value":"$(k1)"}'))),
    Attack("mounts", post(PODS + DRY, container(volumeMounts="@"), numbered(b'{"name":"k\\u0000","mountPath":"/k/\\u0000"}'))),
    Attack("volumes", post(PODS + DRY, pod(volumes="@"), numbered(b'{"name":"k\\u0000","emptyDir":{}}'))),
    Attack("tolerations", post(PODS + DRY, pod(tolerations="@"), numbered(b'{"key":"k\\u0000","operator":"Exists"}'))),
    Attack("containers", post(PODS + DRY, pod(containers="@"), numbered(b'{"name":"k\\u0000","image":"i"}'))),
    Attack("spread constraints", post(PODS + DRY, pod(topologySpreadConstraints="@"), numbered(SPREAD))),
    Attack("field path", post(PODS + DRY, container(env=[{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "@"}}}]), text("['"))),
    Attack("image", post(PODS + DRY, container(image="@"), text("a/"))),
    Attack("command with variables", post(PODS + DRY, container(command=["@"]), text("$("))),
    Attack("certificates", certificate_secret),
    Attack("rule atoms", role_atoms, before=MARY),
    Attack("rules", post(ROLES + DRY, {**meta(), "rules": "@"}, numbered(b'{"apiGroups":[""],"resources":["k\\u0000"],"verbs":["get"]}'), user="mary"), before=MARY),
    Attack("exceptions of a network policy", post(POLICIES + DRY, {**meta(), "spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": "@"}}]}]}}, repeated(b'"10.1.0.0/16"'))),
    Attack("review with label values", post(REVIEW, {"spec": {"resourceAttributes": {"verb": "list", "labelSelector": {"requirements": [{"key": "a", "operator": "In", "values": "@"}]}}}}, repeated(b'"-"'), user="jane")),
    Attack("review with requirements", post(REVIEW, {"spec": {"resourceAttributes": {"verb": "list", "labelSelector": {"requirements": "@"}}}}, numbered(b'{"key":"-k\\u0000","operator":"In"}'), user="jane")),
    Attack("review with a raw selector", post(REVIEW, {"spec": {"resourceAttributes": {"verb": "list", "labelSelector": {"rawSelector": "@"}}}}, text("a in (b),"), user="jane")),
    Attack("token review", post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "@"}}, text("QUJD."))),
    Attack("strategic: environment", patch(ONE_POD + DRY, BY_NAME, numbered(b'{"name":"k\\u0000","value":"v"}'), STRATEGIC), before=STORED_POD),
    Attack("strategic: delete", patch(ONE_POD + DRY, BY_NAME, numbered(b'{"$patch":"delete","name":"k\\u0000"}'), STRATEGIC), before=STORED_POD),
    Attack("strategic: order", patch(ONE_POD + DRY, {"spec": {"volumes": [], "$setElementOrder/volumes": "@"}}, numbered(b'{"name":"k\\u0000"}'), STRATEGIC), before=STORED_POD),
    Attack("strategic: remove texts", patch(ONE + DRY, {"metadata": {"$deleteFromPrimitiveList/finalizers": "@"}}, numbered(b'"k\\u0000"'), STRATEGIC)),
    Attack("strategic: retain keys", patch(ONE_POD + DRY, {"spec": {"$retainKeys": "@"}}, numbered(b'"k\\u0000"'), STRATEGIC), before=STORED_POD),
    Attack("merge: keys", patch(ONE + DRY, {"data": "@"}, numbered(b'"k\\u0000":""', b"{", b"}"), MERGE)),
    Attack("json patch: additions", lambda: http("PATCH", ONE + DRY, repeated(b'{"op":"add","path":"/metadata/labels","value":{}}')(BODY), JSON_PATCH)),
    Attack("json patch: copies", lambda: http("PATCH", ONE + DRY, json.dumps([{"op": "add", "path": "/data/a", "value": "x" * 2_000_000}] + [{"op": "copy", "from": "/data/a", "path": f"/data/b{i}"} for i in range(5000)]).encode(), JSON_PATCH)),
    Attack("json patch: insertions", lambda: http("PATCH", ONE + DRY, (b'[{"op":"add","path":"/metadata/finalizers","value":' + numbered(b'"a/k\\u0000"')(BODY // 2) + b"}" + b',{"op":"add","path":"/metadata/finalizers/0","value":"x"}' * 9_000 + b"]"), JSON_PATCH)),
    Attack("json patch: long pointer", lambda: http("PATCH", ONE + DRY, around([{"op": "add", "path": "@", "value": 1}], text("/a")), JSON_PATCH)),
    Attack("apply: keys", patch(ONE + DRY + "&fieldManager=m", {"apiVersion": "v1", "kind": "ConfigMap", "data": "@"}, numbered(b'"k\\u0000":""', b"{", b"}"), APPLY)),
    Attack("apply: owners", patch(f"{MAPS}/attack{DRY}&fieldManager=m", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"ownerReferences": "@"}}, numbered(OWNER), APPLY)),
    custom("items of a wrong type", thing(texts="@"), repeated(b"1")),
    custom("an enumeration", thing(enum="@"), numbered(b'"k\\u0000"')),
    custom("multiples", thing(multiple="@"), repeated(b"1.1")),
    custom("a set", thing(set="@"), numbered(b'"k\\u0000"')),
    custom("a set of the same", thing(set="@"), repeated(b'"k"')),
    custom("deep objects", thing(any="@"), lambda n: b'{"a":' * (n // 6) + b"1" + b"}" * (n // 6)),
    custom("deep objects apart", thing(any="@"), lambda n: b'{"b":' + repeated(b'{"a":' * 60 + b"1" + b"}" * 60)(n) + b"}"),
    custom("unknown members", thing(zzz="@"), numbered(b'"k\\u0000":1', b"{", b"}")),
    Attack("custom resource: columns of lists", lambda: http("GET", CUSTOM, lines="Accept: application/json;as=Table;g=meta.k8s.io;v=v1\r\n"), before=(*DEFINE, http("POST", CUSTOM, around(thing(column="@"), square("0"), 1_000_000)))),
    Attack("definition: enumeration", post(DEFINITIONS + DRY, json.loads(json.dumps(DEFINITION).replace(json.dumps(_SET), json.dumps({"type": "string", "enum": "@"}))), numbered(b'"k\\u0000"'))),
    Attack("definition: properties", post(DEFINITIONS + DRY, json.loads(json.dumps(DEFINITION).replace(json.dumps(_SET), json.dumps({"type": "object", "properties": "@"}))), numbered(b'"k\\u0000":{"type":"string"}', b"{", b"}"))),
    Attack("protobuf: unknown fields", lambda: http("POST", MAPS + DRY, b"k8s\x00" + b"\xfa\x01\x00" * (BODY // 3), "application/vnd.kubernetes.protobuf")),
    Attack("protobuf: raw again and again", lambda: http("POST", MAPS + DRY, b"k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap" + b"\x12\x02\x0a\x00" * (BODY // 4 - 10), "application/vnd.kubernetes.protobuf")),
]  # fmt: skip
"""Attacks of a user that has a namespace, or (jane) of one that has nothing, with a body of 3 MB."""

HEADS: list[Attack] = [
    Attack("timeout", lambda: http("GET", "/api?timeout=" + "1h" * (HEAD // 2), user="")),
    Attack("timeout in small steps", lambda: http("GET", "/api?timeout=" + "1ns" * (HEAD // 3), user="")),
    Attack("names in the query", lambda: http("GET", "/api?" + "&".join(f"k{i}=1" for i in range(HEAD // 10)), user="")),
    Attack("one name in the query", lambda: http("GET", "/api?" + "a&" * (HEAD // 2), user="")),
    Attack("field selector", lambda: http("GET", f"{MAPS}?fieldSelector=" + "metadata.name=a," * (HEAD // 16), user="")),
    Attack("label selector", lambda: http("GET", f"{MAPS}?labelSelector=" + "a+in+(b)," * (HEAD // 9), user="")),
    Attack("closing parentheses", lambda: http("GET", f"{MAPS}?labelSelector=" + ")" * HEAD)),
    Attack("label selector of an admin", lambda: http("GET", f"{MAPS}?labelSelector=" + ",".join(f"k{i}!=v" for i in range(HEAD // 10)))),
    Attack("values of a label selector", lambda: http("GET", f"{MAPS}?labelSelector=a+in+(" + ",".join(f"v{i}" for i in range(HEAD // 8)) + ")")),
    Attack("field manager", lambda: http("POST", f"{MAPS}{DRY}&fieldManager=" + "%01" * (HEAD // 3), b"{}")),
    Attack("percents in the path", lambda: http("GET", "/api/v1/namespaces/" + "%41" * (HEAD // 3), user="")),
    Attack("segments", lambda: http("GET", "/a" * (HEAD // 2), user="")),
    Attack("slashes", lambda: http("GET", "/" * HEAD, user="")),
    Attack("dots", lambda: http("GET", "/.." * (HEAD // 3), user="")),
    Attack("accept", lambda: http("GET", MAPS, lines="Accept: " + "a/b;q=0.1," * (HEADER // 10) + "\r\n")),
    Attack("accept with parameters", lambda: http("GET", MAPS, lines="Accept: application/json" + ";a=b" * (HEADER // 4) + "\r\n")),
    Attack("accept encoding", lambda: http("GET", MAPS, lines="Accept-Encoding: " + "gzip;q=0," * (HEADER // 9) + "\r\n", user="")),
    Attack("user agent", lambda: http("GET", MAPS, lines="User-Agent: " + "a/" * (HEADER // 2) + "\r\n")),
    Attack("many headers", lambda: http("GET", MAPS, lines="".join(f"x-{i}: 1\r\n" for i in range(HEADER // 12)), user="")),
    Attack("one header again and again", lambda: http("GET", MAPS, lines="a: 1\r\n" * (HEADER // 6), user="")),
    Attack("a long header name", lambda: http("GET", MAPS, lines="x" * HEADER + ": 1\r\n", user="")),
    Attack("a long token", lambda: http("GET", MAPS, user="a" * HEADER)),
    Attack("a token of many parts", lambda: http("GET", MAPS, user="a." * (HEADER // 2))),
    Attack("groups of another", lambda: http("GET", MAPS, lines="Impersonate-User: a\r\n" + "".join(f"Impersonate-Group: g{i}\r\n" for i in range(HEADER // 27)))),
    Attack("extras of another", lambda: http("GET", MAPS, lines="Impersonate-User: a\r\n" + "".join(f"Impersonate-Extra-k%2f{i}: g\r\n" for i in range(HEADER // 32)))),
]  # fmt: skip
"""Attacks of anonymous clients, and by heads of others, of 450 to 900 KB."""


def secret_path(i: int) -> bytes:
    return http("GET", f"/api/v1/namespaces/default/configmaps/{i}{'a' * 20_000}", user="")


FLOODS: dict[str, Callable[[int], bytes]] = {
    "paths": secret_path,
    "paths of no resource": lambda i: http("GET", f"/{i}{'a' * 20_000}", user=""),
    "groups": lambda i: http("GET", f"/apis/{i}{'a' * 20_000}/v1", user=""),
    "namespaces": lambda i: http("GET", f"/api/v1/namespaces/{i}{'a' * 20_000}/pods", user="jane"),
    "header names": lambda i: http("GET", "/api", lines=f"x-{i}{'a' * 20_000}: 1\r\n", user=""),
    "header values": lambda i: http("GET", "/api", lines=f"x-a: {i}{'a' * 20_000}\r\n", user=""),
    "user agents": lambda i: http("GET", MAPS, lines=f"User-Agent: {i}{'a' * 20_000}\r\n"),
    "accept": lambda i: http("GET", MAPS, lines=f"Accept: application/json;a={i}{'a' * 20_000}\r\n"),
    "accept of nobody": lambda i: http("GET", "/api", lines=f"Accept: application/json;a={i}{'a' * 20_000}\r\n", user=""),
    "tokens": lambda i: http("GET", MAPS, user=f"{i}{'a' * 20_000}"),
    "tokens and junk": lambda i: http("GET", MAPS, user=f"jane {i}{'a' * 20_000}"),
    "queries": lambda i: http("GET", f"/api?a{i}={'a' * 20_000}", user=""),
    "query names": lambda i: http("GET", f"/api?{i}{'a' * 20_000}=1", user=""),
    "timeouts": lambda i: http("GET", f"/api?timeout={i}{'0' * 5_000}s", user=""),
    "label selectors": lambda i: http("GET", f"{MAPS}?labelSelector=a{i}+in+({','.join(f'b{j}' for j in range(3000))})"),
    "field selectors": lambda i: http("GET", f"{MAPS}?fieldSelector=metadata.name={i}{'a' * 20_000}"),
    "continue tokens": lambda i: http("GET", f"{MAPS}?continue={i}{'a' * 20_000}"),
    "users": lambda i: http("GET", MAPS, lines=f"Impersonate-User: {i}{'a' * 20_000}\r\n"),
    "groups of others": lambda i: http("GET", MAPS, lines=f"Impersonate-User: a\r\nImpersonate-Group: {i}{'a' * 20_000}\r\n"),
    "managers": lambda i: http("POST", f"{MAPS}{DRY}&fieldManager=m{i}", b'{"metadata":{"name":"a"},"data":{"k%d":""}}' % i),
    "field elements": lambda i: http("POST", MAPS + DRY, around(meta(managedFields=[{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": "@"}]), lambda n: b'{"v:\\"%d' % i + b"k" * n + b'\\"":{}}', 20_000)),
    "names of labels": lambda i: http("POST", MAPS + DRY, around(meta(labels="@"), numbered(b'"k%d-\\u0000":""' % i, b"{", b"}"), 20_000)),
    "images": lambda i: http("POST", PODS + DRY, around(container(image="@"), lambda n: b'"%d' % i + b"a" * n + b'"', 20_000)),
    "environment": lambda i: http("POST", PODS + DRY, around(container(env="@"), numbered(b'{"name":"k%d_\\u0000","value":"v"}' % i), 20_000)),
    "quantities": lambda i: http("POST", PODS + DRY, around(container(resources={"requests": {"cpu": "@"}}), lambda n: b'"%d' % i + b"0" * n + b'"', 5_000)),
    "reviews": lambda i: http("POST", REVIEW, around({"spec": {"resourceAttributes": {"verb": "get", "name": "@"}}}, lambda n: b'"%d' % i + b"a" * n + b'"', 20_000), user="jane"),
}  # fmt: skip
"""Small requests, each other than the one before: what is remembered of them must not pile up."""
