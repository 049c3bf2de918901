"""Keys that sign and verify JSON web tokens: read from PEM, published as JWKS.
Imports its libraries lazily."""

import base64
import functools
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any, Protocol

from pilothouse.api._schema import shape
from pilothouse.process.frozen import frozen
from pilothouse.process.patterns import pattern

_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_PEM_END = b"-----END "
_FAILURE = "go-jose/go-jose: error in cryptographic primitive"
MAX_HEADER = 4 << 10
"""Bytes of a token's header. It is parsed before the signature is verified,
as it names the algorithm and the key."""
MAX_PLAIN, MAX_PARTS = 16 << 10, 10_000
"""Bytes of a payload from which on its members, objects and arrays are counted,
and how many it may have. Tokens of clients are shorter, those of distributed
claims are not, and they are read before their signature is verified."""
_ISSUER = pattern(rb'"iss"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\\x00-\x1f]|\\.)*")')
_SURROGATE = pattern(rb"\\u[dD][89a-fA-F]")
_MAX_ISSUERS = 8
"""Members `iss` of a payload that are looked at."""


class BadSignature(Exception):
    """A token that none of the keys has signed."""


class VerifyKey:
    """A public key, its id (base64url of the SHA-256 of its DER form) and its only algorithm."""

    def __init__(self, kid: str, alg: str, public: Any) -> None:
        self.kid = kid
        self.alg = alg
        self._public = public

    @functools.cached_property
    def key(self) -> Any:
        """The key as joserfc has it, which is imported with the first token."""
        return _jose(self._public)


class SigningKey:
    """A private key and the header of the tokens it signs."""

    def __init__(self, kid: str, alg: str, private: Any) -> None:
        self.kid = kid
        self.alg = alg
        self._private = private

    @functools.cached_property
    def key(self) -> Any:
        """The key as joserfc has it."""
        return _jose(self._private)

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWS over the claims."""
        from joserfc import jws

        payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
        header = {"alg": self.alg, "kid": self.kid}
        return jws.serialize_compact(header, payload, self.key, algorithms=[self.alg])


class KeySource(Protocol):
    """A source of the keys that verify this cluster's tokens."""

    async def find(self, kid: str) -> Sequence[VerifyKey]:
        """The keys of a key ID; all for ""."""

    def published(self) -> Sequence[VerifyKey]:
        """The keys that are published to others."""


class StaticKeys:
    """Keys that stay as they are."""

    def __init__(self, known: Sequence[VerifyKey]) -> None:
        self._known = tuple(known)

    async def find(self, kid: str) -> Sequence[VerifyKey]:
        known = self.published()
        return [key for key in known if key.kid == kid] if kid else known

    def published(self) -> Sequence[VerifyKey]:
        return self._known


class OwnKeys(StaticKeys):
    """The public key of a private key in PEM that this server has made, read on first use."""

    def __init__(self, pem: bytes) -> None:
        super().__init__(())
        self._pem = pem

    def published(self) -> Sequence[VerifyKey]:
        self._known = self._known or tuple(load_public(self._pem))
        return self._known


Sign = Callable[[dict[str, Any]], Awaitable[str]]
"""Makes a token of claims."""


def signing_with(key: SigningKey) -> Sign:
    """Signs with a key of our own."""

    async def sign(claims: dict[str, Any]) -> str:
        return key.sign(claims)

    return sign


def signing_by(pem: bytes) -> Sign:
    """Signs with a private key in PEM that this server has made, which is read on first use."""
    key: SigningKey | None = None

    async def sign(claims: dict[str, Any]) -> str:
        nonlocal key
        key = key or load_private(pem)
        return key.sign(claims)

    return sign


def new_private() -> bytes:
    """A new private key for tokens (ES256), in PEM."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


def of_der(kid: str, der: bytes) -> VerifyKey:
    """A public key (SubjectPublicKeyInfo) with the ID that its owner gives it;
    ValueError when it is none for tokens."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    public = load_der_public_key(der)
    return VerifyKey(kid, _algorithm(public), public)


def load_public(pem: bytes) -> list[VerifyKey]:
    """Every key in a PEM file: public keys, those of private keys and certificates. ValueError for none."""
    keys = [_verify_key(k) for k in _public_keys(pem)]
    if not keys:
        raise ValueError("data does not contain any valid RSA or ECDSA public keys")
    return keys


def load_private(pem: bytes) -> SigningKey:
    """The private key of a PEM file."""
    private = _private(pem)
    public = _verify_key(private.public_key())
    return SigningKey(public.kid, public.alg, private)


@frozen
class CompactJWS:
    """A token in the form of a compact JWS (RFC 7515), as anybody may have sent it:
    its JSON is not parsed yet."""

    text: str
    _header: bytes
    _payload: bytes

    def issuers(self) -> list[str]:
        """The texts of members `iss`, at whatever depth: the issuer is one of them, or the token has none.

        The scan is bounded, and nothing is parsed. The caller compares the claim itself when it has verified
        the signature. An `iss` that is spelled with escapes is not found.
        """
        found = (match[1] for match in islice(_ISSUER.finditer(self._payload), _MAX_ISSUERS))
        return list(dict.fromkeys(filter(None, map(_text, found))))

    def header(self) -> dict[str, Any] | None:
        """The header; None when it is long, or go-jose does not read it."""
        header = _object(self._header) if len(self._header) <= MAX_HEADER else None
        texts = [header.get(member) for member in ("alg", "kid", "typ", "cty")] if header is not None else ()
        return header if all(text is None or isinstance(text, str) for text in texts) else None

    def claims(self) -> dict[str, Any] | None:
        """The claims; None when the payload is no object in JSON,
        or a long one with too many parts to be read at once."""
        if len(self._payload) > MAX_PLAIN:
            members, containers, _ = shape(self._payload)
            if members + containers > MAX_PARTS:
                return None
        return _object(self._payload)


def compact(token: str) -> CompactJWS | None:
    """The parts of a token; None when it is no compact JWS."""
    parts = token.split(".", 3)
    if len(parts) != 3:
        return None
    try:
        header, payload, _ = map(base64url, parts)
    except ValueError:
        return None
    return CompactJWS(token, header, payload)


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The header and the claims of a token that comes from somebody trusted;
    None when it is no compact JWS."""
    parts = compact(token)
    header, claims = (parts.header(), parts.claims()) if parts is not None else (None, None)
    return None if header is None or claims is None else (header, claims)


def _text(literal: bytes) -> str:
    """A string of JSON; "" when it is none."""
    try:
        found = json.loads(literal) if b"\\" in literal else literal[1:-1].decode()
    except ValueError:
        return ""
    return str(found)


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = _json(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _json(data: bytes) -> Any:
    """JSON as go-jose reads it: neither NaN nor Infinity, and no member twice. ValueError for anything else.

    Half a surrogate pair, which Go replaces, is refused as well: no name with one can be written or compared.
    """
    found = json.loads(data.decode(), parse_constant=_no_number, object_pairs_hook=_members)
    if _SURROGATE.search(data):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise ValueError("a member is there twice")
    return out


def seconds(value: Any) -> int:
    """A moment out of a claim, in whole seconds (go-jose's NumericDate).
    ValueError when it is no finite number.

    What is beyond 64 bits becomes the smallest number, as Go's conversion does: such a token has expired.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("go-jose/go-jose/jwt: expected number value to unmarshal NumericDate")
    whole = int(value)
    return whole if -(1 << 63) <= whole < 1 << 63 else -(1 << 63)


def texts(value: Any) -> tuple[str, ...]:
    """The audiences in a claim: a text, a list of texts, or none. ValueError for anything else."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise ValueError("go-jose/go-jose/jwt: expected string or array value to unmarshal to Audience")


def plain(header: dict[str, Any]) -> bool:
    """Whether a header asks for no other way of signing:
    no extension that must be understood, no unencoded payload."""
    return "crit" not in header and header.get("b64", True) is True


def verify(token: str, header: dict[str, Any], keys: Sequence[VerifyKey]) -> None:
    """Raise BadSignature unless one of the keys signed the token; a key id in the header picks among them."""
    from joserfc import jws
    from joserfc.errors import JoseError

    if not plain(header):
        raise BadSignature(_FAILURE)
    kid = header.get("kid")
    candidates = [k for k in keys if k.kid == kid] if kid else list(keys)
    if not candidates:
        raise BadSignature("invalid signature, no keys found")
    for key in candidates:
        try:
            jws.deserialize_compact(token, key.key, algorithms=[key.alg])
        except (JoseError, ValueError, TypeError):
            continue
        return
    raise BadSignature(_FAILURE)


def jwks(keys: Iterable[VerifyKey]) -> dict[str, Any]:
    """The key set document, each key once."""
    unique = {k.kid: k for k in keys}
    return {"keys": [_jwk(k) for k in unique.values()]}


def algorithms(keys: Iterable[VerifyKey]) -> list[str]:
    return sorted({k.alg for k in keys})


def base64url(text: str) -> bytes:
    """Decode without padding. ValueError when the text is not base64url, or is padded."""
    if "=" in text:
        raise ValueError("padding is not allowed")
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


def _jwk(key: VerifyKey) -> dict[str, Any]:
    out: dict[str, Any] = {"use": "sig", "kty": key.key.key_type, "kid": key.kid, "alg": key.alg}
    members = key.key.as_dict(private=False)
    out.update({name: members[name] for name in ("crv", "x", "y", "n", "e") if name in members})
    return out


def _verify_key(public: Any) -> VerifyKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    kid = base64.urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()
    return VerifyKey(kid, _algorithm(public), public)


def _algorithm(public: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(public, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return _CURVES[public.curve.name]
    raise ValueError("unknown public key type, must be an RSA key or an ECDSA key on P-256, P-384 or P-521")


def _jose(key: Any) -> Any:
    from joserfc.jwk import ECKey, RSAKey

    return (ECKey if hasattr(key, "curve") else RSAKey)(key, key)


@functools.lru_cache(maxsize=4)
def _private(pem: bytes) -> Any:
    """A private key, remembered: one file often both signs and verifies.

    The operator's own key file is not tested for primes, which takes 60 ms of every start.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)


def _public_keys(pem: bytes) -> Iterable[Any]:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.x509 import load_pem_x509_certificate

    for block in _blocks(pem):
        if b"PRIVATE KEY-----" in block:
            yield _private(block).public_key()
        elif b"PUBLIC KEY-----" in block:
            yield s.load_pem_public_key(block)
        elif b"CERTIFICATE-----" in block:
            yield load_pem_x509_certificate(block).public_key()


def _blocks(pem: bytes) -> Iterable[bytes]:
    lines: list[bytes] = []
    for line in pem.splitlines():
        if line.startswith(b"-----BEGIN "):
            lines = []
        lines.append(line)
        if line.startswith(_PEM_END):
            yield b"\n".join(lines) + b"\n"
