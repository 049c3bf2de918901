"""Parameters of paths and of their operations."""

from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.openapi.parameters import (
    LIST,
    NAMESPACE,
    PRETTY,
    Parameter,
    common,
    named,
    ordered,
    without,
)

ONE = st.builds(
    Parameter, st.sampled_from("abcd"), st.just("string"), st.just(""), st.sampled_from(["query", "path"])
)
OPERATIONS = st.lists(
    st.lists(ONE, unique_by=lambda one: (one.name, one.place)).map(tuple), min_size=1, max_size=4
)


@given(OPERATIONS)
def test_a_path_and_an_operation_together_have_what_the_operation_has(
    operations: list[tuple[Parameter, ...]],
) -> None:
    shared = common(operations)
    for parameters in operations:
        own = without(parameters, shared)
        assert ordered([*own, *shared]) == ordered(parameters)
        assert own == ordered(own)
    for one in set().union(*operations):
        assert (one in shared) == all(one in parameters for parameters in operations)


def test_they_are_in_the_order_of_their_names() -> None:
    assert [one.name for one in common([(*PRETTY, NAMESPACE, named("Pod"))])] == [
        "name",
        "namespace",
        "pretty",
    ]


def test_what_kubectls_suite_looks_for_in_a_list() -> None:
    """test/cmd of kubernetes looks for these words in /openapi/v2."""
    texts = " ".join(one.description for one in LIST)
    assert "list of returned" in texts and "Watch for changes to the described resources" in texts
