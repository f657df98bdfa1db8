from collections.abc import Sequence

from engine import pricer
from engine.baskets import Basket

LAYOUT_ID: str

class Pricer(pricer.Pricer):
    def __init__(
        self, baskets: Sequence[Basket], buffer: memoryview | None = None, offset: int = 0
    ) -> None: ...
