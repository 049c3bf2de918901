"""Endpoints ask a record for what is particular about it, never for its name."""

import ast
import pathlib
from collections.abc import Iterator

import pytest

ENDPOINTS = pathlib.Path(__file__).parents[2] / "src/pilothouse/endpoints"
FILES = sorted(ENDPOINTS.rglob("*.py"))
NAMES = {"kind", "plural", "singular", "group_resource"}


def is_name_of_record(node: ast.expr) -> bool:
    """`resource.kind`, `sub.name` ..."""
    if not isinstance(node, ast.Attribute):
        return False
    return node.attr in NAMES or ast.unparse(node) in ("sub.name", "resource.group")


def is_constant(node: ast.expr) -> bool:
    """A text that is not empty, a collection of texts, or a constant by its name."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(node.value)
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return all(map(is_constant, node.elts))
    return ast.unparse(node).rpartition(".")[2].isupper()


def questions(tree: ast.AST) -> Iterator[str]:
    """Comparisons of a record's name with a constant, and tables that a record's name is looked up in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            if any(map(is_name_of_record, sides)) and any(map(is_constant, sides)):
                yield ast.unparse(node)
        elif (
            isinstance(node, ast.Subscript) and is_name_of_record(node.slice) and is_constant(node.value)
        ) or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and is_constant(node.func.value)
            and any(map(is_name_of_record, node.args))
        ):
            yield ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_endpoint_asks_which_kind_it_serves(path: pathlib.Path) -> None:
    assert list(questions(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "text",
    [
        "resource.kind == 'ComponentStatus'",
        "resource.group_resource in ('pods', 'services')",
        "resource.plural in escalation.RESOURCES",
        "_TARGETS[resource.plural]",
        "ACTIONS.get(sub.name)",
        "sub.name == 'log'",
    ],
)
def test_what_a_question_is(text: str) -> None:
    assert list(questions(ast.parse(text))) == [text]
    assert list(questions(ast.parse("config.get('kind') != sub.kind"))) == []
