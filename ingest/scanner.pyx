# cython: language_level=3, boundscheck=False, wraparound=False
"""What the scanner reads from a frame, as Python events: for the tests that compare it with wire.py.

The keeper itself (ingest/native.pyx) works on the C structs and makes no such objects.
"""

from libc.stdlib cimport calloc

from ingest.shelf cimport (
    PT_CHANGES, PT_LAYOUT_ID, PT_TRADE, pt_change, pt_event, pt_scan, pt_scan_frame, pt_text,
)

from ingest.wire import Change, Changes, LastTrade, Snapshot
from shm.codes import Side

LAYOUT_ID = PT_LAYOUT_ID.decode()

# One for all frames, as in the keeper: what a frame leaves behind must not be seen by the next.
cdef pt_scan *SCAN = <pt_scan *>calloc(1, sizeof(pt_scan))
if SCAN == NULL:
    raise MemoryError


def scan_frame(bytes frame):
    """The events of a frame as ingest/wire.py would give them; None if it is not canonical."""
    if not pt_scan_frame(SCAN, frame, len(frame)):
        return None
    return [_python_event(SCAN, &SCAN.event[i]) for i in range(SCAN.events)]


cdef object _python_event(pt_scan *scan, const pt_event *event):
    market = _string(event.market)
    if event.kind == PT_CHANGES:
        return Changes(
            market, event.exchange_ms,
            [_python_change(&scan.change[event.first + i]) for i in range(event.count)],
        )
    token = _string(event.token)
    if event.kind == PT_TRADE:
        return LastTrade(market, token, event.exchange_ms, event.price_e4)
    levels = [
        (scan.level[event.first + i].price_e4, scan.level[event.first + i].size_e6)
        for i in range(event.count + event.asks)
    ]
    return Snapshot(
        market=market,
        token=token,
        exchange_ms=event.exchange_ms,
        hash=_string(event.hash),
        bids=levels[:event.count],
        asks=levels[event.count:],
        tick_e4=event.tick_e4 or None,
        last_trade=_string(event.last_trade) if event.has_last_trade else None,
    )


cdef object _python_change(const pt_change *change):
    side = Side.BUY if change.buy else Side.SELL
    return Change(
        _string(change.token), side, change.price_e4, change.size_e6, _string(change.hash)
    )


cdef object _string(pt_text text):
    return text.at[:text.length].decode()
