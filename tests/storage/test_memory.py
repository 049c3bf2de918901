from pathlib import Path

from storage.contract import StoreContract

from pilothouse.storage.memory import MemoryStorage


class TestMemory(StoreContract):
    def make(self, directory: Path) -> MemoryStorage:
        return MemoryStorage()
