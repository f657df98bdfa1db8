from collections.abc import Sequence
from typing import Any

from shm.journal_record import Link

LAYOUT_ID: str

class Pen:
    def __init__(self, link: Link) -> None: ...
    @property
    def link(self) -> Link: ...
    def settle(self) -> None: ...
    def write(
        self,
        fd: int,
        offset: int,
        drafts: Sequence[tuple[Any, ...]],
        mono_ns: int,
        wall_ns: int,
    ) -> int: ...
    def write_orders(
        self, fd: int, offset: int, orders: tuple[Any, ...], mono_ns: int, wall_ns: int
    ) -> int: ...
