"""Quantities, versions, named formats, keys of JSON patches."""

import pytest

from pilothouse.api.cel import JSON_PATCH, Environment, EvaluationError

KNOWN = Environment({}, extra=[JSON_PATCH])


@pytest.mark.parametrize(
    "text",
    [
        "isQuantity('1Gi') && !isQuantity('1Q')",
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('1').isLessThan(quantity('1001m'))",
        "quantity('1000m') == quantity('1') && quantity('1k').compareTo(quantity('1M')) == -1",
        "sign(quantity('-5')) == -1 && quantity('5').asInteger() == 5 && !quantity('0.5').isInteger()",
        "quantity('0.5').asApproximateFloat() == 0.5",
        "quantity('1').add(quantity('1')).sub(1) == quantity('1') && quantity('1').add(2) == quantity('3')",
        "isSemver('1.2.3-rc.1+b') && !isSemver('1.2') && !isSemver('v1.2.3') && !isSemver('01.2.3')",
        "isSemver('v1.2', true) && semver('v01.2', true) == semver('1.2.0')",
        "semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3",
        "semver('1.2.3-rc.1').isLessThan(semver('1.2.3')) && semver('1.10.0').isGreaterThan(semver('1.9.0'))",
        "semver('1.0.0-alpha.1').compareTo(semver('1.0.0-alpha.beta')) == -1",
        "semver('1.0.0-alpha').compareTo(semver('1.0.0-alpha.1')) == -1",
        "semver('1.0.0-2').compareTo(semver('1.0.0-10')) == -1 && semver('1.0.0+a') == semver('1.0.0+b')",
        "!format.dns1123Label().validate('a-b').hasValue()",
        "format.dns1123Label().validate('A').value().size() == 1",
        "format.named('uuid').value().validate('x').value() == ['does not match the UUID format']",
        "!format.named('nope').hasValue() && format.dns1123LabelPrefix().validate('a-').hasValue() == false",
        (
            "format.date().validate('2020-13-01').hasValue() &&"
            " !format.datetime().validate('2020-01-01T00:00:00Z').hasValue()"
        ),
        "jsonpatch.escapeKey('a/b~c') == 'a~1b~0c'",
    ],
)
def test_true(text: str) -> None:
    assert KNOWN.compile(text).evaluate({}) is True


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "quantity('x')",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("quantity('0.5').asInteger()", "cannot convert value to integer"),
        ("semver('')", "Version string empty"),
        ("semver('1')", "No Major.Minor.Patch elements found"),
        ("semver('1.02.3')", 'Minor number must not contain leading zeroes "02"'),
        ("semver('1.a.3')", 'Invalid character(s) found in minor number "a"'),
    ],
)
def test_errors(text: str, wanted: str) -> None:
    with pytest.raises(EvaluationError) as found:
        KNOWN.compile(text).evaluate({})
    assert str(found.value) == wanted
