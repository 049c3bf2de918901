import pytest

from pilothouse.configuration.sections.section import Section, bytes_of, generic, misc
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class Some(Section):
    least_time: float = generic(0.0, "duration", "A time.")
    cert_file: str = misc("", "file", "A certificate.")
    key_file: str = misc("", "file", "Its key.")


def test_a_section_has_no_faults_of_its_own() -> None:
    assert list(Some(least_time=-1).faults()) == []


def test_numbers_below_zero() -> None:
    assert list(Some().negative("least_time")) == []
    assert list(Some(least_time=-0.5).negative("least_time")) == ["--least-time can not be a negative value"]


@pytest.mark.parametrize(("cert", "key"), [("c", ""), ("", "k")])
def test_two_flags_that_go_together(cert: str, key: str) -> None:
    one = Some(cert_file=cert, key_file=key)
    assert list(one.together("cert_file", "key_file")) == [
        "--cert-file and --key-file must be given together"
    ]
    for both in (Some(), Some(cert_file="c", key_file="k")):
        assert list(both.together("cert_file", "key_file")) == []


def test_quantities_of_bytes() -> None:
    assert bytes_of("x", "") == (0, "") and bytes_of("x", "2Ki") == (2048, "")
    assert bytes_of("x", "-1") == (-1, "--x -1 can not be negative")
    size, fault = bytes_of("x", "much")
    assert size == 0 and fault.startswith("--x 'much': ")
