from enum import IntEnum

class Kind(IntEnum):
    DATA = 0
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9

class Reader:
    empty: int
    spent: int
    error: str
    @property
    def pending(self) -> bool: ...
    def feed(self, data: bytes) -> None: ...
    def read(self, units: int) -> list[tuple[int, int, bool, bytes, int]]: ...
