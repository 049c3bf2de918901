"""Errors about patches of Secrets, without what they hold."""

import pytest

from pilothouse import errors
from pilothouse.api.values.fields import Errors
from pilothouse.endpoints.request.redaction import REDACTED, redacted

SECRET = "s3cr3t"


def invalid(value: str, why: str) -> errors.StatusError:
    found = Errors()
    found.invalid("patch", value, why)
    return errors.invalid("", "", "", found.causes)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (SECRET, REDACTED),
        (f'{{"a": "{SECRET}"}}', f"{{{REDACTED}}}"),
        (f"map[a:{SECRET}]", f"map[{REDACTED}]"),
        (f'a": {SECRET} ": b\n{SECRET}', REDACTED),
        (SECRET + "x" * 5000, REDACTED),
        (f'{{"a": "{SECRET}", "b": "{"x" * 5000}"}}', f"{{{REDACTED}}}"),
    ],
)
def test_a_cause_says_why_without_the_value(value: str, shown: str) -> None:
    why = "illegal base64 data at input byte 4"
    err = redacted(invalid(value, why))
    assert (err.code, err.message) == (422, f' "" is invalid: patch: Invalid value: "{shown}": {why}')
    assert err.details == {
        "causes": [
            {
                "reason": "FieldValueInvalid",
                "message": f'Invalid value: "{shown}": {why}',
                "field": "patch",
            }
        ]
    }


@pytest.mark.parametrize(
    ("err", "message"),
    [
        (
            errors.Unknown(f"unknown patch type: {SECRET} in map: map[a:{SECRET}]"),
            f"unknown patch type: {REDACTED}",
        ),
        (
            errors.BadRequest(f"Object 'apiVersion' is missing in '{{\n{SECRET}'"),
            f"Object 'apiVersion' is missing in {REDACTED}",
        ),
        (
            errors.Unknown(f".data: expected map, got &{{{SECRET}}}"),
            f".data: expected map, got &{{{REDACTED}}}",
        ),
        (errors.Unknown(f".data: expected map, got {SECRET}"), f".data: expected map, got {REDACTED}"),
        (errors.BadRequest("no JSON"), "no JSON"),
    ],
)
def test_other_errors_end_where_values_begin(err: errors.StatusError, message: str) -> None:
    found = redacted(err)
    assert (type(found), found.message) == (type(err), message)


def test_errors_without_values_stay() -> None:
    err = errors.conflict("", "secrets", "s", "it has changed")
    assert redacted(err) is err


@pytest.mark.parametrize("value", ["{}", f'a": {SECRET}', "\\"])
def test_a_cause_that_quotes_is_told_whole(value: str) -> None:
    why = 'parsing time "x" as "2006": cannot parse "x" as "2006"'
    text = redacted(invalid(value, why)).message
    assert SECRET not in text and text.endswith(f'": {why}')
