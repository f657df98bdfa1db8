"""Venue: whatever a body holds is an answer or a reason to ask again, never an end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.auth import Credentials, RequestSigner
from executor.http import NoReply, Reply
from executor.venue import Unavailable, Venue
from executor.wallet import Wallet
from executor.wire import OpenOrder
from shm.errors import VenueRefused
from shm.settings import Settings, WalletSettings
from tests.executor import vectors

NAME = "0x" + "ab" * 32


def venue(*answers) -> Venue:
    """A venue whose connection gives these answers."""
    wallet = Wallet(vectors.fresh_key(), WalletSettings())
    settings = Settings().with_addresses("http://127.0.0.1:9")
    made = Venue(settings, wallet)
    made._signer = RequestSigner(wallet.address, Credentials("k", "c2VjcmV0", "p"))
    script = list(answers)

    async def ask(*_about, **_more):
        return script.pop(0) if len(script) > 1 else script[0]

    made._ask = ask
    return made


def said(answer, what: str, *about):
    return asyncio.run(getattr(venue(answer), what)(*about))


READS = [("cash_usd_e6",), ("position_e6", "7"), ("open_orders",), ("trades",), ("clock",),
         ("order", NAME), ("cancel_all",)]  # fmt: skip


@pytest.mark.parametrize("text", ["", "0x", "0x10", "-5", "1.5", "1e9", " 5", "NaN", "9" * 19,
                                  "null", "\uff15", "five"])  # fmt: skip
def test_a_balance_that_is_no_number_is_no_answer(text):
    body = b'{"balance":"%s"}' % text.encode()
    for what in READS[:2]:
        assert isinstance(said(Reply(200, body), *what), Unavailable)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("123", 123), ("9" * 18, 10**18 - 1)])
def test_a_balance_that_is_one_is_taken(text, value):
    assert said(Reply(200, b'{"balance":"%s"}' % text.encode()), "cash_usd_e6") == value


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"7", b'"text"', b"[null]", b'{"data":[{"id":null}]}', b'{"data":null}',
     b'{"balance":null}', b'{"not_canceled":[]}', b"<html>", b'{"data":[{"id":"1"', b"[" * 2_000],
)  # fmt: skip
def test_an_answer_of_another_shape_is_a_reason_to_ask_again(what, body):
    found = said(Reply(200, body), *what)
    if (what[0], body) == ("clock", b"7"):
        assert found[1] == 7
    else:
        assert isinstance(found, Unavailable)


@given(st.binary(max_size=60), st.sampled_from(READS))
def test_no_bytes_end_it(body, what):
    said(Reply(200, body), *what)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 502, 503])
def test_an_error_is_a_reason_to_ask_again(status):
    assert isinstance(said(Reply(status, b'{"error":"so"}'), "trades"), Unavailable)
    assert isinstance(said(NoReply(sent=True, reason="reset"), "trades"), Unavailable)


@pytest.mark.parametrize("status", [401, 403])
def test_what_waiting_cannot_cure_ends_it_with_a_word(status):
    with pytest.raises(VenueRefused, match="refuses us"):
        said(Reply(status, b"{}"), "trades")


@pytest.mark.parametrize("answer", [Reply(404, b""), Reply(200, b"null"), Reply(200, b" null\n"),
                                    Reply(400, b'{"error":"order NOT found"}')])  # fmt: skip
def test_an_order_that_the_venue_does_not_know_is_known_as_such(answer):
    assert said(answer, "order", NAME) is None


def test_every_page_is_read():
    pages = [Reply(200, b'{"data":[{"id":"%d"}],"next_cursor":"%s"}' % (n, c))
             for n, c in ((1, b"AA=="), (2, b"LTE="))]  # fmt: skip
    found = asyncio.run(venue(*pages).open_orders())
    assert [one.id for one in found] == ["1", "2"]
    assert isinstance(found[0], OpenOrder)


def test_orders_that_could_not_be_cancelled_are_asked_for_again():
    answer = Reply(200, b'{"canceled":[],"not_canceled":{"0x1":"busy"}}')
    assert isinstance(said(answer, "cancel_all"), Unavailable)
