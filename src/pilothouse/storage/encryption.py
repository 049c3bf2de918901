"""Encryption at rest: values as kube-apiserver writes them, in the form `k8s:enc:aesgcm:v1:KEY:...`
(apiserver storage/value/encrypt). Reads are told apart by that prefix, writes use the first provider.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pilothouse.storage.interface import KeyValue, Op, Storage, StorageError

ENCRYPTED = b"k8s:enc:"


class DecryptionError(StorageError):
    """A stored value can not be read: no key fits, or it was changed."""


class Provider(Protocol):
    """One way to encrypt. `prefix` tells its values from others'."""

    prefix: bytes

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        """`context` is the key under which the value is stored, so that values can not be exchanged."""

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        """Raises ValueError for what this provider has not written."""


class Identity:
    """No encryption."""

    prefix = b""

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        return data

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        if data.startswith(ENCRYPTED):
            raise ValueError("identity transformer tried to read encrypted data")
        return data


class AesGcm:
    """AES in Galois counter mode with a random nonce; a key should be replaced after 200,000 writes."""

    def __init__(self, name: str, key: bytes) -> None:
        self.prefix = b"k8s:enc:aesgcm:v1:" + name.encode() + b":"
        self._cipher = AESGCM(key)

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, data, context)

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(data[:12], data[12:], context)
        except InvalidTag:
            raise ValueError("cipher: message authentication failed") from None


class AesCbc:
    """AES in cipher block chaining mode, padded as PKCS #7 says."""

    BLOCK = 16

    def __init__(self, name: str, key: bytes) -> None:
        self.prefix = b"k8s:enc:aescbc:v1:" + name.encode() + b":"
        self._key = algorithms.AES(key)

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        start = os.urandom(self.BLOCK)
        size = self.BLOCK - len(data) % self.BLOCK
        encryptor = Cipher(self._key, modes.CBC(start)).encryptor()
        return start + encryptor.update(data + bytes((size,)) * size) + encryptor.finalize()

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        if len(data) < 2 * self.BLOCK or len(data) % self.BLOCK:
            raise ValueError("the stored data is not a multiple of the block size")
        decryptor = Cipher(self._key, modes.CBC(data[: self.BLOCK])).decryptor()
        padded = decryptor.update(data[self.BLOCK :]) + decryptor.finalize()
        size = padded[-1]
        if not 0 < size <= self.BLOCK or padded[-size:] != bytes((size,)) * size:
            raise ValueError("invalid padding on input")
        return padded[:-size]


class SecretBox:
    """XSalsa20 and Poly1305, from the package pynacl."""

    def __init__(self, name: str, key: bytes) -> None:
        from nacl.secret import SecretBox as Box

        self.prefix = b"k8s:enc:secretbox:v1:" + name.encode() + b":"
        self._box = Box(key)

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        return bytes(self._box.encrypt(data))

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        from nacl.exceptions import CryptoError

        try:
            return bytes(self._box.decrypt(data))
        except CryptoError:
            raise ValueError("output array of incorrect size or message authentication failed") from None


Rule = tuple[tuple[str, ...], Sequence[Provider]]
"""Resources (`secrets`, `deployments.apps`, `*.apps`, `*.`, `*.*`) and their providers; first fit counts."""

PLAIN: Sequence[Provider] = (Identity(),)


class Encryption:
    """The providers of every resource. `resource_of` tells from a key which resource is stored there."""

    def __init__(
        self, rules: Sequence[Rule], resource_of: Callable[[str], str], prefix: str = "/registry"
    ) -> None:
        self._resource_of = resource_of
        self._prefix = prefix
        self._known: dict[str, Sequence[Provider]] = {}
        self._rules = rules

    def use(self, rules: Sequence[Rule]) -> None:
        """Go on with other rules."""
        self._rules = rules
        self._known = {}

    def encrypt(self, key: str, value: bytes) -> bytes:
        """What is to be stored."""
        provider = self._providers(key)[0]
        return provider.prefix + provider.encrypt(value, self._context(key)) if provider.prefix else value

    def decrypt(self, key: str, data: bytes) -> bytes:
        """What was stored; DecryptionError when no provider can read it."""
        problem = "no matching prefix found"
        for provider in self._providers(key):
            if not data.startswith(provider.prefix):
                continue
            try:
                return provider.decrypt(data[len(provider.prefix) :], self._context(key))
            except ValueError as error:
                problem = str(error)
        raise DecryptionError(f"{key} can not be decrypted: {problem}")

    def stale(self, key: str, data: bytes) -> bool:
        """Whether it would be stored in another way today."""
        prefix = self._providers(key)[0].prefix
        return not data.startswith(prefix) if prefix else data.startswith(ENCRYPTED)

    def _providers(self, key: str) -> Sequence[Provider]:
        resource = self._resource_of(key)
        found = self._known.get(resource)
        if found is None:
            found = next((providers for names, providers in self._rules if _fits(resource, names)), PLAIN)
            self._known[resource] = found
        return found

    def _context(self, key: str) -> bytes:
        return (self._prefix + key.removeprefix("/registry")).encode()


def _fits(resource: str, names: Sequence[str]) -> bool:
    plural, _, group = resource.partition(".")
    wanted = {resource, f"{plural}.{group}", f"*.{group}", "*.*"}
    return bool(resource) and not wanted.isdisjoint(names)


class EncryptedStorage:
    """A store that keeps values encrypted. What is written is given back as it came.

    get, range and watch give what is stored: whoever reads decrypts each value by itself, so that one that is
    damaged does not hide the others.
    """

    def __init__(self, inner: Storage, encryption: Encryption) -> None:
        self.inner = inner
        self.encryption = encryption

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def create(self, key: str, value: bytes, ttl: int = 0) -> KeyValue:
        kv = await self.inner.create(key, self.encryption.encrypt(key, value), ttl)
        return _with(kv, value)

    async def update(self, key: str, value: bytes, expect: int, ttl: int = 0) -> KeyValue:
        kv = await self.inner.update(key, self.encryption.encrypt(key, value), expect, ttl)
        return _with(kv, value)

    async def delete(self, key: str, expect: int) -> KeyValue:
        kv = await self.inner.delete(key, expect)
        return _with(kv, self.encryption.decrypt(key, kv.value))

    async def txn(self, ops: list[Op]) -> int:
        sealed = []
        for op in ops:
            value = None if op.value is None else self.encryption.encrypt(op.key, op.value)
            sealed.append(Op(op.key, value, op.expect, op.ttl))
        return await self.inner.txn(sealed)

    async def stale(self, key: str) -> bool:
        """Whether a value should be written again though nothing in it changes: its key was replaced."""
        kv = await self.inner.get(key)
        return kv is not None and self.encryption.stale(key, kv.value)


def _with(kv: KeyValue, value: bytes) -> KeyValue:
    return KeyValue(kv.key, value, kv.mod, kv.create, kv.lease)
