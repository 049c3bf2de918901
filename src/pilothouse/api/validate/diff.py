"""What changed between two objects, as text in the manner of go-cmp, for the messages of immutable specs."""

import json
from typing import Any


def diff(old: Any, new: Any, name: str = "") -> str:
    """Lines that start with "-" for what went, "+" for what came; equal neighbours are counted, not shown."""
    return "".join(line + "\n" for line in _lines(old, new, name, ""))


def _lines(old: Any, new: Any, label: str, indent: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return _members(old, new, label, indent)
    if isinstance(old, list) and isinstance(new, list):
        return _items(old, new, label, indent)
    return [f"- {indent}{label}{_text(old)}," if old is not None else "", f"+ {indent}{label}{_text(new)},"][
        old is None : 1 + (new is not None)
    ]


def _members(old: dict[str, Any], new: dict[str, Any], label: str, indent: str) -> list[str]:
    out, same = [f"  {indent}{label}{{"], 0
    for key in [*old, *(k for k in new if k not in old)]:
        if old.get(key) == new.get(key):
            same += 1
        else:
            out += _lines(old.get(key), new.get(key), f"{key[:1].upper()}{key[1:]}: ", indent + "\t")
    if same:
        out.append(f"  {indent}\t... // {same} identical fields")
    return [*out, f"  {indent}}},"]


def _items(old: list[Any], new: list[Any], label: str, indent: str) -> list[str]:
    out, same = [f"  {indent}{label}{{"], 0
    for i in range(max(len(old), len(new))):
        one, two = (side[i] if i < len(side) else None for side in (old, new))
        if one == two:
            same += 1
        else:
            out += _lines(one, two, "", indent + "\t")
    if same:
        out.append(f"  {indent}\t... // {same} identical elements")
    return [*out, f"  {indent}}},"]


def _text(value: Any) -> str:
    return "nil" if value is None else json.dumps(value, ensure_ascii=False)
