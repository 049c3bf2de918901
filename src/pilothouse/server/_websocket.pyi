from enum import IntEnum

class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10

class Reader:
    empty: int
    spent: int
    error: int
    @property
    def pending(self) -> bool: ...
    def feed(self, data: bytes) -> None: ...
    def read(self, units: int) -> list[tuple[int, bytes, bool]]: ...

def frame(opcode: int, data: bytes) -> bytes: ...
