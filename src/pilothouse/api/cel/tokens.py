"""The text of an expression cut into tokens,
with the lexical errors of cel-go (parser/gen/CEL.g4, unescape.go)."""

import re
from typing import NamedTuple

from pilothouse.api.cel.errors import Issues

EOF = "<EOF>"


class Token(NamedTuple):
    """kind: the text itself of operators and keywords,
    else NUM_INT, STRING, IDENTIFIER and so on, or <EOF>."""

    kind: str
    text: str
    at: int


_ESCAPE = r"\\(?:[abfnrtv\"'\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
_STRING = (
    rf'"""(?:{_ESCAPE}|[^\\])*?"""|'
    rf"'''(?:{_ESCAPE}|[^\\])*?'''|"
    rf'"(?:{_ESCAPE}|[^\\"\n\r])*"|'
    rf"'(?:{_ESCAPE}|[^\\'\n\r])*'|"
    r'[rR]"""[\s\S]*?"""|'
    r"[rR]'''[\s\S]*?'''|"
    r'[rR]"[^"\n\r]*"|'
    r"[rR]'[^'\n\r]*'"
)
_TOKEN = (
    r"(?P<SPACE>[\t \r\n\f]+|//[^\n]*)"
    r"|(?P<IDENTIFIER>(?![bB]?[rR]?[\"'])[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<OPERATOR>==|!=|<=|>=|&&|\|\||\.(?![0-9])|[<>\[\]{}(),\-!?:+*/%])"
    rf"|(?P<STRING>{_STRING})"
    rf"|(?P<BYTES>[bB](?:{_STRING}))"
    r"|(?P<NUM_FLOAT>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<NUM_UINT>0x[0-9a-fA-F]+[uU]|[0-9]+[uU])"
    r"|(?P<NUM_INT>0x[0-9a-fA-F]+|[0-9]+)"
    r"|(?P<ESC_IDENTIFIER>`[A-Za-z0-9_./ -]+`)"
    r"|(?P<PREFIX>[bBrR]+)"
)
"""The most common tokens first; PREFIX is an identifier before a text that has no end.
It is compiled for the first expression: a server that has none starts without."""
_BROKEN = rf'"(?:{_ESCAPE}|[^\\"\n\r])*|' rf"'(?:{_ESCAPE}|[^\\'\n\r])*|" r"`[A-Za-z0-9_./ -]*|[=&|]"
KEYWORDS = frozenset(("in", "true", "false", "null"))
RESERVED = frozenset(
    (
        "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let",
        "loop", "package", "namespace", "null", "return", "true", "var", "void", "while",
    )
)  # fmt: skip
"""The identifiers that no variable can have as its name."""


def tokens(text: str, issues: Issues) -> list[Token]:
    """The tokens of an expression, the last one <EOF>; what is none is reported and left out."""
    out: list[Token] = []
    at = 0
    pattern = re.compile(_TOKEN)
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            end = _after_error(text, at)
            issues.add(at, f"Syntax error: token recognition error at: '{_visible(text[at:end])}'")
            at = end
            continue
        kind = match.lastgroup or ""
        found = match.group()
        if kind != "SPACE":
            if kind == "OPERATOR" or found in KEYWORDS:
                kind = found
            elif kind == "PREFIX":
                kind = "IDENTIFIER"
            out.append(Token(kind, found, at))
        at = match.end()
    out.append(Token(EOF, EOF, len(text)))
    return out


def _after_error(text: str, at: int) -> int:
    """Behind the character that no token could have there."""
    match = re.compile(_BROKEN).match(text, at)
    end = match.end() if match is not None else at
    if text[end : end + 1] == "\\" and end > at:
        end += 1
    return min(end + 1, len(text))


def _visible(text: str) -> str:
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
