"""UUIDs in the normalised form."""

import pytest

from pilothouse.api.validate.uuids import normal_uuid

UUID = "01234567-89ab-cdef-0123-456789abcdef"
NORMAL = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"
BAD = "error validating uid: invalid UUID format"


@pytest.mark.parametrize(("text", "wanted"), [
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
def test_forms_of_uuids(text: str, wanted: list[str]) -> None:
    assert normal_uuid(text) == wanted
