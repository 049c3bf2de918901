"""The hashes that names and labels carry. Those of stateful sets' revisions are upstream's;
those of pod templates look like upstream's, which follow from how Go prints a template."""

from hashlib import blake2b

import orjson

from pilothouse.api import json
from pilothouse.api.values.fields import Object

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_FNV_BASIS, _FNV_PRIME = 0x811C9DC5, 0x01000193


def template_hash(template: Object, collisions: int = 0) -> str:
    """A short text that follows from a template, and from how often its name was taken."""
    data = orjson.dumps(template, option=orjson.OPT_SORT_KEYS) + (
        b"" if not collisions else b"%d" % collisions
    )
    return _shown(int.from_bytes(blake2b(data, digest_size=4).digest()))


def revision_hash(data: Object, collisions: int) -> str:
    """The hash of a stateful set's revision with these data (HashControllerRevision)."""
    number = _FNV_BASIS
    for byte in json.escaped(json.dump(data, sort=True)) + b"%d" % collisions:
        number = (number * _FNV_PRIME & 0xFFFFFFFF) ^ byte
    return _shown(number)


def _shown(number: int) -> str:
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in str(number))
