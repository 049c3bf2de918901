"""Find the rights of rules that no other rule covers, without the product of the lists that a rule is.

A rule grants one right for each combination of its groups, resources, verbs and names, which may be millions.
So combinations are not tried one by one: from member to member, those of the held rules are kept that still
cover what was chosen, and choices that leave the same rules are looked at once.
"""

from collections.abc import Iterable, Iterator, Sequence

from pilothouse.authz.rbac_index import Rule

MAX_STEPS = 1_000_000
"""Comparisons in one check of a user's rules.
A body of 3 MB lists fewer texts; only rules that are made to overlap in ever new ways need more."""
MAX_TOLD = 64 * 1024
"""Characters of the rights that a refusal lists."""

Ids = frozenset[int]
"""Held rules, by their place."""
Level = tuple[str, Sequence[str | None]]

_RESOURCE_MEMBERS = ("apiGroups", "resources", "verbs")
_URL_MEMBERS = ("nonResourceURLs", "verbs")
_NO_NAME: tuple[None, ...] = (None,)


class TooComplex(Exception):
    """The comparison takes more than MAX_STEPS."""


def uncovered(held: Sequence[Rule], wanted: Sequence[Rule]) -> list[Rule]:
    """The atoms of `wanted` (one verb, group, resource, name) that no rule of `held` covers."""
    return list(_Cover(held, wanted, None).missing())


def first_uncovered(held: Sequence[Rule], wanted: Sequence[Rule]) -> tuple[list[Rule], bool]:
    """The first uncovered atoms, at most as many as a message lists, and whether these are all;
    may raise TooComplex."""
    out: list[Rule] = []
    told = 0
    try:
        for atom in _Cover(held, wanted, MAX_STEPS).missing():
            if told > MAX_TOLD:
                return out, False
            out.append(atom)
            told += sum(len(texts[0]) for texts in atom.values())
    except TooComplex:
        if not out:
            raise
        return out, False
    return out, True


class _Member:
    """One member of the held rules: which of them cover each text, and which cover a given one."""

    __slots__ = ("every", "some")

    def __init__(self) -> None:
        self.every: set[int] = set()
        self.some: dict[str, set[int]] = {}

    def add(self, place: int, texts: Iterable[str]) -> None:
        for text in texts:
            self.some.setdefault(text, set()).add(place)


class _Cover:
    """One comparison."""

    def __init__(self, held: Sequence[Rule], wanted: Sequence[Rule], limit: int | None) -> None:
        self.wanted = wanted
        self.left = limit
        self.members = {name: _Member() for name in (*_RESOURCE_MEMBERS, "resourceNames")}
        self.urls: list[tuple[str, int]] = []
        self.all: Ids = frozenset(range(len(held)))
        self.known: dict[Ids, Ids] = {}
        self.memo: dict[tuple[str, Ids, str | None], Ids] = {}
        self._index(held)

    def _index(self, held: Sequence[Rule]) -> None:
        """Note of the held rules what the wanted ones speak of."""
        asked = {
            name: {text for rule in self.wanted for text in rule.get(name) or ()} for name in self.members
        }
        asked["resources"] |= {_any_with(text) for text in asked["resources"] if "/" in text}
        for place, rule in enumerate(held):
            for name, member in self.members.items():
                texts = rule.get(name) or ()
                if "*" in texts and name != "resourceNames":
                    member.every.add(place)
                else:
                    member.add(place, asked[name].intersection(texts))
            if rule.get("resourceNames"):
                continue
            self.members["resourceNames"].every.add(place)
            self.urls += [(url, place) for url in rule.get("nonResourceURLs") or ()]

    def missing(self) -> Iterator[Rule]:
        for rule in self.wanted:
            names: Sequence[str | None] = rule.get("resourceNames") or _NO_NAME
            resources: list[Level] = [(name, rule.get(name) or ()) for name in _RESOURCE_MEMBERS]
            for levels in (
                [*resources, ("resourceNames", names)],
                [(name, rule.get(name) or ()) for name in _URL_MEMBERS],
            ):
                if all(texts for _, texts in levels):
                    yield from self._walk(levels, 0, self.all, {}, {})

    def _walk(
        self, levels: list[Level], at: int, ids: Ids, done: dict[tuple[int, Ids], bool], atom: Rule
    ) -> Iterator[Rule]:
        """The atoms below a choice of the first `at` members, in the order of the rule."""
        if self._covered(levels, at, ids, done):
            return
        if at == len(levels):
            yield dict(atom)
            return
        name, texts = levels[at]
        for text in texts:
            inner = atom if text is None else {**atom, name: [text]}
            yield from self._walk(levels, at + 1, self._narrowed(name, ids, text), done, inner)

    def _covered(self, levels: list[Level], at: int, ids: Ids, done: dict[tuple[int, Ids], bool]) -> bool:
        """Whether all atoms below a choice are covered by the held rules that are left."""
        if at == len(levels) or not ids:
            return bool(ids)
        found = done.get((at, ids))
        if found is None:
            name, texts = levels[at]
            found = all(
                self._covered(levels, at + 1, self._narrowed(name, ids, text), done) for text in texts
            )
            done[at, ids] = found
        return found

    def _narrowed(self, name: str, ids: Ids, text: str | None) -> Ids:
        """The held rules, of these, whose member covers a text."""
        self._step(1)
        if not ids:
            return ids
        if name == "nonResourceURLs":
            return self._of_url(text or "")
        member = self.members[name]
        some = member.some.get(text) if text is not None else None
        wide = member.some.get(_any_with(text)) if text and name == "resources" and "/" in text else None
        if not some and not wide:
            text = None  # all such texts leave the same
        found = self.memo.get((name, ids, text))
        if found is None:
            kept = ids & member.every
            for one in (some, wide):
                kept = kept | (ids & one) if one else kept
            self._step(len(kept))
            found = self.known.setdefault(kept, kept)
            if text is None or len(kept) > _WORTH:
                self.memo[name, ids, text] = found
        return found

    def _of_url(self, url: str) -> Ids:
        self._step(len(self.urls))
        found = frozenset(place for own, place in self.urls if _url_covers(own, url))
        return self.known.setdefault(found, found)

    def _step(self, count: int) -> None:
        if self.left is not None:
            self.left -= count
            if self.left < 0:
                raise TooComplex


_WORTH = 8
"""How many rules must be left for it to be remembered which they are; fewer are found as fast."""


def _any_with(resource: str) -> str:
    """`*/log` for `pods/log`."""
    return f"*/{resource.partition('/')[2]}"


def _url_covers(own: str, url: str) -> bool:
    return own == url or (own.endswith("*") and url.startswith(own.rstrip("*")))
