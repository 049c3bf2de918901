"""An error in a file that a flag names, or that a server keeps."""

from typing import NamedTuple


class Problem(NamedTuple):
    """`line` counts from 1; it is 0 when the error belongs to no line, `file` is "" when it belongs to none.
    `flag` names the file. A server starts in spite of a `warning`, which it logs."""

    file: str
    line: int
    text: str
    flag: str
    warning: bool = False

    def __str__(self) -> str:
        if not self.file:
            return f"--{self.flag}: {self.text}"
        return f"{self.file}:{f'{self.line}:' if self.line else ''} {self.text} (--{self.flag})"
