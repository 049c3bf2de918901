"""Issuing and checking service account tokens."""

import base64
import json
import math
from typing import Any

import pytest
from clocks import Clock
from coroutines import at_once
from cryptography.hazmat.primitives.asymmetric import rsa
from rsa_pem import rsa_pem

from pilothouse import errors
from pilothouse.authn import keys, serviceaccount
from pilothouse.authn.metrics import ServiceAccountMetrics
from pilothouse.authn.serviceaccount import ServiceAccountTokens, TokenIssuer

PEM = rsa_pem()
ISSUER = "https://issuer.example"
NOW = 1_767_225_600
"""2026-01-01T00:00:00Z"""


def obj(name: str, uid: str, namespace: str = "ns", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": uid}
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": metadata, **more}


@pytest.fixture
def readers(fake_readers: Any) -> Any:
    return fake_readers(
        ("serviceaccounts", obj("s", "sa-1")),
        ("pods", obj("p", "pod-1", spec={"serviceAccountName": "s", "nodeName": "n"})),
        ("pods", obj("q", "pod-2", spec={"serviceAccountName": "s", "nodeName": "gone"})),
        ("pods", obj("other", "pod-3", spec={"serviceAccountName": "o"})),
        ("secrets", obj("x", "secret-1")),
        ("nodes", obj("n", "node-1", "")),
    )


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def issuer(readers: Any, clock: Clock) -> TokenIssuer:
    return TokenIssuer(ISSUER, keys.signing_with(keys.load_private(PEM)), readers, ("api",), clock=clock)


@pytest.fixture
def metrics() -> ServiceAccountMetrics:
    return ServiceAccountMetrics()


@pytest.fixture
def tokens(readers: Any, clock: Clock, metrics: ServiceAccountMetrics) -> ServiceAccountTokens:
    public = keys.StaticKeys(keys.load_public(PEM))
    return ServiceAccountTokens(public, [ISSUER], ["api"], readers, clock=clock, metrics=metrics)


def used(metrics: ServiceAccountMetrics) -> dict[str, float]:
    """The counts by part of the metric's name."""
    names = ("legacy", "manual", "automatic", "invalid", "stale", "valid")
    return {name: value for name in names if (value := getattr(metrics, name).values[()])}


def request(**spec: Any) -> dict[str, Any]:
    return {"kind": "TokenRequest", "metadata": {}, "spec": spec}


def bound(kind: str, name: str, uid: str = "") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "name": name, **({"uid": uid} if uid else {})}


def issued(issuer: Any, **spec: Any) -> Any:
    answer, _, _ = at_once(issuer.request(request(**spec), "ns", "s"))
    return answer["status"]["token"]


def test_a_request_is_completed_with_defaults(issuer: TokenIssuer) -> None:
    answer, warnings, credential = at_once(issuer.request(request(), "ns", "s"))
    assert warnings == []
    assert answer["spec"] == {"audiences": ["api"], "expirationSeconds": 3600, "boundObjectRef": None}
    assert answer["metadata"]["uid"] == "sa-1" and answer["metadata"]["name"] == "s"
    _, claims = keys.read(answer["status"]["token"])
    assert credential == f"JTI={claims['jti']}"
    assert claims["exp"] - claims["iat"] == 3600 and claims["nbf"] == claims["iat"]
    assert (claims["iss"], claims["sub"], claims["aud"]) == (ISSUER, "system:serviceaccount:ns:s", ["api"])
    assert claims["kubernetes.io"] == {
        "namespace": "ns",
        "serviceaccount": {"name": "s", "uid": "sa-1"},
    }


def test_a_token_stands_for_its_account(issuer: TokenIssuer, tokens: ServiceAccountTokens) -> None:
    token = issued(issuer)
    found = at_once(tokens.authenticate_token(token, ()))
    assert found.user.name == "system:serviceaccount:ns:s" and found.user.uid == "sa-1"
    assert found.user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns")
    jti = keys.read(token)[1]["jti"]
    assert found.user.extra == {"authentication.kubernetes.io/credential-id": [f"JTI={jti}"]}
    assert found.audiences == ("api",)


def test_the_signature_is_verified_before_the_claims_are_parsed(
    issuer: TokenIssuer, tokens: ServiceAccountTokens
) -> None:
    payload = (
        base64.urlsafe_b64encode(f'{{"iss":"{ISSUER}","a":[{"{}," * 4000}'.encode()).decode().rstrip("=")
    )
    header, _, signature = issued(issuer).split(".")
    with pytest.raises(errors.Unauthorized, match="go-jose/go-jose: error in cryptographic primitive"):
        at_once(tokens.authenticate_token(f"{header}.{payload}.{signature}", ()))


def test_the_issuer_of_another_part_of_the_claims_does_not_count(tokens: ServiceAccountTokens) -> None:
    token = keys.load_private(PEM).sign({"iss": "https://else", "act": {"iss": ISSUER}})
    assert at_once(tokens.authenticate_token(token, ())) is None


@pytest.mark.parametrize(
    ("ref", "extra"),
    [
        (bound("Pod", "p"), {"pod-name": "p", "pod-uid": "pod-1", "node-name": "n", "node-uid": "node-1"}),
        (bound("Pod", "q"), {"pod-name": "q", "pod-uid": "pod-2", "node-name": "gone"}),
        (bound("Node", "n", "node-1"), {"node-name": "n", "node-uid": "node-1"}),
        (bound("Secret", "x"), {}),
    ],
)
def test_a_bound_token_dies_with_its_object(
    issuer: TokenIssuer, tokens: ServiceAccountTokens, readers: Any, ref: Any, extra: dict[str, Any]
) -> None:
    token = issued(issuer, boundObjectRef=ref)
    user = at_once(tokens.authenticate_token(token, ())).user
    rest = {k.rpartition("/")[2]: v[0] for k, v in user.extra.items()}
    del rest["credential-id"]
    assert rest == extra
    key = (ref["kind"].lower() + "s", "" if ref["kind"] == "Node" else "ns", ref["name"])
    kept = readers.objects[key]
    readers.objects[key] = {"metadata": {**kept["metadata"], "deletionTimestamp": "2020-01-01T00:00:00Z"}}
    with pytest.raises(errors.Unauthorized, match="token has been invalidated"):
        at_once(tokens.authenticate_token(token, ()))
    readers.objects[key] = {"metadata": {**kept["metadata"], "uid": "new"}}
    with pytest.raises(errors.Unauthorized, match=r"UID \(new\) does not match service account"):
        at_once(tokens.authenticate_token(token, ()))
    del readers.objects[key]
    with pytest.raises(errors.Unauthorized, match="token has been invalidated"):
        at_once(tokens.authenticate_token(token, ()))


def test_a_token_dies_with_its_account(
    issuer: TokenIssuer, tokens: ServiceAccountTokens, readers: Any
) -> None:
    token = issued(issuer)
    account = readers.objects["serviceaccounts", "ns", "s"]
    account["metadata"]["uid"] = "sa-2"
    with pytest.raises(
        errors.Unauthorized, match=r"service account UID \(sa-2\) does not match claim \(sa-1\)"
    ):
        at_once(tokens.authenticate_token(token, ()))
    account["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"
    with pytest.raises(errors.Unauthorized, match="service account ns/s has been deleted"):
        at_once(tokens.authenticate_token(token, ()))
    del readers.objects["serviceaccounts", "ns", "s"]
    with pytest.raises(errors.Unauthorized, match='serviceaccounts "s" not found'):
        at_once(tokens.authenticate_token(token, ()))


def test_a_token_ends_at_its_expiration_and_a_minute(
    issuer: TokenIssuer, tokens: ServiceAccountTokens, clock: Clock
) -> None:
    answer, _, _ = at_once(issuer.request(request(expirationSeconds=600), "ns", "s"))
    assert answer["status"]["expirationTimestamp"] == "2026-01-01T00:10:00Z"
    assert answer["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    clock.now += 660
    assert at_once(tokens.authenticate_token(answer["status"]["token"], ())) is not None
    clock.now += 1
    with pytest.raises(errors.Unauthorized, match="has expired"):
        at_once(tokens.authenticate_token(answer["status"]["token"], ()))


def test_an_account_that_is_being_deleted_counts_for_another_minute(
    issuer: TokenIssuer, tokens: ServiceAccountTokens, readers: Any, clock: Clock
) -> None:
    token = issued(issuer)
    account = readers.objects["serviceaccounts", "ns", "s"]
    account["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    clock.now += 60
    assert at_once(tokens.authenticate_token(token, ())) is not None
    clock.now += 1
    with pytest.raises(errors.Unauthorized, match="has been deleted"):
        at_once(tokens.authenticate_token(token, ()))


@pytest.mark.parametrize(
    "when", ["292277026653-01-01T00:00:00Z", "10000-01-01T00:59:59Z", "-0001-12-31T23:00:00Z"]
)
def test_a_time_of_deletion_may_be_in_any_year(
    issuer: TokenIssuer, tokens: ServiceAccountTokens, readers: Any, when: str
) -> None:
    token = issued(issuer)
    readers.objects["serviceaccounts", "ns", "s"]["metadata"]["deletionTimestamp"] = when
    if not when.startswith("-"):
        assert at_once(tokens.authenticate_token(token, ())) is not None
        return
    with pytest.raises(errors.Unauthorized, match="has been deleted"):
        at_once(tokens.authenticate_token(token, ()))


def test_a_token_is_for_its_audiences_only(issuer: TokenIssuer, tokens: ServiceAccountTokens) -> None:
    token = issued(issuer, audiences=["vault"])
    assert at_once(tokens.authenticate_token(token, ["vault", "x"])).audiences == ("vault",)
    with pytest.raises(errors.Unauthorized, match=r'audiences \["vault"\] is invalid for .* \["api"\]'):
        at_once(tokens.authenticate_token(token, ()))


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ({"expirationSeconds": 599}, 422, "less than 10 minutes"),
        ({"expirationSeconds": 0}, 422, "Invalid value: 0"),
        ({"expirationSeconds": (1 << 32) + 1}, 422, r"larger than 2\^32 seconds"),
        ({"boundObjectRef": bound("ConfigMap", "x")}, 400, "object of type /v1, Kind=ConfigMap"),
        ({"boundObjectRef": {}}, 400, "object of type /, Kind=$"),
        ({"boundObjectRef": bound("Pod", "nope")}, 404, 'pods "nope" not found'),
        ({"boundObjectRef": bound("Secret", "")}, 400, "Name parameter required."),
        ({"boundObjectRef": bound("Pod", "other")}, 400, "pod running with different serviceaccount name."),
        ({"boundObjectRef": bound("Pod", "p", "u")}, 409, r'cannot be fulfilled on Pod "p": the UID .*\(u\)'),
    ],
)
def test_what_a_request_may_not_ask_for(
    issuer: TokenIssuer, spec: dict[str, Any], code: int, message: str
) -> None:
    with pytest.raises(errors.StatusError, match=message) as caught:
        at_once(issuer.request(request(**spec), "ns", "s"))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("metadata", "code"), [({"name": "x"}, 422), ({"namespace": "x"}, 422), ({"uid": "x"}, 409)]
)
def test_a_request_may_not_speak_of_another_account(
    issuer: TokenIssuer, metadata: dict[str, Any], code: int
) -> None:
    with pytest.raises(errors.StatusError) as caught:
        at_once(issuer.request({"metadata": metadata, "spec": {}}, "ns", "s"))
    assert caught.value.code == code
    assert caught.value.details["name"] == "s"


def test_an_account_must_exist(issuer: TokenIssuer) -> None:
    with pytest.raises(errors.NotFound, match='serviceaccounts "gone" not found'):
        at_once(issuer.request(request(), "ns", "gone"))


def test_too_long_a_life_is_cut_with_a_warning(readers: Any) -> None:
    issuer = TokenIssuer(
        ISSUER, keys.signing_with(keys.load_private(PEM)), readers, ("api",), max_expiration=3600
    )
    answer, warnings, _ = at_once(issuer.request(request(expirationSeconds=7200), "ns", "s"))
    assert warnings == ["requested expiration of 7200 seconds shortened to 3600 seconds"]
    assert answer["spec"]["expirationSeconds"] == 3600


def test_tokens_of_kubelets_live_a_year_and_warn(issuer: TokenIssuer) -> None:
    token = issued(issuer, expirationSeconds=3607, boundObjectRef=bound("Pod", "p"))
    claims = keys.read(token)[1]
    assert claims["exp"] - claims["iat"] == 365 * 24 * 3600
    assert claims["kubernetes.io"]["warnafter"] - claims["iat"] == 3607
    plain = keys.read(issued(issuer, expirationSeconds=3607))[1]
    assert plain["exp"] - plain["iat"] == 3607


def test_tokens_that_should_have_been_renewed_are_counted(
    issuer: TokenIssuer, tokens: ServiceAccountTokens, clock: Clock, metrics: ServiceAccountMetrics
) -> None:
    token = issued(issuer, expirationSeconds=3607, boundObjectRef=bound("Pod", "p"))
    for _ in range(2):
        at_once(tokens.authenticate_token(token, ()))
    assert at_once(tokens.authenticate_token(token, ())).annotations == ()
    clock.now += 3608
    stale = "subject: system:serviceaccount:ns:s, seconds after warning threshold: 1"
    found = at_once(tokens.authenticate_token(token, ()))
    assert found.annotations == (("authentication.k8s.io/stale-token", stale),)
    at_once(tokens.authenticate_token(issued(issuer), ()))
    assert used(metrics) == {"valid": 3, "stale": 1}


def test_tokens_that_were_generated_with_their_secret_warn(
    tokens: ServiceAccountTokens, readers: Any, metrics: ServiceAccountMetrics
) -> None:
    token = legacy()
    secret = obj("t", "secret-2", data={"token": base64.b64encode(token.encode()).decode()})
    readers.add(("secrets", secret))
    found = at_once(tokens.authenticate_token(token, ()))
    legacy_token = ("authentication.k8s.io/legacy-token", "system:serviceaccount:ns:s")
    assert found.warnings == ()
    manual = ("authentication.k8s.io/legacy-token-manual-secret", "t")
    assert set(found.annotations) == {legacy_token, manual}
    assert used(metrics) == {"legacy": 1, "manual": 1}
    readers.get("serviceaccounts", "ns", "s")["secrets"] = [{"name": "o"}, {"name": "t"}]
    found = at_once(tokens.authenticate_token(token, ()))
    automatic = ("authentication.k8s.io/legacy-token-autogenerated-secret", "t")
    assert set(found.annotations) == {legacy_token, automatic}
    assert found.warnings == (
        (
            "Use tokens from the TokenRequest API or manually created secret-based tokens instead of"
            " auto-generated secret-based tokens."
        ),
    )
    assert used(metrics) == {"legacy": 2, "manual": 1, "automatic": 1}
    secret["metadata"]["labels"] = {"kubernetes.io/legacy-token-invalid-since": "2024-01-01"}
    with pytest.raises(errors.Unauthorized):
        at_once(tokens.authenticate_token(token, ()))
    assert used(metrics) == {"legacy": 2, "manual": 1, "automatic": 1, "invalid": 1}


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW - 61}, "has expired"),
        ({"nbf": NOW + 61}, "not valid yet"),
        ({"iat": NOW + 61}, "future"),
        ({"exp": "soon"}, "expected number value to unmarshal NumericDate"),
        ({"exp": True}, "expected number value to unmarshal NumericDate"),
        ({"nbf": [1]}, "expected number value to unmarshal NumericDate"),
        ({"exp": 10**300}, "has expired"),
        ({"exp": -1e300}, "has expired"),
        ({"aud": 7}, "expected string or array value to unmarshal to Audience"),
        ({"aud": ["api", 7]}, "expected string or array value to unmarshal to Audience"),
        ({"sub": 1}, "json: cannot unmarshal number into Go value of type string"),
        ({"jti": {}}, "json: cannot unmarshal object into Go value of type string"),
        ({"kubernetes.io": {}}, 'serviceaccounts "" not found'),
        ({"kubernetes.io": None}, 'serviceaccounts "" not found'),
        ({"kubernetes.io": "x"}, "json: cannot unmarshal string into Go value"),
        ({"kubernetes.io": {"namespace": 5}}, "json: cannot unmarshal number into Go value of type string"),
        ({"kubernetes.io": {"pod": []}}, "json: cannot unmarshal array into Go value"),
        ({"kubernetes.io": {"serviceaccount": {"uid": True}}}, "json: cannot unmarshal bool into Go value"),
        ({"kubernetes.io": {"warnafter": "x"}}, "expected number value to unmarshal NumericDate"),
    ],
)
def test_claims_are_judged(tokens: ServiceAccountTokens, claims: dict[str, Any], why: str) -> None:
    token = keys.load_private(PEM).sign({"iss": ISSUER, **claims})
    with pytest.raises(errors.Unauthorized, match=why):
        at_once(tokens.authenticate_token(token, ()))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_make_no_token(tokens: ServiceAccountTokens, number: Any) -> None:
    assert (
        at_once(tokens.authenticate_token(keys.load_private(PEM).sign({"iss": ISSUER, "exp": number}), ()))
        is None
    )


def test_a_number_beyond_all_numbers_does_not_last_for_ever(tokens: ServiceAccountTokens) -> None:
    token = raw_token({"alg": "RS256"}, f'{{"iss":"{ISSUER}","exp":1e400}}')
    with pytest.raises(errors.Unauthorized, match="NumericDate"):
        at_once(tokens.authenticate_token(token, ()))


@pytest.mark.parametrize(
    "header", [{"b64": False}, {"b64": False, "crit": ["b64"]}, {"crit": ["exp"], "exp": 1}, {"b64": "x"}]
)
def test_headers_that_ask_for_another_signature_are_refused(
    tokens: ServiceAccountTokens, header: dict[str, Any]
) -> None:
    token = raw_token({"alg": "RS256", **header}, json.dumps({"iss": ISSUER}))
    with pytest.raises(errors.Unauthorized, match="error in cryptographic primitive"):
        at_once(tokens.authenticate_token(token, ()))


def raw_token(header: Any, payload: Any) -> str:
    """A token as signed by the cluster's key over any header and any text."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    def part(data: Any) -> Any:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = part(json.dumps(header).encode()) + b"." + part(payload.encode())
    key = load_pem_private_key(PEM, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + part(signature)).decode()


def test_tokens_of_others_are_left_to_others(tokens: ServiceAccountTokens) -> None:
    key = keys.load_private(PEM)
    for token in ("", "a.b.c", key.sign({"iss": "https://else"}), key.sign({"iss": 7})):
        assert at_once(tokens.authenticate_token(token, ())) is None
    stranger = keys.load_private(rsa_pem("other")).sign({"iss": ISSUER})
    with pytest.raises(errors.Unauthorized, match="no keys found"):
        at_once(tokens.authenticate_token(stranger, ()))


def legacy(**changes: Any) -> Any:
    prefix = "kubernetes.io/serviceaccount/"
    claims = {
        "iss": serviceaccount.LEGACY_ISSUER,
        "sub": "system:serviceaccount:ns:s",
        prefix + "namespace": "ns",
        prefix + "secret.name": "t",
        prefix + "service-account.name": "s",
        prefix + "service-account.uid": "sa-1",
    }
    return keys.load_private(PEM).sign({**claims, **changes})


def test_a_legacy_token_must_be_the_one_in_its_secret(tokens: ServiceAccountTokens, readers: Any) -> None:
    token = legacy()
    secret = obj("t", "secret-2", data={"token": base64.b64encode(token.encode()).decode()})
    with pytest.raises(errors.Unauthorized, match="invalidated"):
        at_once(tokens.authenticate_token(token, ()))
    readers.add(("secrets", secret))
    user = at_once(tokens.authenticate_token(token, ())).user
    assert (user.name, user.extra) == ("system:serviceaccount:ns:s", {})
    secret["metadata"]["labels"] = {"kubernetes.io/legacy-token-invalid-since": "2024-01-01"}
    with pytest.raises(errors.Unauthorized, match="has been marked invalid"):
        at_once(tokens.authenticate_token(token, ()))
    secret["data"]["token"] = ""
    with pytest.raises(errors.Unauthorized, match="does not match server's copy"):
        at_once(tokens.authenticate_token(token, ()))
    with pytest.raises(errors.Unauthorized, match="sub claim is invalid"):
        at_once(tokens.authenticate_token(legacy(sub="system:serviceaccount:ns:o"), ()))


def test_the_discovery_document_names_the_keys() -> None:
    document = serviceaccount.discovery_document(ISSUER, "https://host/jwks", keys.load_public(PEM))
    assert document["issuer"] == ISSUER and document["jwks_uri"] == "https://host/jwks"
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]
