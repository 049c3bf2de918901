from collections.abc import Iterable

class Requirement:
    key: str
    op: str
    values: tuple[str, ...]
    def __init__(self, key: str, op: str, values: tuple[str, ...] = ()) -> None: ...
    def __hash__(self) -> int: ...

class Selector:
    labels: tuple[Requirement, ...]
    fields: tuple[tuple[str, str, str], ...]
    equalities: tuple[tuple[str, str], ...]
    field_equalities: dict[str, str]
    nothing: bool
    empty: bool
    def __init__(
        self,
        labels: Iterable[Requirement] = (),
        fields: Iterable[tuple[str, str, str]] = (),
        nothing: bool = False,
    ) -> None: ...
    def matches_labels(self, labels: dict[str, str] | None) -> bool: ...
    def matches_fields(self, fields: dict[str, str]) -> bool: ...
    @property
    def label_text(self) -> str: ...
    @property
    def field_text(self) -> str: ...
    def __hash__(self) -> int: ...
