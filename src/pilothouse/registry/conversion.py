"""How the objects of a resource come from the version that is stored to one that is served, and back.

Built-in kinds convert in process. A definition may name a converter that has to be waited for
(a conversion webhook).
"""

from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, TypeVar

import orjson

from pilothouse import errors
from pilothouse.api import json
from pilothouse.api.changes._fieldset import ConversionError
from pilothouse.api.changes.managed import Convert, Unconverted
from pilothouse.api.types.schema import Type
from pilothouse.api.values.fields import Object
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.process.frozen import frozen
from pilothouse.waiting import in_task

ROUNDS = 256
"""Conversions that the managed fields of one write may need;
an object has few versions, each of which it needs twice."""

P = ParamSpec("P")
T = TypeVar("T")


class Converter(Protocol):
    """Converts objects by asking somebody else (apiextensions.k8s.io ConversionReview)."""

    async def convert(self, objects: Sequence[Object], to: str) -> list[Object]:
        """The objects in the API version `to`, in the same order; StatusError when one cannot be converted.

        Called in a task, with objects of other versions than `to` only; it does not change them. In what it
        returns the metadata is as it was, but for labels and annotations.
        """


@frozen(eq=False, kw_only=True)
class Conversion:
    """How objects come from the stored version to that of one record, and back.

    present, store: make the served form of a stored object and the stored form of a served one, in process.
    They do not change what they are given.
    converter: where objects are sent first when they are in another version; what it returns passes `present`
    or `store` as well. None = `present` and `store` do it all.
    complete: what stored objects pass before the converter:
    the defaults of the version in which they are stored.
    served, stored: the API versions that the converter is asked for, "" without one.
    """

    present: Callable[[Object], Object]
    store: Callable[[Object], Object]
    converter: Converter | None = None
    complete: Callable[[Object], Object] | None = None
    served: str = ""
    stored: str = ""

    async def presented(self, objects: Sequence[Object], work: Work | Inline = INLINE_WORK) -> list[Object]:
        """Stored objects in the version of the record; the converter is asked once for all of them."""
        if self.converter is not None:
            objects = await converted(self.converter, await work.run(self.completed, objects), self.served)
            await work.enter(_size(objects))
        return await work.run(_each, self.present, objects)

    def completed(self, objects: Sequence[Object]) -> Sequence[Object]:
        """Stored objects as the converter is to get them."""
        return objects if self.complete is None else _each(self.complete, objects)

    async def kept(self, objects: Sequence[Object], work: Work | Inline = INLINE_WORK) -> list[Object]:
        """Objects in the version of the record as they are stored;
        the converter is asked once for all of them."""
        if self.converter is not None:
            objects = await converted(self.converter, objects, self.stored)
            await work.enter(_size(objects))
        return await work.run(_each, self.store, objects)


def _each(change: Callable[[Object], Object], objects: Sequence[Object]) -> list[Object]:
    return [change(obj) for obj in objects]


def _size(objects: Sequence[Object]) -> int:
    """The bytes of objects: a converter may have made large ones of small ones."""
    return sum([len(json.dump(obj)) for obj in objects])


async def converted(converter: Converter, objects: Sequence[Object], to: str) -> list[Object]:
    """Objects in an API version; the converter gets those that are in another one, in one batch."""
    others = [obj for obj in objects if obj.get("apiVersion", to) != to]
    if not others:
        return list(objects)
    await in_task()
    made = await converter.convert(others, to)
    if len(made) != len(others):
        raise ValueError(f"a converter returned {len(made)} objects for {len(others)}")
    rest = iter(made)
    return [obj if obj.get("apiVersion", to) == to else next(rest) for obj in objects]


class OtherVersions:
    """The objects of one write in further versions, for managed fields:
    they are worked out by code that cannot wait.

    An instance is the `versions` of that code. It raises Unconverted where it does not have an object in a
    version; `settle` waits for that and runs the code again. Where the converter fails it raises
    ConversionError: an update then goes on without managed fields (upstream's UpdateNoErrors),
    an apply is refused.
    """

    def __init__(self, converter: Converter, type_of: Callable[[str], Type | None]) -> None:
        """`type_of` gives the type of an API version, None for one that is not known."""
        self._converter = converter
        self._type_of = type_of
        self._known: dict[tuple[str, bytes], list[Object] | errors.StatusError] = {}

    def __call__(self, api_version: str) -> tuple[Type, Convert] | None:
        """The type of a version and the way there (api.changes.managed.Versions)."""
        type_ = self._type_of(api_version)
        if type_ is None:
            return None

        def convert(objects: list[Object]) -> list[Object]:
            content = orjson.dumps(objects, option=orjson.OPT_SORT_KEYS)
            found = self._known.get((api_version, content))
            if found is None:
                raise Unconverted(content, api_version)
            if isinstance(found, errors.StatusError):
                raise ConversionError(f"failed to convert old object: {found.message}")
            return found

        return type_, convert

    async def settle(self, work: Work | Inline, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The outcome of a call that asks for other versions;
        it is repeated after each one that was not there."""
        for _ in range(ROUNDS):
            try:
                return await work.run(call, *args, **kwargs)
            except Unconverted as missing:
                content, to = missing.content, missing.to
            try:
                self._known[to, content] = await converted(self._converter, orjson.loads(content), to)
            except errors.StatusError as err:
                self._known[to, content] = err
        raise RuntimeError("managed fields are not settled by so many conversions")
