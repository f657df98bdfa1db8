"""The venue's refusals by name, each to the letter, for rules that answer in its place (C.8).

`{id}` stands for the first order's hash, `{address}` for the signer, `{seconds}` for the time to
wait. Texts that are marked `ours` are not recorded anywhere; the rest is what the venue writes.
"""

from dataclasses import dataclass, field

from sim import replies


@dataclass(frozen=True, slots=True)
class Canned:
    """One answer. A `text` is sent as {"error": text} unless it is a page of HTML."""

    status: int
    text: str
    html: bool = False
    members: dict[str, object] = field(default_factory=dict)
    """More members of the body; "{seconds}" becomes the number."""
    retry_after_s: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


def _page(title: str) -> str:
    # What proxies in front of the venue say; the venue itself never speaks HTML.
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>cloudflare</center>\r\n"
        "</body>\r\n</html>\r\n"
    )


ANSWERS: dict[str, Canned] = {
    "bad_payload": Canned(400, replies.INVALID_PAYLOAD),
    "wrong_owner": Canned(400, replies.WRONG_OWNER),
    "wrong_signer": Canned(400, replies.WRONG_SIGNER),
    "banned": Canned(400, replies.BANNED),
    "closed_only": Canned(400, replies.CLOSED_ONLY),
    "wrong_maker": Canned(400, replies.WRONG_MAKER),
    "no_funds": Canned(400, replies.NO_FUNDS),
    "post_only_crosses": Canned(400, replies.POST_ONLY_CROSSES),
    "bad_tick": Canned(400, replies.BAD_TICK.format(id="{id}", price="0.123", tick="0.01")),
    "bad_size": Canned(400, replies.BAD_SIZE.format(id="{id}", size="1", min="5")),
    "duplicated": Canned(400, replies.DUPLICATED),
    "crosses_book": Canned(400, "order {id} crosses the book"),
    "bad_expiration": Canned(400, replies.BAD_EXPIRATION),
    "canceled_on_chain": Canned(400, "order canceled in the CTF exchange contract"),
    "match_delayed": Canned(400, "order match delayed due to market conditions"),
    "fok_killed": Canned(400, replies.FOK_KILLED),
    "fak_killed": Canned(400, replies.FAK_KILLED),
    "not_ready": Canned(400, replies.NOT_READY),
    "version": Canned(400, replies.VERSION_MISMATCH),
    "context_canceled": Canned(400, "context canceled"),
    "unauthorized": Canned(401, replies.UNAUTHORIZED),
    "unauthorized_l1": Canned(401, replies.INVALID_L1),
    "geoblocked": Canned(403, replies.GEOBLOCKED),
    "cloudflare_banned": Canned(403, _page("403 Forbidden"), html=True),
    "not_found": Canned(404, replies.ORDER_NOT_FOUND),
    "restarting": Canned(425, replies.RESTARTING),
    "throttled": Canned(
        429,
        replies.THROTTLED,
        retry_after_s=1,
        headers={"Poly-RateLimit-Remaining": "0", "Poly-RateLimit-Tier": "Standard"},
    ),
    "throttled_by_proxy": Canned(429, _page("429 Too Many Requests"), html=True, retry_after_s=10),
    "internal": Canned(500, "internal server error"),  # ours
    "timed_out": Canned(500, "order timed out"),
    "no_matching_orders": Canned(500, "there are no matching orders"),
    "fok_500": Canned(500, "FOK orders are filled or killed"),
    "rounding": Canned(500, "the trade contains rounding issues"),
    "discrepancy": Canned(
        500,
        "the price of the taker's order has a discrepancy greater than allowed "
        "with the worst maker order",
    ),
    "bad_gateway": Canned(502, _page("502 Bad Gateway"), html=True),
    "disabled": Canned(503, replies.TRADING_DISABLED),
    "cancel_only": Canned(503, replies.CANCEL_ONLY),
    "post_only_mode": Canned(
        503,
        replies.POST_ONLY_MODE,
        members={"code": "post_only_mode", "retry_after_seconds": "{seconds}"},
        retry_after_s=79,
    ),
    "unavailable": Canned(503, _page("503 Service Temporarily Unavailable"), html=True),
    "gateway_timeout": Canned(504, _page("504 Gateway Time-out"), html=True),
}
