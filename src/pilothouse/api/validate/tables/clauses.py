"""The conditions of tables of rules (rules.py) as expressions of Python."""

from pilothouse.api.validate.tables.lines import TableError
from pilothouse.api.validate.tables.source import OUTER, Source


def expression(words: list[str], struct: str, source: Source, *, inline: bool = False) -> str:
    """The expression for a condition on a struct; inline: nothing may be written before."""
    for joint in ("or", "and"):
        if joint in words:
            at = words.index(joint)
            parts = (words[:at], words[at + 1 :])
            first, second = (expression(part, struct, source, inline=inline) for part in parts)
            return f"({first} {joint} {second})"
    if words[0] == "not":
        return f"not {expression(words[1:], struct, source, inline=inline)}"
    if words[0].startswith("$"):
        return flag(words[0])
    if words[0] in ("none-of", "several-of"):
        given = " + ".join(f"({_get(struct, name, source)} is not None)" for name in words[1].split(","))
        return f"not ({given})" if words[0] == "none-of" else f"({given}) > 1"
    counted, name = words[0].startswith("#"), words[0].removeprefix("#")
    if name.startswith("/"):
        struct = OUTER
    *outer, member = name.removeprefix("/").split(".")
    for one in outer:
        struct = _inline_struct(struct, one, source) if inline else source.struct(struct, one)
    return _compared(words, struct, member, counted, source)


def _compared(words: list[str], struct: str, member: str, counted: bool, source: Source) -> str:
    value, found = _get(struct, member, source), source.member(struct, member)
    if counted:
        return f"(len({value} or ()) {words[1]} {words[2]})"
    if len(words) == 1:
        return value
    if words[1] == "given":
        return f"({value} is not None)"
    if words[1] == "in":
        return f"({value} in {tuple(words[2].split('|'))})"
    if words[1] == "has":
        return f"({words[2]!r} in ({value} or ()))"
    if found.type.kind not in ("string", "int32", "int64", "any"):
        raise TableError(f"`{member}` is compared, but its type is {found.type.go or found.type.kind}")
    number = words[2].isdigit() if found.type.kind == "any" else found.type.kind.startswith("int")
    wanted = int(words[2]) if number else words[2]
    zero = 0 if isinstance(wanted, int) else ""
    return f"({struct}.get({member!r}, {zero!r}) {words[1]} {wanted!r})"


def _get(struct: str, name: str, source: Source) -> str:
    source.member(struct, name)
    return f"{struct}.get({name!r})"


def _inline_struct(struct: str, name: str, source: Source) -> str:
    found = f"({struct}.get({name!r}) or EMPTY)"
    source.types[found] = source.member(struct, name).type
    return found


def flag(word: str) -> str:
    """The expression for `$`, what is around, or `$a`, an attribute of it: false where nothing is around."""
    found = "around"
    for name in filter(None, word[1:].split(".")):
        found = f"({found} and {found}.{name})"
    return found
