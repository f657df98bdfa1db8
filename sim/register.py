"""Every order that users have placed: by hash, by owner, by wallet; and when GTD ones end.

A hash is known for good once the venue has acknowledged its order, whether it rests, traded or was
killed; the same hash again is a duplicate. So hashes are kept far longer than orders.
"""

import heapq
from collections import OrderedDict, defaultdict, deque

from sim.limits import MAX_FINISHED_ORDERS, MAX_KNOWN_HASHES
from sim.order import OPEN, Order, Side


class Register:
    """Orders of users; house orders live in the books only."""

    def __init__(self) -> None:
        self._by_id: dict[str, Order] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self._finished: deque[str] = deque()
        self._open: defaultdict[str, OrderedDict[str, Order]] = defaultdict(OrderedDict)
        self._wallets: defaultdict[str, set[str]] = defaultdict(set)
        self._expiring: list[tuple[int, str]] = []

    def knows(self, order_id: str) -> bool:
        """Whether this hash was acknowledged before."""
        return order_id in self._known

    def note(self, order_id: str) -> None:
        """Know a hash of which there is no order: one that is held back, or was refused."""
        self._known[order_id] = None
        if len(self._known) > MAX_KNOWN_HASHES:
            self._known.popitem(last=False)

    def unnote(self, order_id: str) -> None:
        """Forget a hash again; what was held back is looked at anew."""
        self._known.pop(order_id, None)

    def get(self, order_id: str) -> Order | None:
        """The order of this hash, open or not."""
        return self._by_id.get(order_id)

    def add(self, order: Order, drop_ms: int | None = None) -> None:
        """Remember an acknowledged order; `drop_ms` is when a GTD order leaves the book."""
        if order.order_id in self._by_id:
            raise ValueError(f"order {order.order_id} is known")
        self._by_id[order.order_id] = order
        self.note(order.order_id)
        self._open[order.owner][order.order_id] = order
        self._wallets[order.wallet].add(order.order_id)
        if drop_ms is not None:
            heapq.heappush(self._expiring, (drop_ms, order.order_id))

    def finish(self, order: Order) -> None:
        """The order has reached a final state; it stays known as a duplicate for a long time."""
        self._open[order.owner].pop(order.order_id, None)
        self._wallets[order.wallet].discard(order.order_id)
        self._finished.append(order.order_id)
        if len(self._finished) > MAX_FINISHED_ORDERS:
            del self._by_id[self._finished.popleft()]

    def open_of(self, owner: str) -> list[Order]:
        """Open orders of an API key, oldest first."""
        return list(self._open[owner].values()) if owner in self._open else []

    def open_in(self, condition_id: str) -> list[Order]:
        """Open orders of all users in one market."""
        return [
            order
            for orders in self._open.values()
            for order in orders.values()
            if order.condition_id == condition_id
        ]

    def reserved_usd_e6(self, wallet: str) -> int:
        """Cash that the open BUY orders of a wallet may still need; makers pay no fee."""
        total_e10 = sum(
            order.remaining_e6 * order.price_e4
            for order in self._of_wallet(wallet)
            if order.side is Side.BUY
        )
        return -(-total_e10 // 10_000)

    def reserved_e6(self, wallet: str, token: str) -> int:
        """Micro-shares of a token that the open SELL orders of a wallet may still need."""
        return sum(
            order.remaining_e6
            for order in self._of_wallet(wallet)
            if order.side is Side.SELL and order.token == token
        )

    def count_open(self, wallet: str) -> int:
        """Open orders of a wallet."""
        return len(self._wallets[wallet]) if wallet in self._wallets else 0

    def open_of_wallet(self, wallet: str) -> list[Order]:
        """Open orders of a wallet, in no promised order."""
        return self._of_wallet(wallet)

    def all_orders(self) -> list[Order]:
        """All orders that are remembered, oldest first."""
        return list(self._by_id.values())

    def expired(self, now_ms: int) -> list[Order]:
        """GTD orders whose time is over and that are still live; each is returned once."""
        out: list[Order] = []
        while self._expiring and self._expiring[0][0] <= now_ms:
            order = self._by_id.get(heapq.heappop(self._expiring)[1])
            if order is not None and order.status in OPEN:
                out.append(order)
        return out

    def _of_wallet(self, wallet: str) -> list[Order]:
        if wallet not in self._wallets:
            return []
        return [self._by_id[order_id] for order_id in self._wallets[wallet]]
