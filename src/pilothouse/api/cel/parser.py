"""Parses an expression (cel-go parser/parser.go, CEL.g4)."""

from pilothouse.api.cel import macros
from pilothouse.api.cel.ast import (
    CallExpr,
    Expr,
    IdentExpr,
    ListExpr,
    LiteralExpr,
    MapEntry,
    MapExpr,
    SelectExpr,
    StructExpr,
)
from pilothouse.api.cel.errors import CompileError, Issues
from pilothouse.api.cel.limits import MAX_DEPTH, MAX_EXPRESSION
from pilothouse.api.cel.literals import value_of
from pilothouse.api.cel.token_stream import BINARY, TokenStream, TooDeep
from pilothouse.api.cel.tokens import EOF, RESERVED

_START = frozenset(
    (
        "[", "{", "(", ".", "-", "!", "true", "false", "null", "NUM_FLOAT", "NUM_INT", "NUM_UINT", "STRING",
        "BYTES", "IDENTIFIER",
    )
)  # fmt: skip
_SIGNED = ("NUM_INT", "NUM_FLOAT")
"""Literals that may have a sign."""
_NEGATED = _START - {"!"}
"""Tokens that may stand behind a minus."""


def _escape(text: str) -> str:
    """A part of the input as ANTLR's messages quote it."""
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def parse(text: str, issues: Issues, known: macros.Macros) -> Expr:
    """The tree of an expression, macros expanded.
    CompileError if there is none, with whatever else is wrong."""
    if len(text) > MAX_EXPRESSION:
        size = f"size: {len(text)}, limit {MAX_EXPRESSION}"
        issues.add(-1, f"expression code point size exceeds limit: {size}")
        issues.raise_any()
    parser = _Parser(text, issues, known)
    try:
        out = parser.whole()
    except (TooDeep, RecursionError):
        issues.add(-1, f"expression recursion limit exceeded: {MAX_DEPTH}")
        raise CompileError(issues.show()) from None
    issues.raise_any()
    return out


class _Parser(TokenStream):
    """Recursive descent; after an error it goes on where it can, to find further ones."""

    def __init__(self, text: str, issues: Issues, known: macros.Macros) -> None:
        super().__init__(text, issues)
        self.macros = known

    # Expressions, from the weakest operator to the strongest.

    def whole(self) -> Expr:
        out = self.expr()
        if self.token.kind != EOF:
            word = "extraneous" if self.after() == EOF else "mismatched"
            self.syntax(f"{word} input '{self.token.text}' expecting <EOF>")
        return out

    def expr(self) -> Expr:
        self.enter()
        out = self.either()
        if operator := self.accept("?"):
            yes = self.either()
            if self.colon() is not None:
                out = CallExpr(operator.at, "_?_:_", [out, yes, self.expr()])
        self.depth -= 1
        return out

    def either(self) -> Expr:
        first = self.both()
        if self.token.kind != "||":
            return first
        at, terms = self.token.at, [first]
        while self.accept("||"):
            terms.append(self.both())
        return CallExpr(at, "_||_", terms)

    def both(self) -> Expr:
        first = self.chain()
        if self.token.kind != "&&":
            return first
        at, terms = self.token.at, [first]
        while self.accept("&&"):
            terms.append(self.chain())
        return CallExpr(at, "_&&_", terms)

    def chain(self, rank: int = 1) -> Expr:
        """Operands with operators of this or a stronger rank between them,
        those of one rank from left to right."""
        out = self.unary()
        levels = 0
        while (found := BINARY.get(self.token.kind)) is not None and found[0] >= rank:
            at = self.take().at
            self.enter()
            levels += 1
            out = CallExpr(at, found[1], [out, self.chain(found[0] + 1)])
        self.depth -= levels
        return out

    def unary(self) -> Expr:
        kind = self.token.kind
        if kind == "!" or (kind == "-" and self.after() not in _SIGNED):
            at, times = self.token.at, 0
            while self.token.kind == kind and not (kind == "-" and times and self.after() in _SIGNED):
                if kind == "-" and self.after() not in _NEGATED:
                    return self.no_alternative()
                self.take()
                times += 1
            out = self.member()
            return CallExpr(at, "!_" if kind == "!" else "-_", [out]) if times % 2 else out
        return self.member()

    def member(self) -> Expr:
        out = self.primary()
        levels = 0
        while self.token.kind in (".", "["):
            self.enter()
            levels += 1
            out = self.field(out) if self.token.kind == "." else self.index(out)
        self.depth -= levels
        return out

    def field(self, operand: Expr) -> Expr:
        dot = self.take()
        optional = self.accept("?")
        token = self.token
        if token.kind == "ESC_IDENTIFIER":
            self.take()
            self.issues.add(dot.at, "unsupported syntax: '`'")
            return LiteralExpr(token.at, None)
        if token.kind != "IDENTIFIER":
            if token.kind in ("true", "false", "null"):
                self.syntax(f"mismatched input '{token.text}' expecting IDENTIFIER")
                self.take()
            elif optional:
                self.unexpected(frozenset(("IDENTIFIER", "ESC_IDENTIFIER")))
            else:
                shown = "" if token.kind == EOF else token.text
                self.syntax(f"no viable alternative at input '.{shown}'")
                self.skip()
            return LiteralExpr(dot.at, None)
        self.take()
        if optional:
            return CallExpr(dot.at, "_?._", [operand, LiteralExpr(token.at, token.text)])
        if opened := self.accept("("):
            return self.call(opened.at, token.text, operand)
        return SelectExpr(dot.at, operand, token.text)

    def index(self, operand: Expr) -> Expr:
        bracket = self.take()
        function = "_[?_]" if self.accept("?") else "_[_]"
        key = self.expr()
        self.expect("]", insert=True)
        return CallExpr(bracket.at, function, [operand, key])

    def call(self, at: int, function: str, target: Expr | None) -> Expr:
        args: list[Expr] = []
        if self.token.kind != ")":
            args.append(self.expr())
            while self.accept(","):
                args.append(self.expr())
        self.expect(")", insert=True)
        try:
            expanded = macros.expand(self.macros, at, function, target, args)
        except macros.MacroError as err:
            self.issues.add(err.at, str(err))
            return LiteralExpr(at, None)
        return expanded if expanded is not None else CallExpr(at, function, args, target)

    def primary(self) -> Expr:
        token = self.token
        if token.kind == "-" and self.after() not in _SIGNED:
            return self.no_alternative()  # behind `!` a minus is the sign of a number
        if token.kind not in _START or token.kind == "!":
            if not self.unexpected(_START):
                self.skip()
                return LiteralExpr(token.at, None)
            return self.unary()
        if token.kind == "(":
            self.take()
            out = self.expr()
            self.expect(")", insert=True)
            return out
        if token.kind == "[":
            return self.new_list()
        if token.kind == "{":
            return self.new_map()
        if token.kind in ("IDENTIFIER", "."):
            return self.name()
        return self.literal()

    def name(self) -> Expr:
        """`a`, `f(...)`, `.a`, `a.b.C{...}`."""
        dot = self.accept(".")
        if dot and self.token.kind != "IDENTIFIER":
            shown = "" if self.token.kind == EOF else self.token.text
            self.syntax(f"no viable alternative at input '.{shown}'")
            return LiteralExpr(dot.at, None)
        token = self.take()
        prefix = "." if dot else ""
        if end := self.struct_name():
            names = [token.text] + [one.text for one in self.tokens[self.place : end] if one.kind != "."]
            self.place, self.token = end, self.tokens[end]
            return self.new_struct(prefix + ".".join(names))
        opened = self.accept("(")
        if token.text in RESERVED:
            self.issues.add((dot or token).at, f"reserved identifier: {token.text}")
            if opened:
                self.call(opened.at, "", None)
            return LiteralExpr(token.at, None)
        if opened:
            return self.call(opened.at, prefix + token.text, None)
        return IdentExpr(token.at, prefix + token.text)

    def struct_name(self) -> int:
        """The place of the brace of `.b.C{` that may come here, 0 when none does."""
        at = self.place
        while self.tokens[at].kind == "." and self.tokens[at + 1].kind == "IDENTIFIER":
            at += 2
        return at if self.tokens[at].kind == "{" else 0

    def new_struct(self, name: str) -> Expr:
        brace = self.take()
        entries: list[MapEntry] = []
        expected = frozenset(("}", ",", "?", "IDENTIFIER", "ESC_IDENTIFIER"))
        while self.token.kind not in ("}", EOF):
            if self.token.kind == "," and self.accept(","):
                break
            optional = self.accept("?") is not None
            if self.token.kind != "IDENTIFIER" and not self.unexpected(expected):
                while self.token.kind not in ("}", EOF):
                    self.take()
                self.accept("}")
                return StructExpr(brace.at, name, entries)
            if self.token.kind != "IDENTIFIER":
                break
            key = self.take()
            colon = self.colon()
            if colon is None:
                self.accept("}")
                return StructExpr(brace.at, name, entries)
            entries.append(MapEntry(colon.at, key.text, self.expr(), optional))
            if not self.accept(","):
                break
        self.close("}")
        return StructExpr(brace.at, name, entries)

    def new_list(self) -> Expr:
        bracket = self.take()
        items: list[Expr] = []
        optional: list[int] = []
        while self.token.kind not in ("]", EOF):
            if not items and self.token.kind == "," and self.accept(","):
                break
            if self.accept("?"):
                optional.append(len(items))
            items.append(self.expr())
            if not self.accept(","):
                break
        self.close("]")
        return ListExpr(bracket.at, items, frozenset(optional))

    def new_map(self) -> Expr:
        brace = self.take()
        entries: list[MapEntry] = []
        begins = self.token.kind in _START or self.token.kind in ("}", ",", "?")
        if not begins and not self.unexpected(_START | {"}", ",", "?"}):
            self.skip()
            return MapExpr(brace.at, entries)
        while self.token.kind not in ("}", EOF):
            if not entries and self.token.kind == "," and self.accept(","):
                break
            optional = self.accept("?") is not None
            key = self.expr()
            colon = self.colon()
            if colon is None:
                self.accept("}")
                return MapExpr(brace.at, entries)
            entries.append(MapEntry(colon.at, key, self.expr(), optional))
            if not self.accept(","):
                break
        self.close("}")
        return MapExpr(brace.at, entries)

    def close(self, kind: str) -> None:
        if not self.accept(kind) and self.unexpected(frozenset((kind, ","))):
            self.accept(kind)

    def no_alternative(self) -> Expr:
        """Report the token behind a minus with which no number and no operand begins.

        Like ANTLR's parser it goes on at the minus, as an operator between two operands.
        """
        minus, token = self.token, self.tokens[self.place + 1]
        between = self.text[minus.at : token.at + len(token.text)] if token.kind != EOF else minus.text
        self.syntax(f"no viable alternative at input '{_escape(between)}'", token)
        return LiteralExpr(minus.at, None)

    def literal(self) -> Expr:
        sign = self.accept("-")
        token = self.take()
        at = sign.at if sign else token.at
        text = ("-" if sign else "") + token.text
        try:
            return LiteralExpr(at, value_of(token.kind, text))
        except OverflowError as err:
            self.issues.add(at, f"invalid {err} literal")
        except ValueError as err:
            self.issues.add(at, str(err))
        return LiteralExpr(at, None)
