import asyncio
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
from coroutines import at_once
from virtual_time import VirtualLoop

from pilothouse import caches
from pilothouse.api.values import addresses, names, quantity
from pilothouse.api.values.identity import AuthorizationAttributes, RequestInfo, User
from pilothouse.caches import Cache, CacheBudget, KnownTexts, Memo, memo, short, weight
from pilothouse.metrics.exposition import number
from pilothouse.metrics.instruments import MetricsRegistry

MB = 1 << 20


def fill(cache: Cache[Any, Any], count: int, size: int = 100, start: int = 0) -> None:
    for n in range(start, start + count):
        cache.put(f"{n:08}", "x" * size)


def test_a_value_is_found_until_its_generation_goes() -> None:
    cache: Cache[str, int] = Cache("numbers", CacheBudget())
    assert cache["a"] is None
    cache.put("a", 1)
    assert cache["a"] == 1
    cache.age()
    assert cache["a"] == 1, "asked for, it is young again"
    cache.age()
    cache.age()
    assert cache["a"] is None
    assert cache.entries() == 0


def test_a_cache_keeps_to_its_share_and_keeps_what_is_used() -> None:
    budget = CacheBudget(8 * MB)
    cache: Cache[str, str] = Cache("texts", budget, share=1 / 8)
    cache.put("kept", "value")
    for n in range(50):
        fill(cache, 1000, start=1000 * n)
        assert cache["kept"] == "value"
        assert cache.young + cache.old <= MB
    assert 1000 < cache.entries() < 10_000
    assert cache["00049999"] is not None


def test_all_caches_keep_to_the_budget() -> None:
    budget = CacheBudget(MB)
    many: list[Cache[str, str]] = [Cache(f"c{n}", budget, share=1 / 2) for n in range(6)]
    for start in range(0, 20_000, 500):
        for cache in many:
            fill(cache, 500, start=start)
        assert budget.used <= MB
    assert all(cache.entries() for cache in many)


def test_one_cache_that_is_filled_pushes_no_other_out() -> None:
    budget = CacheBudget(MB)
    small: Cache[str, str] = Cache("small", budget)
    small.put("a", "b")
    large: Cache[str, str] = Cache("large", budget, share=4)
    fill(large, 20_000)
    assert small["a"] == "b"
    assert large.entries() > 1000


def test_sizes_are_exact_when_entries_are_replaced_and_dropped() -> None:
    cache: Cache[str, str] = Cache("texts", CacheBudget())
    for text in ("a", "bb" * 100, "c"):
        cache.put("key", text)
        assert cache.young == caches.ENTRY + weight("key") + weight(text)
    cache.age()
    cache.put("key", "young")
    assert cache.old == 0
    assert cache.entries() == 1
    cache.drop("key")
    cache.drop("key")
    assert (cache.young, cache.old, cache.entries()) == (0, 0, 0)
    fill(cache, 3)
    cache.age()
    fill(cache, 3, start=10)
    cache.clear()
    assert (cache.young, cache.old, cache.entries()) == (0, 0, 0)


@pytest.mark.parametrize("count", [1, 5, 40])
def test_values_put_together_are_kept_like_values_put_alone(count: int) -> None:
    """They keep to the share of the cache, and replace older ones."""
    values = {f"{number}": "x" * (10 * number if number % 9 else 2000) for number in range(count)}
    both: list[Cache[str, str]] = [
        Cache("texts", CacheBudget(20_000), share=1 / 4, largest=1000) for _ in range(2)
    ]
    for cache in both:
        cache.put("3", "older")
        cache.age()
        cache.put("1", "older")
    both[0].put_all(values)
    for key, value in values.items():
        both[1].put(key, value)
    assert dict(both[0]) == dict(both[1])
    assert [(one.young, one.old, one.entries()) for one in both] == [
        (both[1].young, both[1].old, both[1].entries())
    ] * 2


def test_a_large_entry_is_not_kept_and_takes_the_place_of_none() -> None:
    cache: Cache[str, str] = Cache("texts", CacheBudget(), largest=1000)
    cache.put("a", "small")
    cache.put("a", "x" * 1000)
    assert cache["a"] is None
    assert cache.young == 0


async def test_what_nobody_asks_for_goes_by_itself(virtual: VirtualLoop) -> None:
    budget = CacheBudget(clock=virtual.time)
    cache: Cache[str, int] = Cache("short", budget, lifetime=caches.PERIOD)
    lasting: Cache[str, int] = Cache("long", budget, lifetime=10 * caches.PERIOD)
    budget.start()
    cache.put("a", 1)
    lasting.put("a", 1)
    await virtual.advance(1.5 * caches.PERIOD)
    assert cache.entries() == 1  # in the old generation
    await virtual.advance(caches.PERIOD)
    await budget.close()
    assert cache.entries() == 0
    assert lasting.entries() == 1


def test_weight_counts_what_is_inside() -> None:
    user = User("jane", "1", ("x" * 1000,), {"y" * 1000: ["z" * 1000]})
    assert 3000 < weight(user) < 4500
    assert weight(("x" * 10_000, 1, None)) > 10_000


def test_long_texts_become_digests() -> None:
    assert short("a" * caches.LONG) == "a" * caches.LONG
    digest = short("a" * 1_000_000)
    assert isinstance(digest, bytes)
    assert len(digest) == 32
    assert digest != short("a" * 999_999)
    assert short("\udc80" * 300)


def test_a_memo_asks_anew_for_long_texts() -> None:
    asked: list[str] = []

    @memo("lengths", longest=4, most=2)
    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    for text in ("a", "a", "12345", "12345", "b", "c", "a"):
        assert length(text) == len(text)
    assert asked == ["a", "12345", "12345", "b", "c", "a"]
    told = caches.MEMOS.pop()
    assert told.name == "lengths"
    assert (told.count(), told.bytes()) == (2, 2 * (4 + caches.MEMO_ENTRY))


def test_known_texts_are_few_and_short() -> None:
    known = KnownTexts("test", longest=4, most=3)
    for n in range(10):
        known.keep(str(n))
        assert str(n) in known
        assert len(known) <= 3
    known.keep("12345")
    assert "12345" not in known
    known.keep("a", frozenset(("b",)), True)
    assert ("a", frozenset(("b",)), True) in known
    known.keep("a", frozenset(map(str, range(1000))))
    known.keep("a", frozenset(("x" * 100_000,)))
    assert all(len(one) < 3 or not isinstance(one, tuple) or len(one[1]) == 1 for one in known)
    assert max(map(weight, known)) < 1000


def test_the_sizes_are_told() -> None:
    told = MetricsRegistry()
    budget = told.add(CacheBudget())
    cache: Cache[str, str] = Cache("texts", budget)
    assert 'pilothouse_cache_entries{cache="texts"} 0\n' in asyncio.run(told.expose()).decode()
    fill(cache, 10)
    shown = asyncio.run(told.expose()).decode()
    assert 'pilothouse_cache_entries{cache="texts"} 10\n' in shown
    assert f'pilothouse_cache_bytes{{cache="texts"}} {number(cache.young)}\n' in shown
    told.reset()
    assert 'cache_entries{cache="texts"} 10\n' in asyncio.run(told.expose()).decode()


def test_a_memo_is_told_of() -> None:
    budget = CacheBudget()

    def entries() -> float:
        text = "".join(metric.text() for metric in budget.metrics())
        return float(text.partition('pilothouse_cache_entries{cache="lengths of a test"} ')[2].split()[0])

    @caches.memo("lengths of a test")
    def length(text: str) -> int:
        return len(text)

    assert entries() == 0
    assert length("1234567m") == length("1234567m") == 8
    assert entries() == 1


def test_all_memos_together_are_small() -> None:
    """The memos are those of a fresh process, because tests make memos, too."""
    program = (
        "import pilothouse.assembly.server\n"
        "from pilothouse.caches import MEMOS, MEMO_ENTRY\n"
        "print(sum(one.most * (one.longest + MEMO_ENTRY) for one in MEMOS))"
    )
    source = str(pathlib.Path(caches.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    assert MB < int(done.stdout) <= 48 * MB


@pytest.mark.parametrize("make", [lambda n: f"{n}" * 20_000, lambda n: f"{n:x}:" * 20_000])
def test_long_texts_of_users_are_not_remembered(make: Any) -> None:
    from pilothouse.api.changes import _fieldset
    from pilothouse.api.defaults.core import pull_policy
    from pilothouse.api.validate.resources import is_whole

    def count() -> int:
        others = sum(_fieldset.remembered()[:1])
        return others + sum(one.count() for one in caches.MEMOS)

    _fieldset.parse({'k:{"name":"short"}': {}})
    before = count()
    for n in range(10, 60):
        text = make(n)
        addresses.parse_ip(text)
        addresses._strict_address(text)
        names.c_identifier("a" + text)
        names.dns_subdomain(text, False)
        names.label_value(text)
        pull_policy(text)
        _fieldset.parse({f'v:"{text}"': {}, f'k:{{"name":"{text}"}}': {}})
        for wrong in (quantity.parse, is_whole):
            try:
                wrong(text)
            except ValueError:
                pass
    assert count() == before


def test_memo_registers_once() -> None:
    assert len({(one.name, id(one)) for one in caches.MEMOS}) == len(caches.MEMOS)
    assert all(isinstance(one, Memo) and one.longest <= 1024 for one in caches.MEMOS)


class Readers:
    """Readers of no objects at all."""

    def follow(self, resource: str, callback: Any) -> tuple[Any, ...]:
        return ()

    def indexed(self, name: str, resources: Any, make: Any) -> Any:
        return make()


def test_decisions_on_long_and_on_many_paths_leave_little() -> None:
    from pilothouse.authz.rbac import RBACAuthorizer
    from pilothouse.flowcontrol.classify import Classifier
    from pilothouse.flowcontrol.levels import Levels

    budget = CacheBudget()
    readers: Any = Readers()
    authorizer, classifier = (
        RBACAuthorizer(readers, budget),
        Classifier(readers, Levels(readers, 600), budget),
    )
    user = User("system:anonymous", groups=("system:unauthenticated",))
    for n in range(100):
        path = f"/{n}" + "x" * 1_000_000
        at_once(authorizer.authorize(AuthorizationAttributes(user, "get", path)))
        classifier.flow(user, RequestInfo(path, "get"))
    assert budget.used < 10_000
    for n in range(30_000):
        path = f"/{n}" + "x" * 200
        at_once(authorizer.authorize(AuthorizationAttributes(user, "get", path)))
        classifier.flow(user, RequestInfo(path, "get"))
    assert budget.used <= 16 * MB


def test_a_cache_that_is_closed_takes_no_part_any_more() -> None:
    """Two that are empty are equal, and not the same."""
    budget = CacheBudget()
    first, second = (Cache[str, str](name, budget) for name in "ab")
    second.close()
    assert [cache.name for cache in budget.caches] == ["a"]
    first.put("k", "v")
    assert budget.used == first.young > 0


def test_short_memory_halves_what_is_kept() -> None:
    budget = CacheBudget(8 * MB)
    large, small = (Cache[str, str](name, budget, share=1 / 2) for name in ("large", "small"))
    fill(large, 5_000)
    fill(small, 100)
    before = budget.used
    budget.halve()
    assert 0 < budget.used <= before // 2 and small["00000001"]
    budget.halve()
    budget.halve()
    CacheBudget().halve()
