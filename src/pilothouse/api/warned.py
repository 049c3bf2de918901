"""How much of the warnings of a request fits into its answer (apiserver endpoints/filters/warning)."""

import re
from collections.abc import Iterable

WARNINGS_LIMIT, WARNING_LIMIT = 4096, 256
"""Characters of all warnings together, and of each one once that is too much."""
CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")
"""What can not stand in a header: a warning with one of these is never sent."""


def enough(warnings: Iterable[str]) -> list[str]:
    """The first warnings, each once, up to what an answer can carry: what comes after that is not even looked for."""
    seen: dict[str, None] = {}
    sent = whole = 0
    for text in warnings:
        if text in seen or CONTROL.search(text):
            continue
        seen[text] = None
        sent += min(len(text), WARNING_LIMIT)
        whole += len(text)
        if sent >= WARNINGS_LIMIT and whole > WARNINGS_LIMIT:
            break
    return list(seen)
