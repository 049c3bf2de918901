from asyncio import AbstractEventLoop

class Bodies:
    reserved: int
    refused: int
    def __init__(self, loop: AbstractEventLoop, budget: int) -> None: ...
    def hurry(self, at: float = 0.0) -> None: ...

class Unfinished:
    held: int
    refused: int
    def __init__(self, budget: int) -> None: ...
