"""The hash of a pod template that names and labels carry; its texts look like upstream's,
its values do not."""

from hashlib import blake2b

import orjson

from pilothouse.api.values.fields import Object

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object, collisions: int = 0) -> str:
    """A short text that follows from a template, and from how often its name was taken."""
    data = orjson.dumps(template, option=orjson.OPT_SORT_KEYS) + (
        b"" if not collisions else b"%d" % collisions
    )
    number = int.from_bytes(blake2b(data, digest_size=4).digest())
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in str(number))
