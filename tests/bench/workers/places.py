"""Segments for a measuring process: made at once, gone when it ends; and markets to put in them."""

import atexit
import secrets

from shm import segment
from shm.codes import Exchange, MarketKind, MarketState
from shm.layout import Market
from shm.segments import SEGMENTS


def fresh_instance() -> str:
    """Segments of our own, gone when the process ends."""
    instance = f"bench-{secrets.token_hex(4)}"

    def remove() -> None:
        for path in segment.SHM_ROOT.glob(f"polytrio.{instance}.*"):
            path.unlink()

    atexit.register(remove)
    for plan in SEGMENTS.values():
        segment.create(instance, plan)
    return instance


def market(row: int, facts: dict[str, str]) -> Market:
    condition = bytes.fromhex(facts["condition"][2:])
    return Market(
        key=int.from_bytes(condition[:8], "big"), lower_usd_e6=0, upper_usd_e6=1, expiry_ms=0,
        min_size_e6=5_000_000, fingerprint=1, condition=condition,
        yes_token=int(facts["yes"]).to_bytes(32, "big"),
        no_token=int(facts["no"]).to_bytes(32, "big"),
        row=row, group=1, kind=MarketKind.ABOVE, state=MarketState.ACTIVE,
        exchange=Exchange.STANDARD, tick_e4=10, fee_rate_e6=0, taker_delay_ms=0,
        coin=b"BTC", slug=b"",
    )  # fmt: skip
