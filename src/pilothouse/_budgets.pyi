class Bodies:
    reserved: int
    refused: int
    def hurry(self, at: float = 0.0) -> None: ...

class Unfinished:
    held: int
    refused: int
