"""Converts objects to meta.k8s.io Tables and PartialObjectMetadata
(apiserver handlers/response.go, printers)."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pilothouse.api.convert.kinds import as_internal
from pilothouse.api.types import schema
from pilothouse.api.values import jsonpath, times
from pilothouse.api.values.fields import Object
from pilothouse.registry.printers import cluster, core, workloads
from pilothouse.registry.printers.common import (
    Cells,
    Columns,
    Printed,
    Printer,
    go_float,
    human_duration,
)

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
ZERO_TIME = "0001-01-01T00:00:00Z"
REMEMBERED_LENGTH = 256
"""Characters of a JSONPath up to which its function is remembered, for 512 paths: clients write them."""

PRINTERS: dict[tuple[str, str], Printer] = {
    **core.PRINTERS,
    **workloads.PRINTERS,
    **cluster.PRINTERS,
}


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    """Load the shared column descriptions and the columns of each kind."""
    text = (schema.SCHEMAS / "tables.json").read_bytes()
    data: dict[str, Any] = json.loads(text)
    return data


def _column(name: str, kind: str, form: str, priority: int, description: str | None) -> Object:
    return {
        "name": name,
        "type": kind,
        "format": form,
        "description": _data()["common"].get(name, "") if description is None else description,
        "priority": priority,
    }


@lru_cache(maxsize=256)
def _builtin_columns(group: str, plural: str) -> list[Object]:
    own = _data()["columns"].get(f"{group}/{plural}")
    if own is None:
        own = [["Name", "string", "name", 0, None], ["Created At", "date", "", 0, None]]
    return [_column(*column) for column in own]


def _default_cells(obj: Object, now: float) -> Cells:
    metadata = obj.get("metadata") or {}
    return [metadata.get("name", ""), metadata.get("creationTimestamp") or ZERO_TIME]


@lru_cache(maxsize=256)
def _builtin(group: str, plural: str) -> Columns:
    key = (group, plural)
    return Columns(
        _builtin_columns(group, plural),
        PRINTERS.get(key, _default_cells),
        core.ROW_CONDITIONS.get(key),
        cluster.ROW_ORDERS.get(key),
    )


def columns_of_release(resource: Printed) -> Columns:
    """The columns that the release has for a built-in kind; they are filled from its stored form."""
    stored = resource.storage or resource
    shape = _builtin(stored.group, stored.plural)
    if resource.conversion is None:
        return shape
    store = resource.conversion.store
    return Columns(
        shape.definitions, lambda obj, now: shape.cells(store(obj), now), shape.conditions, shape.order
    )


def scale_columns() -> Columns:
    """The columns of the Scale of a built-in workload."""
    return _builtin("autoscaling", "scale")


def custom_scale_columns() -> Columns:
    """The columns of the Scale of a custom resource."""
    return _builtin("autoscaling", "custom scale")


def columns_of_definition(_: Printed) -> Columns:
    """The columns of a definition's version that declares none: Name and Age."""
    return custom_columns(None)


def custom_columns(printer_columns: Sequence[Object] | None) -> Columns:
    """The columns of a custom resource from additionalPrinterColumns; Name and Age if there are none."""
    definitions = [_column("Name", "string", "name", 0, None)]
    if not printer_columns:
        definitions.append(_column("Age", "date", "", 0, None))
        return Columns(definitions, _custom_cells([("date", _creation_timestamp)]))
    fillers: list[tuple[str, Callable[[Object], Sequence[Any]]]] = []
    for column in printer_columns:
        path = column.get("jsonPath", "")
        find = _finder(path)
        if find is None:
            break
        description = column.get("description") or (
            f"Custom resource definition column (in JSONPath format): {path}"
        )
        definitions.append(
            _column(
                column.get("name", ""),
                column.get("type", ""),
                column.get("format", ""),
                column.get("priority", 0),
                description,
            )
        )
        fillers.append((column.get("type", ""), find))
    return Columns(definitions, _custom_cells(fillers))


def _creation_timestamp(obj: Object) -> Sequence[Any]:
    value = (obj.get("metadata") or {}).get("creationTimestamp")
    return () if value is None else (value,)


def _finder(path: str) -> Callable[[Object], Sequence[Any]] | None:
    """Compile a JSONPath to a function that returns the values found in an object;
    None if the path is invalid."""
    return _remembered_finder(path) if len(path) <= REMEMBERED_LENGTH else _compiled(path)


@lru_cache(maxsize=512)
def _remembered_finder(path: str) -> Callable[[Object], Sequence[Any]] | None:
    return _compiled(path)


def _compiled(path: str) -> Callable[[Object], Sequence[Any]] | None:
    try:
        return jsonpath.compile(path)
    except ValueError:
        return None


def _custom_cells(fillers: list[tuple[str, Callable[[Object], Sequence[Any]]]]) -> Printer:
    def cells(obj: Object, now: float) -> Cells:
        row: Cells = [(obj.get("metadata") or {}).get("name", "")]
        for kind, find in fillers:
            try:
                found = find(obj)
            except (ValueError, TypeError, LookupError):
                found = ()
            row.append(custom_cell(kind, found[0], now) if found else None)
        return row

    return cells


def custom_cell(kind: str, value: Any, now: float) -> Any:
    """The cell of a value in a column of type `kind`; None if the value has another type."""
    if kind == "string":
        return _text(value)
    if isinstance(value, bool):
        return value if kind == "boolean" else None
    if isinstance(value, int | float):
        return int(value) if kind == "integer" else value if kind == "number" else None
    if kind == "date" and isinstance(value, str):
        if not value or value == "null":
            return "<unknown>"
        try:
            return human_duration(now - times.to_seconds(value))
        except ValueError:
            return "<invalid>"
    return None


def _text(value: Any) -> str:
    """Format one JSONPath result: JSON for lists and maps, Go's %v for other values."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, int):
        return str(value)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def table_for(
    resource: Printed,
    objects: Iterable[Object],
    *,
    include: str = "Metadata",
    version: str = "v1",
    metadata: Mapping[str, Any] | None = None,
    no_headers: bool = False,
    now: float | None = None,
) -> Object:
    """Make a Table of objects in the served version.

    `include` is None, Metadata or Object. `version` is the version of meta.k8s.io. `metadata` is the list's,
    or holds a single object's resourceVersion. `no_headers` omits the column definitions, as a watch does
    after its first event. Ages are those at `now`, in Unix seconds.
    """
    objects = list(objects)
    now = time.time() if now is None else now
    shape = resource.table_columns()
    rows = []
    for obj in objects if shape.order is None else sorted(objects, key=shape.order):
        row = _row(shape, obj, now)
        row["object"] = _row_object(resource, obj, include, version)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(metadata or {}),
        "columnDefinitions": None if no_headers else shape.definitions,
        "rows": rows or (None if shape.cells is _default_cells else rows),  # upstream's slice stays nil here
    }


def rows_of(
    resource: Printed, include: str, version: str, now: float
) -> tuple[list[Object], Callable[[Object], Object]]:
    """The column definitions of a long list,
    and a function that makes the row of an object, as in table_for."""
    shape = resource.table_columns()

    def row(obj: Object) -> Object:
        out = _row(shape, obj, now)
        out["object"] = _row_object(resource, obj, include, version)
        return out

    return shape.definitions, row


def in_stored_order(resource: Printed) -> bool:
    """Whether the rows of a resource's Table have the stored order."""
    return resource.table_columns().order is None


def _row(shape: Columns, obj: Object, now: float) -> Object:
    row: Object = {"cells": shape.cells(obj, now)}
    if shape.conditions is not None:
        conditions = shape.conditions(obj)
        if conditions is not None:
            row["conditions"] = conditions
    return row


def _row_object(resource: Printed, obj: Object, include: str, version: str) -> Object | None:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if include == "Object":
        return {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
    if include == "Metadata" or annotations.get(INITIAL_EVENTS_END) == "true":
        return partial_object(obj, version)
    return None


def partial_object(obj: Object, version: str = "v1") -> Object:
    """Convert an object to PartialObjectMetadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": as_internal(obj.get("metadata") or {}),
    }
