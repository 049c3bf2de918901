"""String formats of schemas."""

import pytest

from pilothouse.api.structural.formats import FORMATS, known

CASES: dict[str, tuple[list[str], list[str]]] = {
    "bsonobjectid": (["507f1f77bcf86cd799439011"], ["507f1f77bcf86cd79943901", "xyz"]),
    "uri": (["http://a.b/c?d#e", "/abs/path", "mailto:a@b.c", "http://[::1]:80/"],
            ["", "rel/path", "http://a b/", "http://a/%zz", ":x"]),
    "email": (["a@b.c", '"q r"@b.c', "Name <a@b.c>", "a.b+c@d"], ["a", "a@", "@b", "a b@c", "a..b@c"]),
    "hostname": (["a", "a-b.example", "1a.bc", "ü.example"],
                 ["", "-a.bc", "a..bc", "a_b.cd", "a.b-", "x" * 64 + ".com"]),
    "ipv4": (["1.2.3.4", "01.2.3.4"], ["::1", "1.2.3", "1.2.3.256"]),
    "ipv6": (["::1", "fe80::1"], ["1.2.3.4", "fe80::1%eth0", "x:y"]),
    "cidr": (["10.0.0.0/8", "::/0"], ["10.0.0.0", "10.0.0.0/33"]),
    "mac": (["01:23:45:67:89:ab", "01-23-45-67-89-AB", "0123.4567.89ab"],
            ["01:23:45:67:89", "01:23:45:67:89:zz", "01:23-45:67:89:ab"]),
    "uuid": (["00000000-0000-0000-0000-00000000000A", "0" * 32], ["0" * 31]),
    "uuid3": (["00000000-0000-3000-0000-000000000000"], ["00000000-0000-4000-0000-000000000000"]),
    "uuid4": (["00000000-0000-4000-8000-000000000000"], ["00000000-0000-4000-0000-000000000000"]),
    "uuid5": (["00000000-0000-5000-b000-000000000000"], ["00000000-0000-4000-8000-000000000000"]),
    "isbn": (["0321751043", "978-0321751041"], ["0321751044", "9780321751042", "x"]),
    "isbn10": (["080442957X"], ["9780321751041"]),
    "isbn13": (["9780321751041"], ["0321751043"]),
    "creditcard": (["4111 1111 1111 1111"], ["4111 1111 1111 1112", "1"]),
    "ssn": (["111-22-3333", "111 22 3333"], ["111223333", "1112233334x"]),
    "hexcolor": (["#fff", "FFFFFF"], ["#ffff", "red"]),
    "rgbcolor": (["rgb(1, 255,0)"], ["rgb(1,2)", "rgb(256,1,1)"]),
    "byte": (["aGk="], ["aGk", ""]),
    "password": (["", "anything"], []),
    "date": (["2024-02-29", "0000-01-01"], ["2023-02-29", "2024-1-1", "x"]),
    "duration": (["1h30m", "22 ns", "3 days", "1 Week"], ["", "x", "5"]),
    "datetime": (["2014-12-15T19:30:20.000Z", "2014-12-15t19:30:20+01:00"],
                 ["2014-12-15", "2014-12-15T24:00:00Z", "x"]),
    "k8sshortname": (["a-b", "a" * 63], ["A", "a.b", "-a", "a" * 64]),
    "k8slongname": (["a-b.c", "a" * 100], ["A", "a..b", ""]),
}  # fmt: skip


def test_every_format_has_cases() -> None:
    assert CASES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", CASES)
def test_formats(name: str) -> None:
    good, bad = CASES[name]
    assert [text for text in good if not FORMATS[name](text)] == []
    assert [text for text in bad if FORMATS[name](text)] == []


def test_which_formats_are_known() -> None:
    assert (
        known("string", "date-time")
        and known("", "ipv4")
        and known("integer", "int32")
        and known("number", "double")
    )
    assert not known("string", "int32") and not known("integer", "float") and not known("object", "date")
