"""The tokens of an expression, taken one by one; syntax errors have the words of ANTLR's parser."""

from pilothouse.api.cel.errors import Issues
from pilothouse.api.cel.limits import MAX_DEPTH
from pilothouse.api.cel.tokens import EOF, Token, tokens

_NAMES = (
    "'=='", "'!='", "'in'", "'<'", "'<='", "'>='", "'>'", "'&&'", "'||'", "'['", "']'", "'{'", "'}'", "'('",
    "')'", "'.'", "','", "'-'", "'!'", "'?'", "':'", "'+'", "'*'", "'/'", "'%'", "'true'", "'false'",
    "'null'", "NUM_FLOAT", "NUM_INT", "NUM_UINT", "STRING", "BYTES", "IDENTIFIER", "ESC_IDENTIFIER",
)  # fmt: skip
_PLACE = {name: place for place, name in enumerate(_NAMES)}
BINARY = {
    "<": (1, "_<_"), "<=": (1, "_<=_"), ">=": (1, "_>=_"), ">": (1, "_>_"), "==": (1, "_==_"),
    "!=": (1, "_!=_"), "in": (1, "@in"), "+": (2, "_+_"), "-": (2, "_-_"), "*": (3, "_*_"), "/": (3, "_/_"),
    "%": (3, "_%_"),
}  # fmt: skip
"""The operators between two operands: their rank, from weak to strong, and the function that each is."""
_STOPS = frozenset((*BINARY, "&&", "||", "?", ":", ",", ")", "]", "}", ".", "[", EOF))
"""The tokens at which the parser goes on after an error."""


class TooDeep(Exception):
    """An expression is nested too deeply."""


class TokenStream:
    """The tokens from the current one on, and how deeply it is nested."""

    def __init__(self, text: str, issues: Issues) -> None:
        self.issues = issues
        self.text = text
        self.tokens = tokens(text, issues)
        self.place = 0
        self.token = self.tokens[0]
        self.depth = 0

    def after(self) -> str:
        """The kind of the token behind this one."""
        return self.tokens[min(self.place + 1, len(self.tokens) - 1)].kind

    def take(self) -> Token:
        token = self.token
        if token.kind != EOF:
            self.place += 1
            self.token = self.tokens[self.place]
        return token

    def accept(self, kind: str) -> Token | None:
        return self.take() if self.token.kind == kind else None

    def enter(self, levels: int = 1) -> None:
        self.depth += levels
        if self.depth > MAX_DEPTH:
            raise TooDeep

    def syntax(self, message: str, token: Token | None = None) -> None:
        self.issues.add((token or self.token).at, f"Syntax error: {message}")

    def unexpected(self, expected: frozenset[str]) -> bool:
        """Report the token; whether leaving it out helps, in which case it is left out."""
        helps = self.after() in expected and self.token.kind != EOF
        word = "extraneous" if helps else "mismatched"
        self.syntax(f"{word} input '{self.token.text}' expecting {_show(expected)}")
        if helps:
            self.take()
        return helps

    def expect(self, kind: str, insert: bool = False) -> Token:
        """The token of a kind. `insert`: what comes instead could well stand behind it."""
        if found := self.accept(kind):
            return found
        if insert and self.token.kind in _STOPS and self.after() != kind:
            self.syntax(f"missing {_show(frozenset((kind,)))} at '{self.token.text}'")
            return Token(kind, "", self.token.at)
        if self.unexpected(frozenset((kind,))):
            return self.take()
        self.skip()
        return self.accept(kind) or Token(kind, "", self.token.at)

    def colon(self) -> Token | None:
        """The colon that has to come here, None when it does not."""
        if self.token.kind != ":" and not self.unexpected(frozenset(":")):
            self.skip()
            return None
        return self.take()

    def skip(self) -> None:
        """Go to where an expression may go on."""
        while self.token.kind not in _STOPS:
            self.take()


def _show(expected: frozenset[str]) -> str:
    """A set of tokens, in ANTLR's order."""
    names = sorted((one if one.isupper() else f"'{one}'" for one in expected), key=_PLACE.__getitem__)
    return names[0] if len(names) == 1 else "{" + ", ".join(names) + "}"
