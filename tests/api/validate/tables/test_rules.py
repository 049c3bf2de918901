"""Every table of the package can be compiled: a name that is not known would be found by the first request only."""

import importlib
import pkgutil
import traceback

import pytest

from pilothouse.api import validate
from pilothouse.api.validate.tables import rules as tables
from pilothouse.api.values.fields import Errors


def test_every_table_can_be_compiled() -> None:
    found = set()
    for module in pkgutil.walk_packages(validate.__path__, f"{validate.__name__}."):
        members = vars(importlib.import_module(module.name)).values()
        found |= {member for member in members if isinstance(member, tables.Rules)}
    assert len(found) > 25
    tables_ = [table for rules in found for table in rules.tables]
    assert len(tables_) > 200
    for table in tables_:
        table.written(every=True)
        table.compiled()


def test_tracebacks_show_the_lines_of_a_table() -> None:
    def broken(value: object, path: str, errs: object) -> None:
        raise ZeroDivisionError

    table = tables.Rules("job.py", broken).table("api.batch.v1.JobSpec")("parallelism broken")
    with pytest.raises(ZeroDivisionError) as caught:
        table({"parallelism": 1}, "spec", Errors())
    shown = "".join(traceback.format_exception(caught.value))
    assert 'File "job.py, table api.batch.v1.JobSpec", line 4, in check' in shown
    assert "r_broken(" in shown


def test_names_of_functions() -> None:
    def _some_rule(value: object, path: str, errs: object) -> None: ...

    def validate_other_rule(value: object, path: str, errs: object) -> None: ...

    rules = tables.Rules(__name__, _some_rule, third_rule=_some_rule)
    assert rules(validate_other_rule) is validate_other_rule
    assert rules["some-rule"] is rules["third-rule"] is _some_rule
    assert rules["other-rule"] is validate_other_rule
