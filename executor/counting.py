"""How many orders left this machine, counted where bytes leave, held against the journal.

Whatever is handed to a socket here (executor/http.py) goes by `METER`, whoever asked for it: what
is sent past the journal, or again, is seen as well. Nothing is sent again by design, so that every
order that left has an INTENT of this process, and every INTENT has left or was withheld.
"""

from typing import Protocol

ORDER_MARK = b'"signatureType":'
"""Once in each order's JSON."""


class Meter:
    """Orders that this process has handed to its sockets."""

    def __init__(self) -> None:
        self.orders = 0

    def note(self, data: bytes) -> None:
        """These bytes have left."""
        self.orders += data.count(ORDER_MARK)


METER = Meter()
"""The only one of a process: of all its connections."""


class Written(Protocol):
    """Who knows how many orders were written down (executor/chronicle.py)."""

    @property
    def orders_written(self) -> int:
        """INTENT records of this process."""


class Signs(Protocol):
    """Where the numbers are compared (executor/breaker.py)."""

    orders_intended: int
    orders_on_wire: int


class Count:
    """Both numbers since one moment on."""

    def __init__(self, written: Written, meter: Meter = METER) -> None:
        self._written = written
        self._meter = meter
        self._before = (written.orders_written, meter.orders)

    def look(self, signs: Signs) -> None:
        """Bring the numbers up to date. Between two orders, never in the middle of one."""
        written, left = self._before
        signs.orders_intended = self._written.orders_written - written
        signs.orders_on_wire = self._meter.orders - left
