from pathlib import Path

from contract import StoreContract

from pilothouse.storage.sqlite import SqliteStorage


class TestSqlite(StoreContract):
    def make(self, directory: Path) -> SqliteStorage:
        return SqliteStorage(directory)
