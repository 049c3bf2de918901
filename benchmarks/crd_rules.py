"""Many definitions whose schemas have CEL rules: the memory that the rules take beside the same without them.

usage: python benchmarks/crd_rules.py [COUNT]
"""

import asyncio
import copy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crds

AIMS = {"rules-mb": 0.2, "rules-used-mb": 0.2}
"""Megabytes for the rules of one definition, at most: as it is stored, and once its objects are written."""
RULES = 20

TEXT_RULES = (
    "self.field{0}.size() < 200",
    "self.field{0}.startsWith('a') || self.field{0}.endsWith('z') || self.field{0} == 'x{1}'",
    "!has(self.field{0}) || self.field{0}.matches('^[a-z0-9.-]+$')",
)
NUMBER_RULES = (
    "self.field{0} >= {1}",
    "!has(self.field{0}) || (self.field{0} > {1} && self.field{0} < 65000)",
    "has(oldSelf.field{0}) && has(self.field{0}) ? self.field{0} >= oldSelf.field{0} : true",
)

Make = Callable[[int], dict[str, Any]]


def plain(i: int) -> dict[str, Any]:
    """A definition without rules."""
    made = crds.definition(i, crds.GROUPS)
    schema = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["required"] = ["field0", "field1"]
    return made


def ruled(i: int) -> dict[str, Any]:
    """The definition with twenty rules, none of which is that of another definition."""
    made = copy.deepcopy(plain(i))
    spec = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rules = []
    for n in range(RULES):
        texts, first = ((TEXT_RULES, 0), (NUMBER_RULES, 1))[n % 2]
        field = first + 6 * (n // 2 % 5)
        text = texts[n // 2 % 3].format(field, i % 100 - 100 if first else i)
        if not text.startswith("!has") and "oldSelf" not in text and field > 1:
            text = f"!has(self.field{field}) || ({text})"
        rules.append({"rule": text, "message": f"field{field} of thing {i} breaks rule {n}"})
    spec["x-kubernetes-validations"] = rules
    return made


async def create(server: crds.Server, count: int, make: Make) -> None:
    """Make the definitions, and wait until they are served."""
    waiting = iter(range(count))

    async def one() -> None:
        connection = await server.connect()
        for number in waiting:
            await crds.ok(connection, "POST", crds.DEFINITIONS, make(number))
        await connection.close()

    await asyncio.gather(*(one() for _ in range(crds.CONNECTIONS)))
    connection = await server.connect()
    for number in range(count):
        while (await connection.call("GET", crds.resource_path(make(number))))[0] != 200:
            await asyncio.sleep(0.01)
    await connection.close()


async def use(server: crds.Server, count: int, make: Make) -> None:
    """Write an object of each definition twice, so that every rule has been evaluated."""
    connection = await server.connect()
    for number in range(count):
        spec = make(number)["spec"]
        place = f"/apis/{spec['group']}/v1/namespaces/default/{spec['names']['plural']}"
        body: dict[str, Any] = {"apiVersion": f"{spec['group']}/v1", "kind": spec["names"]["kind"]}
        body |= {"metadata": {"name": "one"}, "spec": {"field0": "a", "field1": 5}}
        await crds.ok(connection, "POST", place, body)
        live = await crds.ok(connection, "GET", f"{place}/one")
        status, said = await connection.call(
            "PUT", f"{place}/one", live.replace(b'"field1":5', b'"field1":6')
        )
        assert status == 200, said[:500]
    await connection.close()


def measure(count: int = 1000) -> dict[str, float]:
    """The figures of AIMS: two servers, with the rules and without, are filled one after the other."""
    found: list[tuple[float, float]] = []
    for make in (plain, ruled):
        with tempfile.TemporaryDirectory() as folder, crds.running(Path(folder)) as server:

            async def run(server: crds.Server = server, make: Make = make) -> tuple[float, float]:
                before = server.memory()
                await create(server, count, make)
                await asyncio.sleep(crds.SETTLE_SECONDS)
                stored = server.memory()
                await use(server, count, make)
                await asyncio.sleep(crds.SETTLE_SECONDS)
                return stored - before, server.memory() - before

            found.append(asyncio.run(run()))
    (stored, used), (stored_ruled, used_ruled) = found
    print(f"without rules {stored / count:.3f} MB stored, {used / count:.3f} MB used; ", end="")
    print(f"with them {stored_ruled / count:.3f} and {used_ruled / count:.3f}")
    return {"rules-mb": (stored_ruled - stored) / count, "rules-used-mb": (used_ruled - used) / count}


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    got = measure(count)
    print(f"{count:,} definitions with {RULES} rules each")
    for name, most in AIMS.items():
        value = got[name]
        print(f"{name:24} {value:12.3f} at most {most:g}{'   <-- missed' if value > most else ''}")
    return any(value > AIMS[name] for name, value in got.items())


if __name__ == "__main__":
    sys.exit(main())
