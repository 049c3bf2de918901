import asyncio

from quality.test_imports import python

from pilothouse.assembly import preload

PROGRAM = """
import asyncio, sys
from pilothouse.assembly.preload import CERTIFICATES, MODULES, Preload

async def main():
    wanted = {*CERTIFICATES, *MODULES}
    assert not wanted & sys.modules.keys()
    task = Preload(after=0, soon=0)
    task.start()
    while not wanted <= sys.modules.keys():
        await asyncio.sleep(0.01)
    await task.close()

asyncio.run(main())
print("pilothouse.api.cel" in sys.modules)
"""


def test_modules_are_imported_in_the_background() -> None:
    assert python("-c", PROGRAM).stdout == "True\n"


async def waited() -> None:
    task = preload.Preload(after=3600, soon=3600)
    task.start()
    await asyncio.sleep(0)
    await task.close()


def test_it_ends_while_it_waits() -> None:
    asyncio.run(asyncio.wait_for(waited(), 60))
