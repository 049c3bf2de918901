"""UUIDs in the normalised form."""

from rules import gives

from pilothouse.api.validate.uuids import normal_uuid

UUID = "01234567-89ab-cdef-0123-456789abcdef"
NORMAL = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"
BAD = "error validating uid: invalid UUID format"

test_forms_of_uuids = gives(normal_uuid, [
    (UUID, []),
    (UUID.upper(), [NORMAL]),
    (f"urn:uuid:{UUID}", [NORMAL]),
    (f"URN:UUID:{UUID}", [NORMAL]),
    (f"{{{UUID}}}", [NORMAL]),
    (UUID.replace("-", ""), [NORMAL]),
    ("", ["error validating uid: invalid UUID length: 0"]),
    ("é", ["error validating uid: invalid UUID length: 2"]),
    (UUID.replace("-", "x"), [BAD]),
    ("g" + UUID[1:], [BAD]),
    ("g" * 32, [BAD]),
    (f"urn:uuix:{UUID}", ['error validating uid: invalid urn prefix: "urn:uuix:"']),
    (f"({UUID})", ["error validating uid: invalid bracketed UUID format"]),
])  # fmt: skip
