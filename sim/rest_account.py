"""API keys, balances and the private reads (protocol.md C.1, C.7)."""

import base64
import binascii
from typing import Any

from shm.units import UINT256_MAX
from sim import replies
from sim.auth import ApiKey
from sim.limits import PAGE_ROWS
from sim.replies import Reply, refused
from sim.restraints import Standing
from sim.spenders import SPENDERS
from sim.trades import Trade
from sim.userframes import order_row, trade_row
from sim.venue import Call, Guard, Route, Venue
from sim.wallets import SignatureType, wallet_of

FIRST_CURSOR = "MA=="
END_CURSOR = "LTE="


def create_key(venue: Venue, call: Call) -> Reply:
    """POST /auth/api-key."""
    address, nonce = call.signer()
    key = venue.exchange.create_key(address, nonce)
    return Reply(key.public()) if key is not None else refused(replies.KEY_NOT_CREATED)


def derive_key(venue: Venue, call: Call) -> Reply:
    """GET /auth/derive-api-key."""
    key = venue.exchange.keys.derive(*call.signer())
    return Reply(key.public()) if key is not None else refused(replies.KEY_NOT_DERIVED)


def list_keys(venue: Venue, call: Call) -> Reply:
    """GET /auth/api-keys."""
    return Reply({"apiKeys": venue.exchange.keys.of_address(call.owner().address)})


def delete_key(venue: Venue, call: Call) -> Reply:
    """DELETE /auth/api-key; open orders of the key stay in the book, as nothing says otherwise."""
    venue.exchange.keys.delete(call.owner())
    return Reply("OK")


def closed_only(venue: Venue, call: Call) -> Reply:
    """GET /auth/ban-status/closed-only."""
    standing = venue.exchange.floor.restraints.standing(call.owner().address)
    return Reply({"closed_only": standing is not Standing.NORMAL})


def balance_allowance(venue: Venue, call: Call) -> Reply:
    """GET /balance-allowance and /balance-allowance/update, which here has nothing to re-read."""
    kind = call.one("asset_type")
    number = call.one("signature_type") or "0"
    if number not in {"0", "1", "2", "3"}:
        return refused(replies.INVALID_PARAMETER.format(name="signature_type"))
    wallet = wallet_of(call.owner().address, SignatureType(int(number)))
    ledger, restraints = venue.exchange.floor.ledger, venue.exchange.floor.restraints
    if kind == "COLLATERAL":
        balance = ledger.cash_usd_e6(wallet)
        given = restraints.allowances_usd_e6
        allowances = {one: given.get((wallet, one), UINT256_MAX) for one in SPENDERS.values()}
    elif kind in {"CONDITIONAL", "CONDITIONAL-V2"}:
        token = call.one("token_id")
        if not token:
            return refused(replies.INVALID_TOKEN)
        balance = ledger.position_e6(wallet, token)
        # A contract may take all shares of all tokens, or none.
        approved = [one for one in SPENDERS.values() if restraints.approved(wallet, one)]
        allowances = {one: UINT256_MAX * (one in approved) for one in SPENDERS.values()}
    else:
        return refused(replies.INVALID_PARAMETER.format(name="asset_type"))
    told = {spender: str(allowed) for spender, allowed in allowances.items()}
    return Reply({"balance": str(balance), "allowances": told})


def open_orders(venue: Venue, call: Call) -> Reply:
    """GET /data/orders."""
    wanted = {"id": call.one("id"), "market": call.one("market"), "asset_id": call.one("asset_id")}
    rows = [order_row(order) for order in venue.exchange.floor.register.open_of(call.owner().key)]
    return _page([row for row in rows if _passes(row, wanted)], call)


def one_order(venue: Venue, call: Call) -> Reply:
    """GET /data/order/{id}: open orders of this key only."""
    for order in venue.exchange.floor.register.open_of(call.owner().key):
        if order.order_id == call.path["id"]:
            return Reply(order_row(order))
    return refused(replies.ORDER_NOT_FOUND)


def trades(venue: Venue, call: Call) -> Reply:
    """GET /data/trades, oldest first, so that cursors stay valid while trades are added.

    `before` and `after` are unix seconds of the match, both exclusive.
    """
    bounds = [call.one(name) or default for name, default in (("after", "-1"), ("before", "inf"))]
    if not all(bound.isdigit() or bound in {"-1", "inf"} for bound in bounds):
        return refused(replies.INVALID_PARAMETER.format(name="before/after"))
    names = ("id", "maker_address", "market", "asset_id")
    wanted = {name: call.one(name) for name in names}
    key = call.owner()
    rows = []
    for trade in venue.exchange.floor.tape.of_owner(key.key):
        row = trade_row(trade, _trader_side(trade, key))
        second = trade.matched_ms // 1000
        late = bounds[1] == "inf" or second < int(bounds[1])
        if late and second > int(bounds[0]) and _passes(row, wanted):
            rows.append(row)
    return _page(rows, call)


def _trader_side(trade: Trade, key: ApiKey) -> str:
    return "TAKER" if trade.taker.owner == key.key else "MAKER"


def _passes(row: dict[str, Any], wanted: dict[str, str]) -> bool:
    return all(not value or row[name] == value for name, value in wanted.items())


def _page(rows: list[dict[str, Any]], call: Call) -> Reply:
    offset = decode_cursor(call.one("next_cursor") or FIRST_CURSOR)
    if offset is None:
        return refused(replies.INVALID_PARAMETER.format(name="next_cursor"))
    end = offset < 0
    data = [] if end else rows[offset : offset + PAGE_ROWS]
    more = not end and offset + PAGE_ROWS < len(rows)
    cursor = encode_cursor(offset + PAGE_ROWS) if more else END_CURSOR
    body = {"limit": PAGE_ROWS, "count": len(data), "next_cursor": cursor, "data": data}
    return Reply(body)


def encode_cursor(offset: int) -> str:
    """A cursor is the base64 of the offset in decimal."""
    return base64.b64encode(str(offset).encode()).decode()


def decode_cursor(cursor: str) -> int | None:
    """The offset; -1 for the end marker, None for what is no cursor."""
    if cursor == END_CURSOR:
        return -1
    try:
        text = base64.b64decode(cursor.encode(), validate=True).decode()
    except (binascii.Error, UnicodeError):
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


ROUTES = (
    Route("POST", "/auth/api-key", create_key, Guard.L1),
    Route("GET", "/auth/derive-api-key", derive_key, Guard.L1),
    Route("GET", "/auth/api-keys", list_keys, Guard.L2),
    Route("DELETE", "/auth/api-key", delete_key, Guard.L2),
    Route("GET", "/auth/ban-status/closed-only", closed_only, Guard.L2),
    Route("GET", "/balance-allowance", balance_allowance, Guard.L2),
    Route("GET", "/balance-allowance/update", balance_allowance, Guard.L2),
    Route("GET", "/data/orders", open_orders, Guard.L2),
    Route("GET", "/data/order/{id}", one_order, Guard.L2),
    Route("GET", "/data/trades", trades, Guard.L2),
)
