"""Books for the engine's tests: rows of the books table, in every condition."""

from hypothesis import strategies as st

from shm.codes import BookState
from shm.layout import BOOK, BOOK_LEVELS, Book

EPOCH = 4


def column(values) -> tuple[int, ...]:
    return (*values, *[0] * (BOOK_LEVELS - len(values)))


def book(bids, asks, *, key: int, received_ns: int = 1, tick_e4: int = 10, **more) -> Book:
    """A live book; levels are (price_e4, size_e6), best first."""
    return BOOK.blank()._replace(
        market_key=key, epoch=EPOCH, state=BookState.LIVE, received_ns=received_ns,
        tick_e4=tick_e4, bid_count=len(bids), ask_count=len(asks),
        bid_price_e4=column([p for p, _ in bids]), bid_size_e6=column([s for _, s in bids]),
        ask_price_e4=column([p for p, _ in asks]), ask_size_e6=column([s for _, s in asks]),
    )._replace(**more)  # fmt: skip


sizes = st.one_of(st.integers(1, 10**9), st.integers(1, 5_000).map(lambda n: n * 10**6))


@st.composite
def live_books(draw, key: int, **more) -> Book:
    """A right book: levels in order, not crossed, some of them close to the middle."""
    middle = draw(st.integers(2, 9_998))
    below = draw(st.lists(st.integers(1, middle - 1), unique=True, max_size=6))
    above = draw(st.lists(st.integers(middle, 9_999), unique=True, max_size=6))
    bids = [(p, draw(sizes)) for p in sorted(below, reverse=True)]
    asks = [(p, draw(sizes)) for p in sorted(above)]
    return book(bids, asks, key=key, **more)


@st.composite
def any_books(draw, key: int) -> Book:
    """A book that may be stale, crossed, another market's, or damaged in any field."""
    one = draw(live_books(key))
    wild = st.integers(-(2**31), 2**31 - 1) | st.integers(0, 10_000)
    huge = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 10**9)
    match draw(st.integers(0, 6)):
        case 0:
            return one._replace(state=draw(st.integers(0, 5)))
        case 1:
            return one._replace(epoch=draw(st.integers(0, 9)), market_key=draw(st.integers(0, 3)))
        case 2:
            prices = tuple(draw(wild) for _ in range(BOOK_LEVELS))
            return one._replace(bid_price_e4=prices, bid_count=draw(st.integers(0, 2**32 - 1)))
        case 3:
            prices = tuple(draw(wild) for _ in range(BOOK_LEVELS))
            return one._replace(ask_price_e4=prices, ask_count=draw(st.integers(0, 2**32 - 1)))
        case 4:
            some = tuple(draw(huge) for _ in range(BOOK_LEVELS))
            return one._replace(bid_size_e6=some, ask_size_e6=some[::-1])
        case 5:
            return one._replace(tick_e4=draw(st.integers(0, 2**32 - 1)), received_ns=draw(
                st.integers(0, 2**63 - 1)))  # fmt: skip
        case _:
            return one
