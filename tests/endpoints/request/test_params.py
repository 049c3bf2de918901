"""Decoding and checking of query parameters."""

from typing import Any

import pytest
from harness import causes
from hypothesis import given
from hypothesis import strategies as st

from pilothouse import errors
from pilothouse.endpoints.request import params

INITIAL = {"sendInitialEvents": ["true"], "resourceVersionMatch": ["NotOlderThan"]}
UNSET = (
    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
)
BOTH = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"
NO_MATCH = (
    "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
)
NO_INITIAL = (
    "resourceVersionMatch: Forbidden: "
    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
)


def refused(query: Any) -> Any:
    with pytest.raises(errors.Invalid) as caught:
        params.check_list(params.list_params(query))
    assert caught.value.message.startswith('ListOptions.meta.k8s.io "" is invalid: ')
    return causes(caught.value.status())


def query(**members: Any) -> dict[Any, Any]:
    return {name: [value] for name, value in members.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None),
        ("", True),
        ("1", True),
        ("t", True),
        ("no", True),
        ("0", False),
        ("false", False),
        ("False", False),
    ],
)
def test_anything_but_false_and_zero_is_true(text: str | None, value: bool | None) -> None:
    assert params.boolean({} if text is None else {"watch": [text]}, "watch") is value


@given(st.integers(-(2**65), 2**65))
def test_integers_are_those_of_64_bits(number: Any) -> None:
    if -(2**63) <= number < 2**63:
        assert params.parse_int(str(number)) == number
    else:
        with pytest.raises(errors.BadRequest, match="value out of range"):
            params.parse_int(str(number))


def test_numbers_of_thousands_of_digits() -> None:
    for text in ("9" * 5000, "-" + "9" * 5000):
        with pytest.raises(errors.BadRequest, match="value out of range"):
            params.parse_int(text)
    assert "value out of range" in params.uint_error("9" * 5000)


@pytest.mark.parametrize("text", ["", "+", "x", "1x", "1.0", "0x1", "١", "--1", " 1"])
def test_what_is_no_integer(text: str) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        params.integer({"limit": [text]}, "limit")
    assert caught.value.message == f'strconv.ParseInt: parsing "{text}": invalid syntax'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0", ""),
        (str(2**64 - 1), ""),
        (str(2**64), "value out of range"),
        ("-1", "invalid syntax"),
        ("+1", "invalid syntax"),
        ("", "invalid syntax"),
        ("a", "invalid syntax"),
    ],
)
def test_unsigned_numbers(text: str, why: str) -> None:
    assert params.uint_error(text) == (f'strconv.ParseUint: parsing "{text}": {why}' if why else "")


def test_a_resource_version_is_a_number() -> None:
    assert params.resource_version("") == 0
    assert params.resource_version("12") == 12
    with pytest.raises(errors.BadRequest) as caught:
        params.resource_version("x")
    assert (
        caught.value.message
        == 'invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x":'
        " invalid syntax"
    )


@pytest.mark.parametrize(
    ("rv", "match", "token", "wrong"),
    [
        ("", "", "", []),
        ("0", "", "", []),
        ("5", "", "", []),
        ("5", "Exact", "", []),
        ("5", "NotOlderThan", "", []),
        ("0", "NotOlderThan", "", []),
        ("", "", "t", []),
        ("", "Exact", "", [UNSET]),
        ("", "NotOlderThan", "", [UNSET]),
        ("5", "Exact", "t", [BOTH]),
        ("", "NotOlderThan", "t", [UNSET, BOTH]),
        (
            "0",
            "Exact",
            "",
            [
                'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for'
                ' resourceVersion "0"'
            ],
        ),
        (
            "5",
            "exact",
            "",
            [
                'resourceVersionMatch: Unsupported value: "exact": supported values: "Exact",'
                ' "NotOlderThan", ""'
            ],
        ),
    ],
)
def test_combinations_of_a_list(rv: str, match: str, token: str, wrong: list[Any]) -> None:
    asked = query(resourceVersion=rv, resourceVersionMatch=match, **{"continue": token})
    if wrong:
        assert refused(asked) == wrong
    else:
        params.check_list(params.list_params(asked))


def test_a_list_sends_no_initial_events() -> None:
    asked = query(sendInitialEvents="false")
    assert refused(asked) == ["sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"]


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({}, []),
        (query(resourceVersion="5"), []),
        (INITIAL, []),
        ({**INITIAL, "resourceVersion": ["5"]}, []),
        ({**INITIAL, "sendInitialEvents": ["false"]}, []),
        (query(sendInitialEvents="true"), [NO_MATCH]),
        (query(resourceVersionMatch="NotOlderThan"), [NO_INITIAL]),
        (
            query(resourceVersionMatch="Exact"),
            [
                NO_INITIAL,
                'resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"',
            ],
        ),
        ({**INITIAL, "continue": ["t"]}, [BOTH]),
    ],
)
def test_combinations_of_a_watch(asked: Any, wrong: list[Any]) -> None:
    asked = {**asked, "watch": ["1"]}
    if wrong:
        assert refused(asked) == wrong
    else:
        params.check_list(params.list_params(asked))


@pytest.mark.parametrize(("rv", "initial"), [("", True), ("0", True), ("7", None)])
def test_a_watch_without_a_version_starts_with_what_is_there(rv: str, initial: bool | None) -> None:
    assert params.list_params(query(watch="true", resourceVersion=rv)).send_initial is initial


def test_options_of_writes() -> None:
    assert params.write_params({}, "CreateOptions") == params.WriteParams()
    asked = query(dryRun="All", fieldManager="me", fieldValidation="Strict")
    found = params.write_params(asked, "CreateOptions")
    assert found == params.WriteParams(True, "me", "Strict")
    assert found.options() == {"dryRun": ["All"], "fieldManager": "me", "fieldValidation": "Strict"}


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"dryRun": ["All", "x"]}, 'dryRun: Unsupported value: ["All","x"]: supported values: "All"'),
        ({"dryRun": [""]}, 'dryRun: Unsupported value: [""]: supported values: "All"'),
        (query(fieldManager="m" * 129), "fieldManager: Too long: may not be more than 128 bytes"),
        (
            query(fieldManager="é\n"),
            'fieldManager: Invalid value: "é\\n": invalid character U+000A (at position 2)',
        ),
        (
            query(fieldValidation="strict"),
            'fieldValidation: Unsupported value: "strict": supported values: "", "Ignore", "Strict", "Warn"',
        ),
    ],
)
def test_what_writes_refuse(asked: Any, wrong: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        params.write_params(asked, "UpdateOptions")
    assert caught.value.message == f'UpdateOptions.meta.k8s.io "" is invalid: {wrong}'


def test_an_apply_needs_a_manager_and_alone_may_force() -> None:
    assert params.patch_params(query(fieldManager="m", force="true"), True).force
    with pytest.raises(errors.Invalid, match="fieldManager: Required value: is required for apply patch"):
        params.patch_params({}, True)
    with pytest.raises(errors.Invalid, match="force: Forbidden: may not be specified for non-apply patch"):
        params.patch_params(query(force="false"), False)
    with pytest.raises(errors.Invalid) as caught:
        params.patch_params(query(dryRun="x"), True)
    assert [c.partition(":")[0] for c in causes(caught.value.status())] == ["fieldManager", "dryRun"]


def test_delete_options_of_a_query() -> None:
    asked = query(gracePeriodSeconds="5", orphanDependents="false", propagationPolicy="Orphan", dryRun="All")
    assert params.delete_from_query(asked) == {
        "gracePeriodSeconds": 5,
        "orphanDependents": False,
        "propagationPolicy": "Orphan",
        "dryRun": ["All"],
    }
    assert params.delete_from_query({}) == {}


def test_delete_options_exclude_each_other() -> None:
    params.check_delete({"propagationPolicy": "Foreground"})
    params.check_delete({"orphanDependents": True})
    with pytest.raises(errors.Invalid) as caught:
        params.check_delete({"propagationPolicy": "x", "orphanDependents": True, "dryRun": ["y"]})
    assert causes(caught.value.status()) == [
        'propagationPolicy: Invalid value: "x": orphanDependents and deletionPropagation cannot be both set',
        (
            'propagationPolicy: Unsupported value: "x": supported values: "Foreground", "Background",'
            ' "Orphan", "nil"'
        ),
        'dryRun: Unsupported value: ["y"]: supported values: "All"',
    ]
